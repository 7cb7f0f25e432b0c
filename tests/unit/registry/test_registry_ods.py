"""Reading the Ministry's export into the register, and planning what an import does."""

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.http.uploads import read_table
from contracts.identity import legal_entity_key
from contracts.regions import resolve_kecamatan, resolve_village
from services.registry.domain import cooperative as co
from services.registry.domain import imports, ods

EXPORT = Path(__file__).resolve().parents[4] / "shared" / "data" / "ods-kab-malang-2021-12.csv"
TODAY = date(2021, 12, 31)
WAGIR = "35.07.21"

ROW = {
    ods.NAME: "Koperasi Wanita  Melati",
    ods.NUMBER: "488/BH/XVI.14/ VIII /2015",
    ods.LEGAL_DATE: "03/08/2015",
    ods.KECAMATAN: "Wagir",
    ods.NIK: "3507210030001",
    ods.VILLAGE: "Desa Sitirejo",
    ods.FORM: "Sekunder Provinsi",
    ods.TYPE: "Simpan Pinjam",
    ods.GROUP: "Kop. Wanita",
    ods.SECTOR: " ",
    ods.ADDRESS: "-",
    ods.MEMBERS: "3,824",
    ods.GRADE: "C2",
}


def read(changes: Mapping[str, str] | None = None, row: int = 2, leaving_out: Collection[str] = ()) -> imports.Reading:
    cells = {column: cell for column, cell in {**ROW, **(changes or {})}.items() if column not in leaving_out}
    return ods.SHEET.read_row(row, cells, resolve_kecamatan, resolve_village)


class Register:
    """A register in memory, as much of one as a plan needs."""

    def __init__(self) -> None:
        self.states: dict[UUID, co.Cooperative] = {}

    def holders(self, space: str) -> dict[str, list[tuple[str | None, UUID]]]:
        held: dict[str, list[tuple[str | None, UUID]]] = {}
        for cooperative_id, state in self.states.items():
            for claim in co.holds(state):
                if claim.space == space:
                    held.setdefault(claim.key, []).append((claim.qualifier, cooperative_id))
        return held

    def plan(self, *readings: imports.Reading) -> imports.ImportPlan:
        planner = imports.Planner(
            self.holders("nik"),
            self.holders("legal_entity_number"),
            self.states,
            source="ods",
            today=TODAY,
            column_of=ods.SHEET.columns,
        )
        assert list(planner.decide(readings, expected=list(self.states))) == planner.plan.decisions
        return planner.plan

    def carry_out(self, *readings: imports.Reading) -> imports.ImportPlan:
        plan = self.plan(*readings)
        for decision in plan.decisions:
            cooperative_id = decision.cooperative_id or UUID(int=len(self.states) + 1)
            before = self.states.get(cooperative_id, co.decider.initial)
            assert decision.events == co.decide(decision.command, before)
            self.states[cooperative_id] = co.decider.fold(decision.events, before)
        self.assert_keys_are_held_once()
        return plan

    def assert_keys_are_held_once(self) -> None:
        assert all(len(holders) == 1 for holders in self.holders("nik").values())
        for holders in self.holders("legal_entity_number").values():
            niks = [nik for nik, _ in holders]
            assert len(niks) == 1 or (None not in niks and len(set(niks)) == len(niks))


def outcomes(plan: imports.ImportPlan) -> dict[int, str]:
    return {decision.row: decision.outcome for decision in plan.decisions}


def test_a_row_says_what_its_cells_say_and_a_blank_cell_says_nothing() -> None:
    assert read().listing == {
        "name": "Koperasi Wanita Melati",
        "legal_entity_number": "488/BH/XVI.14/ VIII /2015",
        "legal_entity_date": date(2015, 8, 3),
        "kecamatan_code": WAGIR,
        "kecamatan_text": None,
        "village_code": resolve_village(WAGIR, "Sitirejo"),
        "nik": "3507210030001",
        "tier": "secondary",
        "scope": "province",
        "type": "savings_and_loan",
        "group": "Kop. Wanita",
        "members_total": 3824,
        "nik_grade": "C2",
    }
    assert not read().warnings


def test_optional_columns_may_be_absent() -> None:
    listing = read(leaving_out=ods.SHEET.optional).listing
    assert listing is not None
    assert "members_total" not in listing


@pytest.mark.parametrize("spelling", ["WAGIR", " wagir", "Kec. Wagir", "Kecamatan Wagir"])
def test_spelling_variants_of_a_kecamatan_are_resolved(spelling: str) -> None:
    listing = read({ods.KECAMATAN: spelling}).listing
    assert listing is not None
    assert listing["kecamatan_code"] == WAGIR


