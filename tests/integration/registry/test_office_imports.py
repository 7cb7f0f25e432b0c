"""Importing the office's performance sheet: what it registers and changes, what it leaves, what it answers."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook
from registry_service import Cooperative, decision, proposal, refused, registered, tracing

from chassis.engine.ports import Commit, Outcome
from chassis.http import imports
from chassis.storage.event_store import PostgresEventStore

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADER = (
    "idkop;nmkop;kelurahan;kecamatan;nobh;tglbh;aktif;tdkaktif;Anggt;rat;tglrat;Krywn;Mngr;"
    "modalsendiri;modalluar;volusaha;shu;asset"
)
COLUMNS = HEADER.split(";")
type Row = dict[str, str | float]
GOOD: Row = {
    "idkop": "1",
    "nmkop": " Koperasi Tani Contoh ",
    "kelurahan": "Desa Sitirejo",
    "kecamatan": "Wagir",
    "nobh": "1/BH/2010",
    "tglbh": "05/01/2010",
    "aktif": "1",
    "Anggt": "3.350",
    "tglrat": "24/02/2024",
    "shu": "(11.845.222)",
}


def numbered(number: int, **different: str | float) -> Row:
    """Return a row about a cooperative of its own."""
    return GOOD | {"nobh": f"{number}/BH/2010"} | different


def csv(*rows: Row) -> bytes:
    """Return a sheet as the office saves it: semicolons, a byte order mark, blank rows at the end."""
    lines = [COLUMNS, *([str(row.get(name, " ")) for name in COLUMNS] for row in rows), *([[""] * len(COLUMNS)] * 12)]
    return "\r\n".join(";".join(line) for line in lines).encode("utf-8-sig")


def xlsx(*rows: Row) -> bytes:
    """Return a sheet as a workbook; what is a number in a row is a number in its cell."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        page = book.add_worksheet()
        page.write_row(0, 0, COLUMNS)
        for number, row in enumerate(rows, 1):
            for place, column in enumerate(COLUMNS):
                if column in row:
                    page.write(number, place, row[column])
    return content.getvalue()


async def sent(
    registry: httpx.AsyncClient, content: bytes, accept: str = "*/*", key: str | None = None, **params: Any
) -> httpx.Response:
    headers = {"Accept": accept} | ({"Idempotency-Key": key} if key else {})
    files = {"file": ("keragaan.csv", content)}
    return await registry.post("/v1/imports", params={"source": "office"} | params, files=files, headers=headers)


async def imported(registry: httpx.AsyncClient, content: bytes, **params: Any) -> dict[str, Any]:
    answer = await sent(registry, content, **params)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("registered", "changed", "unchanged", "rejected", "missing_from_source"))


async def head(registry: httpx.AsyncClient) -> int:
    """Return how many events the registry has recorded."""
    return int((await registry.get("/v1/projections")).json()["store"]["position"])


async def test_a_sheet_is_previewed_then_registered_and_the_same_again_changes_nothing(
    registry: httpx.AsyncClient,
) -> None:
    sheet = csv(GOOD, numbered(2, idkop="3507210030002", Anggt="-"))
    dry = await imported(registry, sheet, dry_run="true")
    assert dry == {
        "rows": 2,
        "registered": 2,
        "changed": 0,
        "unchanged": 0,
        "rejected": 0,
        "missing_from_source": 0,
        "rejections": [],
        "warnings": [],
    }
    assert await head(registry) == 0
    first = await sent(registry, sheet)
    assert (first.json(), first.headers["dinkop-position"]) == (dry, "registry:2")
    answer = await registry.get("/v1/cooperatives", params={"at_least": "registry:2"})
    by_number = {item["legal_entity_number"]: item for item in answer.json()["items"]}
    one, two = by_number["1/BH/2010"], by_number["2/BH/2010"]
    assert (one["name"], one["nik"], one["members_total"]) == ("Koperasi Tani Contoh", None, 3350)
    assert (one["source"], one["legal_entity_date"], one["kecamatan_code"]) == ("office", "2010-01-05", "35.07.21")
    assert one["village_code"] is not None
    assert (two["nik"], two["members_total"]) == ("3507210030002", 0)
    assert counts(await imported(registry, sheet)) == (0, 0, 2, 0, 0)
    assert await head(registry) == 2


