"""Reading the office's performance sheet for meetings, and planning what an import does."""

from datetime import date
from uuid import UUID

import pytest

from chassis.http.uploads import read_table
from services.rat.domain import annual_meetings as rat
from services.rat.domain import imports, office

TODAY = date(2024, 11, 14)
HEADER = (
    "idkop;nmkop;kelurahan;kecamatan;nobh;tglbh;aktif;tdkaktif;Anggt;rat;tglrat;Krywn;Mngr;"
    "modalsendiri;modalluar;volusaha;shu;asset"
)
ROW = {
    office.ID: "17",
    office.NUMBER: "488/BH/XVI.14/ VIII /2015",
    office.LAST_MEETING: "24/02/2024",
    office.HELD: "1",
    office.MEMBERS: "3.350",
    office.OWN_CAPITAL: "118.500.000",
    office.OUTSIDE_CAPITAL: "-",
    office.TURNOVER: "96.750.000",
    office.NET_SURPLUS: "(11.845.222)",
    office.ASSETS: "118.500.000",
}
ONE = imports.KnownCooperative(UUID(int=1), "3507210030001", "35.07.21")
TWINS = [
    imports.KnownCooperative(UUID(int=2), "3507210030002", "35.07.21"),
    imports.KnownCooperative(UUID(int=3), "3507210030003", "35.07.16"),
]
REGISTER = imports.Register(
    by_nik={each.nik: each for each in (ONE, *TWINS) if each.nik},
    by_number={"488/BH/XVI.14/VIII/2015": [ONE], "2/BH": TWINS},
)


def read(row: int = 2, **changes: str) -> imports.Reading:
    return office.read_row(row, ROW | {getattr(office, name): cell for name, cell in changes.items()})


def plan(
    *readings: imports.Reading, states: dict[UUID, rat.AnnualMeetings] | None = None, assume_registered: bool = False
) -> imports.ImportPlan:
    planner = imports.Planner(REGISTER, states or {}, "office", TODAY, office.SHEET.columns, assume_registered)
    assert list(planner.decide(readings)) == planner.plan.decisions
    return planner.plan


def recorded(planned: imports.ImportPlan) -> dict[UUID, rat.AnnualMeetings]:
    """Return what the plan makes of book years that nobody has told of before."""
    return {
        each.cooperative_id: rat.decider.fold(rat.decide(each.command, rat.decider.initial))
        for each in planned.decisions
    }


def test_a_row_with_a_date_records_the_meeting_of_the_year_before_with_its_figures() -> None:
    meeting = recorded(plan(read()))[ONE.id].held[2023]
    assert meeting == rat.Meeting(
        book_year=2023,
        held_on=date(2024, 2, 24),
        members_total=3350,
        own_capital=118_500_000,
        outside_capital=0,
        total_assets=118_500_000,
        turnover=96_750_000,
        net_surplus=-11_845_222,
        source="office",
    )


def test_the_sheet_attests_no_other_year() -> None:
    [decision] = plan(read()).decisions
    assert (decision.recorded, decision.attested) == (1, 0)


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("1.500", 1_500),
        ("1500", 1_500),
        (" 96.750.000 ", 96_750_000),
        ("(11.845.222)", -11_845_222),
        ("-11.845.222", -11_845_222),
        ("-", 0),
        ("0", 0),
        ("", None),
        (" ", None),
        ("00/01/1900", None),
        ("1.234,49", 1_234),
        ("1.234,50", 1_235),
        ("1.234,5", 1_235),
        ("(1.234,50)", -1_235),
        ("-0,75", -1),
        ("1234567,8900001", 1_234_568),
        ("1.000.000.000.000.000", 10**15),
    ],
)
def test_amounts_are_read_as_ledgers_write_them_in_whole_rupiah(cell: str, amount: int | None) -> None:
    assert office.rupiah(cell) == amount


@pytest.mark.parametrize(
    "cell",
    [
        "1,500,000",
        "1,500",
        "1.50",
        "12.34.567",
        "Rp 5.000",
        "lunas",
        ",5",
        "(-5)",
        "()",
        "(5",
        "1,5,0",
        "1e9",
        "9" * 16,
    ],
)
def test_an_amount_that_cannot_be_read_rejects_the_row_naming_its_column(cell: str) -> None:
    planned = plan(read(7, TURNOVER=cell))
    assert [(each.row, each.column, each.value) for each in planned.rejections] == [(7, office.TURNOVER, cell)]
    assert (planned.rejected, planned.unchanged, planned.decisions) == (1, 0, [])


def test_a_row_with_several_problems_is_one_rejected_row_that_tells_them_all() -> None:
    planned = plan(read(TURNOVER="x", NET_SURPLUS="y"), read(3, LAST_MEETING=" "))
    assert [each.column for each in planned.rejections] == [office.TURNOVER, office.NET_SURPLUS]
    assert (planned.rejected, planned.unchanged) == (1, 1)