def test_a_kecamatan_that_cannot_be_resolved_keeps_its_text_with_a_warning() -> None:
    reading = read({ods.KECAMATAN: "Klojen"})
    assert reading.listing is not None
    assert "kecamatan_code" not in reading.listing
    assert reading.listing["kecamatan_text"] == "Klojen"
    assert [(each.row, each.column, each.value) for each in reading.warnings] == [(2, ods.KECAMATAN, "Klojen")]


@pytest.mark.parametrize("blank", ["-", " ", ""])
def test_a_blank_kecamatan_is_none_without_a_warning(blank: str) -> None:
    reading = read({ods.KECAMATAN: blank})
    assert not reading.warnings
    assert reading.listing is not None
    assert not {"kecamatan_code", "kecamatan_text", "village_code"} & set(reading.listing)


@pytest.mark.parametrize("column", [ods.FORM, ods.TYPE, ods.GRADE])
def test_a_word_outside_the_vocabulary_is_passed_over_with_a_warning(column: str) -> None:
    reading = read({column: "Lain-lain"})
    assert reading.listing is not None
    assert [(each.column, each.value) for each in reading.warnings] == [(column, "Lain-lain")]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({ods.NAME: " "}, ods.NAME),
        ({ods.NIK: "-", ods.NUMBER: " "}, ods.NIK),
        ({ods.NIK: "350721003000"}, ods.NIK),
        ({ods.NIK: "3,507,210,030,001"}, ods.NIK),
        ({ods.LEGAL_DATE: "24//1/2016"}, ods.LEGAL_DATE),
        ({ods.LEGAL_DATE: "31/02/2016"}, ods.LEGAL_DATE),
        ({ods.MEMBERS: "3.824"}, ods.MEMBERS),
        ({ods.MEMBERS: "-12"}, ods.MEMBERS),
        ({ods.NAME: "K" * 201}, ods.NAME),
        ({ods.NAME: "Koperasi\0"}, ods.NAME),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_naming_the_column(cells: dict[str, str], column: str) -> None:
    reading = read(cells, row=17)
    assert reading.listing is None
    assert [(problem.row, problem.column) for problem in reading.problems] == [(17, column)]
    assert reading.problems[0].problem


def test_every_problem_of_a_row_is_told_and_the_row_counts_once() -> None:
    plan = Register().plan(read({ods.NIK: "12", ods.LEGAL_DATE: "soon"}))
    assert {problem.column for problem in plan.rejections} == {ods.NIK, ods.LEGAL_DATE}
    assert (plan.rejected, plan.rows) == (1, 1)


def test_the_excel_zero_is_a_blank_date() -> None:
    listing = read({ods.LEGAL_DATE: "00/01/1900"}).listing
    assert listing is not None
    assert "legal_entity_date" not in listing


def test_a_date_in_the_future_is_rejected_with_its_column() -> None:
    plan = Register().plan(read({ods.LEGAL_DATE: "01/01/2022"}))
    assert [(problem.column, problem.value) for problem in plan.rejections] == [(ods.LEGAL_DATE, "2022-01-01")]


def test_the_new_are_registered_the_changed_changed_and_the_same_file_changes_nothing() -> None:
    register = Register()
    other = {ods.NIK: "3507210030002", ods.NUMBER: "1/BH"}
    assert outcomes(register.carry_out(read(), read(other, 3))) == {2: "registered", 3: "registered"}
    assert outcomes(register.carry_out(read(), read(other, 3))) == {2: "unchanged", 3: "unchanged"}
    changed = register.carry_out(read({ods.MEMBERS: "4,000"}), read(other, 3))
    assert outcomes(changed) == {2: "changed", 3: "unchanged"}
    assert not changed.rejections


def test_a_nik_identifies_even_when_the_number_changes() -> None:
    register = Register()
    register.carry_out(read())
    assert outcomes(register.carry_out(read({ods.NUMBER: "489/BH"}))) == {2: "changed"}
    assert len(register.states) == 1


def test_without_a_nik_the_number_identifies_however_it_is_spaced() -> None:
    register = Register()
    register.carry_out(read({ods.NIK: " "}))
    again = register.carry_out(read({ods.NIK: "-", ods.NUMBER: "488/bh/XVI.14/VIII/2015"}))
    assert outcomes(again) == {2: "changed"}
    assert len(register.states) == 1


def test_a_cooperative_that_got_its_nik_is_the_one_with_its_number() -> None:
    register = Register()
    register.carry_out(read({ods.NIK: " "}))
    assert outcomes(register.carry_out(read())) == {2: "changed"}
    assert [state.nik for state in register.states.values()] == ["3507210030001"]