async def test_a_workbook_says_the_same_as_the_text_that_it_is_saved_as(registry: httpx.AsyncClient) -> None:
    await imported(registry, csv(GOOD))
    assert counts(await imported(registry, xlsx(GOOD | {"Anggt": 3350, "idkop": 1}))) == (0, 0, 1, 0, 0)
    assert counts(await imported(registry, xlsx(GOOD | {"Anggt": 3351.0}))) == (0, 1, 0, 0, 0)
    fraction = await imported(registry, xlsx(GOOD | {"Anggt": 3.35}))
    assert [(note["column"], note["value"]) for note in fraction["rejections"]] == [("Anggt", "3,35")]


async def test_rows_that_cannot_be_right_are_rejected_whole_and_the_rest_is_taken(registry: httpx.AsyncClient) -> None:
    rows = [
        numbered(1, tglbh="24//1/2016"),
        numbered(2, Anggt="3,350", nmkop=" "),
        numbered(3, tglbh="15/11/2024"),
        numbered(4, nobh=" "),
        numbered(5),
        numbered(5, nmkop="Lain"),
        numbered(6, kecamatan="Atlantis"),
    ]
    report = await imported(registry, csv(*rows))
    assert [(note["row"], note["column"], note["value"]) for note in report["rejections"]] == [
        (2, "tglbh", "24//1/2016"),
        (3, "Anggt", "3,350"),
        (3, "nmkop", None),
        (4, "tglbh", "2024-11-15"),
        (5, "idkop", None),
        (7, "nobh", "5/BH/2010"),
    ]
    [warning] = report["warnings"]
    assert (warning["row"], warning["column"], warning["value"]) == (8, "kecamatan", "Atlantis")
    assert all(note["problem"] for note in (*report["rejections"], *report["warnings"]))
    assert (report["rows"], *counts(report)) == (7, 2, 0, 0, 5, 0)
    assert await head(registry) == 2


async def test_what_the_offices_sheets_registered_and_this_one_lacks_is_missing_from_it(
    registry: httpx.AsyncClient,
) -> None:
    await registered(registry, source="ods")
    await registered(registry)
    await imported(registry, csv(numbered(901), numbered(902), numbered(903)))
    assert (await imported(registry, csv(numbered(902), numbered(903, Anggt="?")), dry_run="true"))[
        "missing_from_source"
    ] == 1


async def test_two_lists_that_disagree_stand_side_by_side_and_do_not_take_turns(registry: httpx.AsyncClient) -> None:
    listed = await registered(registry, source="ods", legal_entity_number="1/BH/2010", members_total=12)
    sheet = csv({name: GOOD[name] for name in ("nmkop", "nobh", "kecamatan", "Anggt")} | {"tglbh": "-"})
    assert counts(await imported(registry, sheet)) == (0, 1, 0, 0, 0)
    export = (
        b"Koperasi,Nomor Badan Hukum Pendirian,Tanggal Badan Hukum Pendirian,Kecamatan,Nomor Induk Koperasi (NIK),"
        b"Total Anggota\nKoperasi Tani Contoh,1/BH/2010,05/01/2010,Wagir,,12\n"
    )
    assert counts(await imported(registry, export, source="ods")) == (0, 0, 1, 0, 0)
    assert counts(await imported(registry, sheet)) == (0, 0, 1, 0, 0)
    item = await listed.get()
    assert item["members_total"] == 3350
    assert (item["ministry"]["members_total"]["value"], item["office"]["members_total"]["value"]) == (12, 3350)
    assert item["differing"] == ["members_total"]


async def test_a_list_never_overwrites_a_finding_and_brings_nobody_back(registry: httpx.AsyncClient) -> None:
    missing = await registered(registry, legal_entity_number="1/BH/2010")
    for day in ("2024-05-07", "2024-08-30"):
        await missing.done("tracings", tracing(day))
    assert counts(await imported(registry, csv(GOOD)))[:2] == (0, 1)
    assert await missing.existence() == "not_found"
    await missing.done("removal-proposals", proposal())
    await missing.done("removal-decisions", decision())
    report = await imported(registry, csv(GOOD | {"Anggt": "7"}))
    assert counts(report) == (0, 0, 1, 0, 0)
    [warning] = report["warnings"]
    assert (warning["row"], warning["column"]) == (2, "nobh")
    assert await missing.existence() == "dissolved"
    assert (await missing.get())["members_total"] == 3350


