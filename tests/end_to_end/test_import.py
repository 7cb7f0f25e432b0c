"""A list goes in by one command, and the numbers of every kecamatan come out right on any day."""

import csv
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import by_hand
import pytest
from python_calamine import CalamineWorkbook
from running import REPOSITORY, Installation

from dinkop.demonstration.regency import regency
from dinkop.demonstration.snapshots import ods_csv

REAL = REPOSITORY.parent / "shared" / "data" / "ods-kab-malang-2021-12.csv"
DAY = date(2021, 12, 31)
COUNTED = ("registered", "obliged", "healthy", "on_track", "inconsistent", "lapsed", "not_yet_due", "held_latest")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Ministry's export of December 2021, or where there is none, an invented one of its shape."""
    if REAL.exists():
        return REAL
    invented = tmp_path_factory.mktemp("invented") / "ods.csv"
    invented.write_bytes(ods_csv(regency(), DAY))
    return invented


@pytest.fixture(scope="module")
def imported(system: Installation, export: Path) -> Any:
    """What the import of the export answered."""
    return system.json("import", "ods", export)


def numbers(system: Installation, as_of: date, positions: str) -> by_hand.Numbers:
    """Return what reporting counts."""
    answer = system.get("reporting", "/v1/kecamatan", as_of=as_of.isoformat(), at_least=positions)
    assert answer["as_of"] == as_of.isoformat()
    items = {item["kecamatan_code"]: Counter({name: item[name] for name in COUNTED}) for item in answer["items"]}
    assert len(items) == 34
    assert {name: answer["total"][name] for name in COUNTED} == {
        name: sum(counts[name] for counts in items.values()) for name in COUNTED
    }
    return items


def positions_of(system: Installation) -> str:
    return ",".join(
        f"{service['name']}:{service['store']['position']}"
        for service in system.json("status")["services"]
        if service["name"] in ("registry", "rat")
    )


def test_every_row_is_registered(imported: Any, export: Path) -> None:
    rows = by_hand.rows_of(export)
    registry, rat = imported["registry"], imported["rat"]
    assert registry["rows"] == registry["registered"] == rat["rows"] == len(rows)
    assert (registry["changed"], registry["unchanged"], registry["rejected"], rat["rejected"]) == (0, 0, 0, 0)
    assert registry["rejections"] == rat["rejections"] == []
    assert rat["recorded"] > 0
    assert rat["attested"] > 0


@pytest.mark.skipif(not REAL.exists(), reason=f"no Ministry export at {REAL}")
def test_the_real_export_reads_as_the_office_counted_it(system: Installation, imported: Any) -> None:
    assert imported["registry"]["registered"] == 1260
    [warning] = imported["registry"]["warnings"]
    assert warning["column"] == "Nomor Badan Hukum Pendirian"
    found = numbers(system, DAY, positions_of(system))
    total: Counter[str] = sum(found.values(), Counter())
    assert {name: total[name] for name in COUNTED if name not in ("obliged", "held_latest")} == {
        "registered": 1260,
        "healthy": 352,
        "on_track": 4,
        "inconsistent": 390,
        "lapsed": 500,
        "not_yet_due": 14,
    }
    assert found[None]["registered"] == 3


DAYS = ["2005-06-30", "2018-07-01", "2019-12-31", "2020-06-30", "2020-07-01", "2021-03-01", "2021-12-31"]


@pytest.mark.parametrize("as_of", [date.fromisoformat(day) for day in DAYS], ids=str)
def test_every_kecamatan_is_what_counting_by_hand_makes_it(
    system: Installation, imported: Any, export: Path, as_of: date
) -> None:
    found = numbers(system, as_of, positions_of(system))
    expected = by_hand.counts(by_hand.rows_of(export), as_of)
    assert {code: +counts for code, counts in found.items()} == expected
    assert sum(counts["registered"] for counts in expected.values())


def test_a_kecamatan_in_another_spelling_is_resolved(system: Installation, imported: Any, export: Path) -> None:
    unresolved = [item for item in system.items("registry", "/v1/cooperatives") if item["kecamatan_code"] is None]
    assert len(unresolved) == by_hand.counts(by_hand.rows_of(export), DAY)[None]["registered"]


def test_a_dry_run_and_the_same_file_again_change_nothing(system: Installation, imported: Any, export: Path) -> None:
    before = system.json("status")["stream"]["messages"]
    for more in ((), ("--dry-run",)):
        again = system.json("import", "ods", export, *more)
        rows = imported["registry"]["rows"]
        assert (again["registry"]["rows"], again["registry"]["unchanged"]) == (rows, rows)
        assert [again["registry"][name] for name in ("registered", "changed", "rejected")] == [0, 0, 0]
        assert [again["rat"][name] for name in ("recorded", "attested", "rejected")] == [0, 0, 0]
    assert system.json("status")["stream"]["messages"] == before


HEADER = [
    "Koperasi",
    "Nomor Badan Hukum Pendirian",
    "Tanggal Badan Hukum Pendirian",
    "Tanggal RAT Terakhir",
    "Kecamatan",
    "Nomor Induk Koperasi (NIK)",
    "Status Grade",
]
ROWS = [
    ["Koperasi Utuh", "UTUH/1", "05/05/2022", "10/03/2024", "Wagir", "3507999900001", "A"],
    ["Koperasi NIK Pendek", "PENDEK/1", "05/05/2022", "", "Wagir", "35079999", ""],
    ["", "TANPANAMA/1", "05/05/2022", "", "Wagir", "3507999900003", ""],
    ["Koperasi Tanggal Aneh", "ANEH/1", "31/02/2022", "", "Wagir", "3507999900004", ""],
    ["Koperasi RAT Aneh", "RATANEH/1", "05/05/2022", "31/02/2024", "Wagir", "3507999900005", "B"],
    ["Koperasi Antah Berantah", "ANTAH/1", "05/05/2022", "", "Atlantis", "3507999900006", ""],
]


