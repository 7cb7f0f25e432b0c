"""Reading the office's performance sheet into the register."""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

import pytest

from chassis.http.uploads import Table, UnreadableFile, read_table
from contracts.regions import resolve_kecamatan, resolve_village
from services.registry.domain import cooperative as co
from services.registry.domain import imports, office

TODAY = date(2024, 11, 14)
WAGIR = "35.07.21"
HEADER = (
    "idkop;nmkop;kelurahan;kecamatan;nobh;tglbh;aktif;tdkaktif;Anggt;rat;tglrat;Krywn;Mngr;"
    "modalsendiri;modalluar;volusaha;shu;asset"
)
SHEET = "\r\n".join(
    (
        f"\ufeff{HEADER}",
        '1;" Koperasi Tani Contoh ";Desa Sitirejo; Wagir;488/BH/XVI.14/ VIII /2015;03/08/2015;1;;3.350;1;17/02/2024;'
        "2;1;11.845.222;-;1.000;(11.845.222);11.845.222",
        "3507210030002;KSU Contoh Dua;-;WAGIR ;489/BH/XVI.14/VIII/2015;00/01/1900;;1;-;;00/01/1900;;;;;;;",
        *[";" * HEADER.count(";")] * 12,
    )
)
ROW = {
    office.ID: "1",
    office.NAME: "Koperasi Tani Contoh",
    office.VILLAGE: "Desa Sitirejo",
    office.KECAMATAN: "Wagir",
    office.NUMBER: "488/BH/XVI.14/ VIII /2015",
    office.LEGAL_DATE: "03/08/2015",
    office.MEMBERS: "3.350",
}


def table(text: str = SHEET) -> Table:
    sheet = office.SHEET
    return read_table(text.encode(), "keragaan.csv", sheet.needed, sheet.optional, sheet.numbers)


def read(changes: Mapping[str, str] | None = None, row: int = 2) -> imports.Reading:
    return office.SHEET.read_row(row, {**ROW, **(changes or {})}, resolve_kecamatan, resolve_village)


def plan(*readings: imports.Reading, register: Mapping[UUID, co.Cooperative] | None = None) -> imports.ImportPlan:
    """Return what the sheet does to these cooperatives, all of which it should name."""
    states = register or {}
    held: dict[str, dict[str, list[tuple[str | None, UUID]]]] = {"nik": {}, "legal_entity_number": {}}
    for cooperative_id, state in states.items():
        for claim in co.holds(state):
            held[claim.space].setdefault(claim.key, []).append((claim.qualifier, cooperative_id))
    planner = imports.Planner(held["nik"], held["legal_entity_number"], states, "office", TODAY, office.SHEET.columns)
    assert list(planner.decide(readings, expected=states)) == planner.plan.decisions
    return planner.plan


def registered(**different: object) -> co.Cooperative:
    facts = {"name": "Koperasi Tani Contoh", "legal_entity_number": "488/BH/XVI.14/VIII/2015", "kecamatan_code": WAGIR}
    return co.decider.fold([co.CooperativeRegistered.model_validate({**facts, "source": "ods", **different})])


def test_a_sheet_with_semicolons_a_mark_padded_cells_and_a_blank_tail_is_read_row_by_row() -> None:
    readings = [office.SHEET.read_row(row, cells, resolve_kecamatan, resolve_village) for row, cells in table().rows]
    assert [(reading.row, reading.problems, reading.warnings) for reading in readings] == [(2, (), []), (3, (), [])]
    assert readings[0].listing == {
        "name": "Koperasi Tani Contoh",
        "legal_entity_number": "488/BH/XVI.14/ VIII /2015",
        "legal_entity_date": date(2015, 8, 3),
        "kecamatan_code": WAGIR,
        "kecamatan_text": None,
        "village_code": resolve_village(WAGIR, "Sitirejo"),
        "members_total": 3350,
    }
    assert readings[1].listing == {
        "nik": "3507210030002",
        "name": "KSU Contoh Dua",
        "legal_entity_number": "489/BH/XVI.14/VIII/2015",
        "kecamatan_code": WAGIR,
        "kecamatan_text": None,
        "members_total": 0,
    }


