"""Reading the Ministry's export for meetings, and planning what an import does."""

from collections import defaultdict
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.http.uploads import read_table
from services.rat.domain import annual_meetings as rat
from services.rat.domain import imports, ods

EXPORT = Path(__file__).resolve().parents[4] / "shared" / "data" / "ods-kab-malang-2021-12.csv"
TODAY = date(2021, 12, 31)
ROW = {
    ods.NIK: "3507210030001",
    ods.NUMBER: "488/BH/XVI.14/ VIII /2015",
    ods.LAST_MEETING: "30/01/2021",
    ods.GRADE: "B",
    ods.MEMBERS: "3,824",
}
ONE = imports.KnownCooperative(UUID(int=1), "3507210030001", "35.07.21")
TWO = imports.KnownCooperative(UUID(int=2), None, None)
GONE = imports.KnownCooperative(UUID(int=3), "3507210030003", "35.07.21", dissolved=True)
REGISTER = imports.Register(
    by_nik={"3507210030001": ONE, "3507210030003": GONE},
    by_number={"488/BH/XVI.14/VIII/2015": [ONE], "2/BH": [TWO], "3/BH": [ONE, GONE]},
)


def read(row: int = 2, **changes: str) -> imports.Reading:
    cells = dict(ROW)
    for name, cell in changes.items():
        cells[getattr(ods, name)] = cell
    return ods.read_row(row, cells)


class Office:
    """The meetings of all cooperatives, in memory."""

    def __init__(self, register: imports.Register = REGISTER) -> None:
        self.register = register
        self.states: dict[UUID, rat.AnnualMeetings] = {}

    def plan(self, *readings: imports.Reading) -> imports.ImportPlan:
        planner = imports.Planner(self.register, self.states, "ods", TODAY, ods.SHEET.columns)
        assert list(planner.decide(readings)) == planner.plan.decisions
        return planner.plan

    def carry_out(self, *readings: imports.Reading) -> imports.ImportPlan:
        plan = self.plan(*readings)
        assert len({decision.cooperative_id for decision in plan.decisions}) == len(plan.decisions)
        for decision in plan.decisions:
            before = self.states.get(decision.cooperative_id, rat.decider.initial)
            events = rat.decide(decision.command, before)
            assert decision.events == events
            assert len(events) == decision.recorded + decision.attested > 0
            self.states[decision.cooperative_id] = rat.decider.fold(events, before)
        return plan


def figures(plan: imports.ImportPlan) -> tuple[int, int, int, int]:
    recorded = sum(decision.recorded for decision in plan.decisions)
    return recorded, sum(decision.attested for decision in plan.decisions), plan.unchanged, plan.rejected


def test_a_row_with_a_date_records_a_meeting_for_the_year_before() -> None:
    office = Office()
    assert figures(office.carry_out(read())) == (1, 0, 0, 0)
    meeting = office.states[ONE.id].held[2020]
    assert (meeting.held_on, meeting.members_total, meeting.members_present) == (date(2021, 1, 30), 3824, None)
    assert meeting.source == "ods"


def test_grade_a_attests_the_two_book_years_before() -> None:
    office = Office()
    assert figures(office.carry_out(read(GRADE=" a"))) == (1, 2, 0, 0)
    assert set(office.states[ONE.id].attested) == {2019, 2018}


@pytest.mark.parametrize("blank", [" ", "", "-", "00/01/1900"])
def test_a_row_without_a_date_says_nothing_even_with_grade_a(blank: str) -> None:
    assert figures(Office().plan(read(LAST_MEETING=blank, GRADE="A"))) == (0, 0, 1, 0)


@pytest.mark.parametrize("broken", ["24//1/2021", "31/02/2021", "01/01/2022", "05/01/1900"])
def test_a_broken_date_is_rejected_naming_row_column_and_value(broken: str) -> None:
    plan = Office().plan(read(7, LAST_MEETING=broken))
    assert [(each.row, each.column, each.value) for each in plan.rejections] == [(7, ods.LAST_MEETING, broken)]
    assert figures(plan) == (0, 0, 0, 1)


@pytest.mark.parametrize("members", ["0", "3.824", "many", " ", "-3", "999,999,999"])
def test_a_number_of_members_that_makes_no_sense_is_not_taken(members: str) -> None:
    minutes = read(MEMBERS=members).minutes
    assert minutes is not None
    assert minutes.members_total is None