async def test_a_dissolved_cooperative_is_not_missed_in_a_list(registry: httpx.AsyncClient) -> None:
    await imported(registry, csv(GOOD))
    [item] = (await registry.get("/v1/cooperatives", params={"at_least": "registry:1"})).json()["items"]
    gone = Cooperative(registry, item["cooperative_id"])
    assert (await imported(registry, csv(numbered(2)), dry_run="true"))["missing_from_source"] == 1
    for day in ("2024-05-07", "2024-08-30"):
        await gone.done("tracings", tracing(day))
    await gone.done("removal-proposals", proposal())
    await gone.done("removal-decisions", decision())
    assert (await imported(registry, csv(numbered(2)), dry_run="true"))["missing_from_source"] == 0


@pytest.mark.parametrize("column", ["nmkop", "nobh", "tglbh", "kecamatan"])
async def test_a_sheet_without_a_needed_column_is_422_and_nothing_is_imported(
    registry: httpx.AsyncClient, column: str
) -> None:
    answer = await sent(registry, csv(GOOD).replace(column.encode(), b"lain", 1))
    assert f"'{column}'" in refused(answer, 422, "unreadable-file", "file")["detail"]
    assert await head(registry) == 0


async def test_each_source_is_read_by_its_own_columns(registry: httpx.AsyncClient) -> None:
    refused(await sent(registry, csv(GOOD), source="ods"), 422, "unreadable-file", "file")
    refused(await sent(registry, csv(GOOD), source="manual"), 422, "invalid", "source")


async def test_the_answer_may_be_the_sheet_itself_with_what_became_of_each_row(registry: httpx.AsyncClient) -> None:
    await imported(registry, csv(numbered(1), numbered(2)))
    content = csv(numbered(1), numbered(2, Anggt="7"), numbered(3), numbered(4, Anggt="x"))
    dry = await sent(registry, content, XLSX, dry_run="true")
    answer = await sent(registry, content, XLSX, key="annotated")
    assert (answer.status_code, answer.headers["content-type"]) == (200, XLSX)
    assert answer.headers["dinkop-position"] == "registry:4"
    assert dry.content == answer.content
    header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_index(0).to_python()
    assert header == [*COLUMNS, "outcome", "problem"]
    assert [row[-2] for row in rows] == ["unchanged", "changed", "registered", "rejected"]
    assert rows[3][-1] == "Anggt: is not a whole number with '.' between thousands"
    again = await sent(registry, content, XLSX, key="annotated")
    assert again.content == answer.content
    assert counts((await sent(registry, content, key="annotated")).json()) == (1, 1, 1, 1, 0)
    assert await head(registry) == 4


async def test_what_a_crash_leaves_undone_the_same_sheet_does_when_it_is_imported_again(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row is one commit, so a crash leaves whole rows only; here it comes after two batches of two."""
    monkeypatch.setattr(imports, "BATCH", 2)
    whole = PostgresEventStore.append_many
    batches = 0

    async def append_many(self: PostgresEventStore, commits: Sequence[Commit]) -> list[Outcome]:
        nonlocal batches
        batches += 1
        if batches > 2:
            raise RuntimeError("killed")
        return await whole(self, commits)

    sheet = csv(*(numbered(number) for number in range(1, 8)))
    with monkeypatch.context() as crashing:
        crashing.setattr(PostgresEventStore, "append_many", append_many)
        broken = await sent(registry, sheet, key="crashed")
    assert broken.status_code == 500
    assert await head(registry) == 4
    answer = await sent(registry, sheet, key="crashed")
    assert counts(answer.json()) == (3, 0, 4, 0, 0)
    assert counts(await imported(registry, sheet)) == (0, 0, 7, 0, 0)
    assert await head(registry) == 7


async def test_two_officers_who_import_the_same_sheet_at_once_register_each_cooperative_once(
    registry: httpx.AsyncClient,
) -> None:
    sheet = csv(*(numbered(number) for number in range(1, 31)))
    reports = await asyncio.gather(*(imported(registry, sheet) for _ in range(3)))
    assert sum(report["registered"] for report in reports) == 30
    assert await head(registry) == 30
    assert counts(await imported(registry, sheet)) == (0, 0, 30, 0, 0)