@pytest.mark.parametrize("broken", ["24//1/2024", "31/02/2024", "15/11/2024", "05/01/1900", "2024-02-24"])
def test_a_broken_date_is_rejected_naming_row_column_and_value(broken: str) -> None:
    planned = plan(read(7, LAST_MEETING=broken))
    assert [(each.row, each.column, each.value) for each in planned.rejections] == [(7, office.LAST_MEETING, broken)]


@pytest.mark.parametrize("blank", ["", " ", "-", "00/01/1900"])
def test_a_row_without_a_date_records_nothing_whatever_its_figures_say(blank: str) -> None:
    planned = plan(read(LAST_MEETING=blank, HELD="0", TURNOVER="x"))
    assert (planned.unchanged, planned.rejections, planned.warnings) == (1, [], [])


def test_a_row_that_says_held_and_not_when_is_a_warning() -> None:
    planned = plan(read(5, LAST_MEETING="00/01/1900"))
    assert [(each.row, each.column, each.value) for each in planned.warnings] == [(5, office.LAST_MEETING, None)]
    assert planned.unchanged == 1


def test_assets_that_are_not_the_sum_of_the_capitals_are_a_warning_and_recorded_all_the_same() -> None:
    planned = plan(read(5, OUTSIDE_CAPITAL="1.000"))
    assert [(each.row, each.column, each.value) for each in planned.warnings] == [(5, office.ASSETS, "118.500.000")]
    assert recorded(planned)[ONE.id].held[2023].total_assets == 118_500_000


@pytest.mark.parametrize("column", ["OWN_CAPITAL", "OUTSIDE_CAPITAL", "ASSETS"])
def test_assets_and_capitals_are_not_compared_when_the_row_lacks_one_of_them(column: str) -> None:
    assert not plan(read(**{column: ""})).warnings


def test_idkop_is_a_nik_when_it_has_13_digits_and_otherwise_the_offices_own_number() -> None:
    assert read(ID="3507210030003").nik == "3507210030003"
    assert [read(ID=cell).nik for cell in ("17", "350721003000", "-", "", "35072100300031")] == [None] * 5
    assert recorded(plan(read(ID="3507210030003", NUMBER="2/BH"))).keys() == {UUID(int=3)}


def test_a_number_that_two_cooperatives_carry_needs_the_nik() -> None:
    planned = plan(read(NUMBER="2/BH"))
    assert [(each.column, each.value) for each in planned.rejections] == [(office.NUMBER, "2/BH")]
    assert "several" in planned.rejections[0].problem


def test_the_same_sheet_again_changes_nothing_also_when_the_office_declared_its_record_void() -> None:
    states = recorded(plan(read()))
    again = plan(read(), states=states)
    assert (again.decisions, again.unchanged, again.warnings) == ([], 1, [])
    void = rat.RATAnnulled(kecamatan_code="35.07.21", book_year=2023, reason="a namesake's")
    states[ONE.id] = rat.decider.fold([void], states[ONE.id])
    assert not plan(read(), states=states).decisions


def test_a_sheet_overrules_no_record_of_the_ministrys_and_says_so() -> None:
    of_ministry = rat.RATHeld(kecamatan_code="35.07.21", book_year=2023, held_on=date(2024, 3, 1), source="ods")
    planned = plan(read(5), states={ONE.id: rat.decider.fold([of_ministry])})
    assert not planned.decisions
    [warning] = planned.warnings
    assert (warning.row, warning.column, warning.value) == (5, office.LAST_MEETING, "24/02/2024")
    assert "01/03/2024" in warning.problem


def test_a_dry_run_may_take_for_granted_that_the_registry_reads_the_same_sheet_first() -> None:
    unknown = read(NUMBER="9/BH")
    assert plan(unknown).rejected == 1
    assert len(plan(unknown, assume_registered=True).decisions) == 1
    twice = plan(unknown, read(3, NUMBER=" 9 / bh "), assume_registered=True)
    assert [(each.row, each.problem) for each in twice.rejections] == [(3, "stands in row 2 already")]
    assert plan(read(NUMBER="-", ID="-"), assume_registered=True).rejected == 1
    assert [each.cooperative_id for each in plan(read(), assume_registered=True).decisions] == [ONE.id]


def test_a_sheet_as_the_office_saves_it_is_read_with_its_byte_order_mark_padding_and_blank_tail() -> None:
    line = (
        "17; Koperasi Tani ;Sitirejo;Wagir; 488/BH/XVI.14/ VIII /2015;03/08/2015;1;0; 3.350 ;1;24/02/2024;2;1;"
        " 118.500.000 ; - ;96.750.000;(11.845.222);118.500.000"
    )
    tail = ";" * 17
    content = ("\ufeff" + "\r\n".join([HEADER, line, *([tail] * 12), ""])).encode()
    sheet = office.SHEET
    table = read_table(content, "keragaan.csv", sheet.needed, sheet.optional, sheet.numbers)
    assert [sheet.read_row(row, cells) for row, cells in table.rows] == [read()]