@pytest.mark.parametrize("column", office.SHEET.needed)
def test_a_sheet_without_a_needed_column_is_refused_naming_it(column: str) -> None:
    with pytest.raises(UnreadableFile, match=f"'{column}'"):
        table(SHEET.replace(column, "lain", 1))


@pytest.mark.parametrize("cell", ["", "-", "17", "350721003000", "3.507.210.030.001", "3,50721E+12", "35072100300０1"])
def test_what_is_no_nik_in_idkop_is_the_offices_own_number_and_identifies_nobody(cell: str) -> None:
    reading = read({office.ID: cell})
    assert reading.nik is None
    assert reading.listing is not None
    assert "nik" not in reading.listing


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({office.MEMBERS: "3,350"}, office.MEMBERS),
        ({office.MEMBERS: "33.50"}, office.MEMBERS),
        ({office.MEMBERS: "(12)"}, office.MEMBERS),
        ({office.LEGAL_DATE: "24//1/2016"}, office.LEGAL_DATE),
        ({office.LEGAL_DATE: "2015-08-03"}, office.LEGAL_DATE),
        ({office.NAME: " - "}, office.NAME),
        ({office.NUMBER: " "}, office.ID),
    ],
)
def test_formats_are_never_guessed_and_a_row_that_breaks_them_is_rejected_whole(
    cells: dict[str, str], column: str
) -> None:
    reading = read(cells, row=7)
    assert reading.listing is None
    assert [(problem.row, problem.column) for problem in reading.problems] == [(7, column)]


def test_a_sheet_registers_the_new_as_the_offices() -> None:
    [decision] = plan(read()).decisions
    assert (decision.outcome, decision.cooperative_id) == ("registered", None)
    [event] = co.decide(decision.command, co.decider.initial)
    assert isinstance(event, co.CooperativeRegistered)
    assert (event.source, event.members_total) == ("office", 3350)


def test_a_sheet_changes_what_it_names_by_number_and_leaves_the_rest() -> None:
    one = UUID(int=1)
    [decision] = plan(
        read(), register={one: registered(members_total=12, nik="3507210030001", type="consumer")}
    ).decisions
    assert (decision.outcome, decision.cooperative_id) == ("changed", one)
    [event] = co.decide(decision.command, registered(members_total=12, type="consumer"))
    assert isinstance(event, co.MinistryRecordChanged)
    assert event.source == "office"
    assert event.changes["members_total"] == 3350
    assert "type" not in event.changes


def test_the_same_sheet_again_changes_nothing() -> None:
    state = co.decider.initial
    for _ in range(2):
        [decision] = plan(read(), register={UUID(int=1): state} if state.registered else None).decisions
        state = co.decider.fold(co.decide(decision.command, state), state)
    assert decision.outcome == "unchanged"


def test_a_rejected_row_is_in_the_sheet_all_the_same_and_a_cooperative_it_lacks_is_missing() -> None:
    one, two = UUID(int=1), UUID(int=2)
    register = {one: registered(), two: registered(legal_entity_number="999/BH")}
    assert plan(read({office.MEMBERS: "many"}), register=register).missing_from_source == {two}


def test_a_row_about_a_dissolved_cooperative_changes_nothing_and_warns() -> None:
    one = UUID(int=1)
    dissolved = co.RemovalApproved(
        decree_number="1", decided_on=date(2024, 11, 1), authority="Ministry", kecamatan_code=WAGIR
    )
    done = plan(read(row=4), register={one: co.decider.fold([dissolved], registered())})
    assert [decision.outcome for decision in done.decisions] == ["unchanged"]
    assert not done.rejections
    [warning] = done.warnings
    assert (warning.row, warning.column) == (4, office.NUMBER)
    assert "dissolved since 2024-11-01" in warning.problem