def test_a_cooperative_is_found_by_its_nik_else_by_its_number() -> None:
    assert REGISTER.find("3507210030001", "2/BH") == [ONE]
    assert REGISTER.find(None, "2/BH") == [TWO]
    assert REGISTER.find("3507210030009", "2/BH") == [TWO]
    assert REGISTER.find("3507210030009", "488/BH/XVI.14/VIII/2015") == []
    assert REGISTER.find(None, "3/BH") == [ONE, GONE]
    assert REGISTER.find(None, None) == []


def test_a_number_that_two_cooperatives_carry_names_neither() -> None:
    plan = Office().plan(read(NIK="-", NUMBER="3/BH"))
    assert [(each.column, each.value) for each in plan.rejections] == [(ods.NUMBER, "3/BH")]
    assert "several" in plan.rejections[0].problem


def test_a_row_of_a_cooperative_that_is_not_registered_or_dissolved_is_rejected() -> None:
    rows = read(2, NIK="3507210030009"), read(3, NIK="-", NUMBER="9/BH"), read(4, NIK="3507210030003")
    plan = Office().plan(*rows)
    assert [(each.row, each.column, each.value) for each in plan.rejections] == [
        (2, ods.NIK, "3507210030009"),
        (3, ods.NUMBER, "9/BH"),
        (4, ods.NIK, "3507210030003"),
    ]


def test_a_cooperative_that_stands_in_two_rows_is_taken_from_the_first() -> None:
    plan = Office().plan(read(), read(3, LAST_MEETING="01/02/2021"))
    assert figures(plan) == (1, 0, 0, 1)
    assert "row 2" in plan.rejections[0].problem


def test_the_same_file_again_changes_nothing() -> None:
    office = Office()
    office.carry_out(read(GRADE="A"))
    again = office.plan(read(GRADE="A"))
    assert figures(again) == (0, 0, 1, 0)
    assert not again.warnings


def test_a_year_that_the_grade_attests_only_now_is_attested() -> None:
    office = Office()
    office.carry_out(read())
    assert figures(office.carry_out(read(GRADE="A"))) == (0, 2, 0, 0)


def test_a_date_other_than_the_recorded_one_is_a_warning_and_changes_nothing() -> None:
    office = Office()
    office.carry_out(read())
    plan = office.plan(read(5, LAST_MEETING="01/02/2021"))
    assert figures(plan) == (0, 0, 1, 0)
    assert [(each.row, each.column, each.value) for each in plan.warnings] == [(5, ods.LAST_MEETING, "01/02/2021")]
    assert "30/01/2021" in plan.warnings[0].problem


rows = st.builds(
    lambda nik, day, grade: {"NIK": nik, "NUMBER": "-", "LAST_MEETING": day, "GRADE": grade},
    st.sampled_from(["3507210030001", "3507210030003", "3507210030009", "-"]),
    st.sampled_from(["30/01/2021", "01/02/2021", "01/02/2020", "01/02/2019", "-", "24//1/2021"]),
    st.sampled_from(["A", "B", ""]),
)


@settings(deadline=None)
@given(st.lists(st.lists(rows, max_size=5), min_size=1, max_size=3))
def test_after_any_imports_the_last_file_again_changes_nothing(files: list[list[dict[str, str]]]) -> None:
    office = Office()
    for file in files:
        readings = [read(row, **cells) for row, cells in enumerate(file, 2)]
        first = office.carry_out(*readings)
        again = office.plan(*readings)
        assert not again.decisions
        assert again.rejections == first.rejections


@pytest.mark.skipif(not EXPORT.exists(), reason=f"no Ministry export at {EXPORT}")
def test_a_real_export_records_920_meetings_attests_392_cooperatives_and_again_changes_nothing() -> None:
    table = read_table(EXPORT.read_bytes(), EXPORT.name, ods.SHEET.needed, ods.SHEET.optional)
    readings = [ods.read_row(row, cells) for row, cells in table.rows]
    by_nik: dict[str, imports.KnownCooperative] = {}
    by_number: defaultdict[str, list[imports.KnownCooperative]] = defaultdict(list)
    for reading in readings:
        known = imports.KnownCooperative(UUID(int=reading.row), reading.nik, None)
        by_nik[reading.nik or ""] = known
        by_number[reading.number_key or ""].append(known)
    office = Office(imports.Register(by_nik, by_number))
    assert figures(office.carry_out(*readings)) == (920, 784, 340, 0)
    again = office.plan(*readings)
    assert figures(again) == (0, 0, 1260, 0)
    assert not again.warnings