def test_a_number_that_another_nik_carries_is_registered_with_a_warning_on_the_later_row() -> None:
    register = Register()
    rows = read(), read({ods.NIK: "3507210030002"}, row=3)
    first = register.carry_out(*rows)
    assert outcomes(first) == {2: "registered", 3: "registered"}
    assert [(warning.row, warning.column) for warning in first.warnings] == [(3, ods.NUMBER)]
    assert "3507210030001" in first.warnings[0].problem
    assert register.carry_out(*rows).warnings == first.warnings
    third = register.carry_out(read({ods.NIK: "3507210030003"}, row=9))
    assert [warning.row for warning in third.warnings] == [9]


def test_a_number_that_two_cooperatives_carry_identifies_neither() -> None:
    register = Register()
    register.carry_out(read(), read({ods.NIK: "3507210030002"}, row=3))
    plan = register.carry_out(read({ods.NIK: " "}, row=4))
    assert [(problem.row, problem.column) for problem in plan.rejections] == [(4, ods.NUMBER)]


@pytest.mark.parametrize("known", [False, True])
def test_a_cooperative_that_stands_in_two_rows_is_taken_from_the_first(known: bool) -> None:
    register = Register()
    if known:
        register.carry_out(read())
    plan = register.carry_out(read(), read({ods.NAME: "Koperasi Mawar"}, row=3))
    assert [(problem.row, problem.column, problem.value) for problem in plan.rejections] == [
        (3, ods.NIK, "3507210030001")
    ]
    assert "row 2" in plan.rejections[0].problem


def test_a_changed_number_that_somebody_else_holds_is_rejected() -> None:
    register = Register()
    register.carry_out(read(), read({ods.NIK: " ", ods.NUMBER: "1/BH"}, row=3))
    plan = register.carry_out(read({ods.NUMBER: "1/bh"}))
    assert [(problem.row, problem.column, problem.value) for problem in plan.rejections] == [(2, ods.NUMBER, "1/bh")]


def test_what_the_source_listed_before_and_no_longer_names_is_missing() -> None:
    register = Register()
    register.carry_out(read(), read({ods.NIK: "3507210030002", ods.NUMBER: "1/BH"}, row=3))
    assert register.plan(read()).missing_from_source == {UUID(int=2)}
    assert register.plan(read({ods.LEGAL_DATE: "soon"})).missing_from_source == {UUID(int=2)}


def test_numbers_are_compared_in_the_form_that_the_other_services_use() -> None:
    for number in ("488/BH/XVI.14/ VIII /2015", "ahu-1.ah.01.26.Tahun 2020", " ß/BH\t1\u00a02 "):
        reading = imports.Reading(2, None, number, None)
        assert reading.number_key == legal_entity_key(number)


niks = st.sampled_from(["-", "3507210030001", "3507210030002", "3507210030003"])
numbers = st.sampled_from(["-", "1/BH", "1 /bh", "2/BH"])
rows = st.builds(
    lambda nik, number, name: {ods.NIK: nik, ods.NUMBER: number, ods.NAME: name},
    niks,
    numbers,
    st.sampled_from(["Melati", "Mawar"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(rows, max_size=6), min_size=1, max_size=3))
def test_after_any_imports_keys_are_held_once_and_the_last_file_again_changes_nothing(
    files: list[list[dict[str, str]]],
) -> None:
    register = Register()
    for file in files:
        readings = [read(cells, row) for row, cells in enumerate(file, 2)]
        plan = register.carry_out(*readings)
        assert len(plan.decisions) + plan.rejected == plan.rows
        accepted = {decision.row for decision in plan.decisions}
        again = register.plan(*[reading for reading in readings if reading.row in accepted])
        assert plan.count("registered") <= len(register.states)
    assert all(decision.outcome == "unchanged" for decision in again.decisions)


@pytest.mark.skipif(not EXPORT.exists(), reason=f"no Ministry export at {EXPORT}")
def test_every_row_of_a_real_export_is_registered_with_one_warning_and_again_changes_nothing() -> None:
    table = read_table(EXPORT.read_bytes(), EXPORT.name, ods.SHEET.needed, ods.SHEET.optional)
    readings = [ods.SHEET.read_row(row, cells, resolve_kecamatan, resolve_village) for row, cells in table.rows]
    register = Register()
    first = register.carry_out(*readings)
    assert (first.rows, first.count("registered"), first.rejected) == (1260, 1260, 0)
    assert [(warning.row, warning.column) for warning in first.warnings] == [(1164, ods.NUMBER)]
    without = [state for state in register.states.values() if state.place.kecamatan_code is None]
    assert len(without) == 3
    again = register.plan(*readings)
    assert (again.count("unchanged"), again.rejected, again.missing_from_source) == (1260, 0, frozenset())
    assert again.warnings == first.warnings