def test_broken_rows_are_rejected_by_row_and_column_and_the_rest_goes_in(system: Installation, tmp_path: Path) -> None:
    file, report = tmp_path / "broken.csv", tmp_path / "report.xlsx"
    with file.open("w", newline="") as text:
        csv.writer(text).writerows([HEADER, *ROWS])
    answer = system.json("import", "ods", file, "--report", report, code=1)
    registry, rat = answer["registry"], answer["rat"]
    assert (registry["rows"], registry["registered"], registry["rejected"]) == (6, 3, 3)
    assert {(note["row"], note["column"]) for note in registry["rejections"]} == {
        (3, "Nomor Induk Koperasi (NIK)"),
        (4, "Koperasi"),
        (5, "Tanggal Badan Hukum Pendirian"),
    }
    assert (7, "Kecamatan", "Atlantis") in {
        (note["row"], note["column"], note["value"]) for note in registry["warnings"]
    }
    assert (6, "Tanggal RAT Terakhir") in {(note["row"], note["column"]) for note in rat["rejections"]}
    assert (rat["recorded"], rat["attested"]) == (1, 2)

    book = CalamineWorkbook.from_path(str(report))
    assert book.sheet_names == ["rows", "registry", "rat"]
    rows = book.get_sheet_by_name("rows").to_python()
    assert rows[0] == [*HEADER, "registry: outcome", "registry: problem", "rat: outcome", "rat: problem"]
    assert [row[: len(HEADER)] for row in rows[1:]] == ROWS
    assert [(row[-4], row[-2]) for row in rows[1:]] == [
        ("registered", "recorded"),
        ("rejected", "unchanged"),
        ("rejected", "unchanged"),
        ("rejected", "unchanged"),
        ("registered", "rejected"),
        ("registered", "unchanged"),
    ]
    written = {tuple(line[:2]) for line in book.get_sheet_by_name("registry").to_python()}
    assert {(note["row"], note["column"]) for note in registry["rejections"]} <= written

    told = system.dinkop("import", "ods", file, "--dry-run", code=1)
    assert "Nothing was changed" in told
    assert "rejection row 3, Nomor Induk Koperasi (NIK) '35079999'" in told


KERAGAAN = (
    "idkop;nmkop;kelurahan;kecamatan;nobh;tglbh;aktif;tdkaktif;Anggt;rat;tglrat;Krywn;Mngr;"
    "modalsendiri;modalluar;volusaha;shu;asset",
    "1;Koperasi Keragaan Satu;Sitirejo;Wagir;KERAGAAN/1;05/05/2022;1;0; 3.350 ;1;24/02/2024;2;1;"
    "118.500.000;-;96.750.000;(11.845.222);118.500.000",
    "2;Koperasi Keragaan Dua; ;Tirto Yudo;KERAGAAN/2;05/05/2022;0;1;12;0;00/01/1900; ; ; ; ; ; ; ",
    *[";" * 17] * 12,
)


def test_a_performance_sheet_registers_and_records_meetings_with_their_figures(
    system: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "keragaan.csv"
    file.write_bytes("\r\n".join(KERAGAAN).encode("utf-8-sig"))
    before = system.json("status")["stream"]["messages"]
    dry = system.json("import", "office", file, "--dry-run")
    assert system.json("status")["stream"]["messages"] == before
    done = system.json("import", "office", file)
    assert done == dry  # a dry run says what the import then does
    assert {name: done["registry"][name] for name in ("rows", "registered", "rejected")} == {
        "rows": 2,
        "registered": 2,
        "rejected": 0,
    }
    assert (done["rat"]["rows"], done["rat"]["recorded"], done["rat"]["unchanged"]) == (2, 1, 1)
    again = system.json("import", "office", file)
    assert (again["registry"]["unchanged"], again["rat"]["unchanged"], again["rat"]["recorded"]) == (2, 2, 0)

    asked = {"at_least": positions_of(system).split(",")[0], "q": "KERAGAAN/1"}
    [cooperative] = system.items("registry", "/v1/cooperatives", **asked)
    assert (cooperative["members_total"], cooperative["kecamatan_code"]) == (3350, "35.07.21")
    [record] = system.get("rat", f"/v1/cooperatives/{cooperative['cooperative_id']}/rats")["items"]
    figures = ("own_capital", "outside_capital", "turnover", "net_surplus", "total_assets")
    assert [record[name] for name in figures] == [118_500_000, 0, 96_750_000, -11_845_222, 118_500_000]
    assert (record["book_year"], record["held_on"], record["source"]) == (2023, "2024-02-24", "office")


@pytest.mark.embedded
def test_wrong_usage_and_a_system_that_does_not_run_have_their_exit_codes(system: Installation, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"x")
    assert "does not exist" in system.dinkop("import", "office", tmp_path / "none.csv", code=2)
    assert "web" in system.dinkop("import", "web", file, code=2)
    assert "dinkop up" in system.dinkop("import", "ods", file, "--home", tmp_path / "home", code=3)


def test_a_file_that_is_no_list_is_refused_in_a_sentence(system: Installation, tmp_path: Path) -> None:
    file = tmp_path / "letter.csv"
    file.write_text("Dear Sir,\n")
    told = system.dinkop("import", "ods", file, code=1)
    assert "Traceback" not in told
    assert "422" in told
