"""Importing the office's performance sheet, and what both sources answer."""

import asyncio
import io
from typing import Any

import httpx
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook
from rat_service import Registry, refused

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADER = (
    "idkop;nmkop;kelurahan;kecamatan;nobh;tglbh;aktif;tdkaktif;Anggt;rat;tglrat;Krywn;Mngr;"
    "modalsendiri;modalluar;volusaha;shu;asset"
)
COLUMNS = HEADER.split(";")
GOOD = {
    "idkop": "1",
    "nmkop": "Koperasi Tani Contoh",
    "kecamatan": "Wagir",
    "nobh": "1/BH/2010",
    "tglbh": "05/01/2010",
    "aktif": "1",
    "Anggt": "3.350",
    "rat": "1",
    "tglrat": "24/02/2024",
    "modalsendiri": "118.500.000",
    "modalluar": "-",
    "volusaha": " 96.750.000 ",
    "shu": "(11.845.222)",
    "asset": "118.500.000",
}
UNDATED = {"nmkop": "Koperasi Dua", "nobh": "2/BH/2010", "tglrat": "00/01/1900", "shu": "-"}


def csv(*rows: dict[str, str]) -> bytes:
    """Return a sheet as the office saves it: semicolons, a byte order mark, blank rows at the end."""
    lines = [COLUMNS, *([row.get(column, " ") for column in COLUMNS] for row in rows), *([[""] * len(COLUMNS)] * 12)]
    return "\r\n".join(";".join(line) for line in lines).encode("utf-8-sig")


def xlsx(*rows: dict[str, str | float]) -> bytes:
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
    rat: httpx.AsyncClient, content: bytes, accept: str = "*/*", key: str | None = None, **params: Any
) -> httpx.Response:
    headers = {"Accept": accept} | ({"Idempotency-Key": key} if key else {})
    files = {"file": ("keragaan.csv", content)}
    return await rat.post("/v1/imports", params={"source": "office"} | params, files=files, headers=headers)


async def records(rat: httpx.AsyncClient, cooperative_id: object) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await rat.get(f"/v1/cooperatives/{cooperative_id}/rats")).json()["items"]
    return items


async def test_a_sheet_records_one_meeting_a_row_with_its_figures_and_once(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    one, two = await registry.register(), await registry.register("2/BH/2010")
    known = {"at_least": registry.position}
    dry = await sent(rat, csv(GOOD, UNDATED), dry_run="true", **known)
    assert dry.json() == {
        "rows": 2,
        "recorded": 1,
        "attested": 0,
        "unchanged": 1,
        "rejected": 0,
        "rejections": [],
        "warnings": [],
    }
    assert await records(rat, one) == []
    first = await sent(rat, csv(GOOD, UNDATED), **known)
    assert (first.status_code, first.json(), first.headers["dinkop-position"]) == (200, dry.json(), "rat:1")
    [record] = await records(rat, one)
    assert record == {
        "cooperative_id": str(one),
        "book_year": 2023,
        "held_on": "2024-02-24",
        "reported_on": None,
        "verified_on": None,
        "mode": None,
        "members_total": 3350,
        "members_present": None,
        "second_meeting": False,
        "minutes_number": None,
        "accountability_accepted": None,
        "own_capital": 118_500_000,
        "outside_capital": 0,
        "total_assets": 118_500_000,
        "turnover": 96_750_000,
        "net_surplus": -11_845_222,
        "source": "office",
        "annulled": False,
    }
    assert await records(rat, two) == []
    again = (await sent(rat, csv(GOOD, UNDATED))).json()
    assert (again["recorded"], again["unchanged"]) == (0, 2)


async def test_a_workbook_says_the_same_as_the_text_that_it_is_saved_as(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    one = await registry.register()
    numbers: dict[str, str | float] = {
        "Anggt": 3350,
        "modalsendiri": 118_500_000,
        "modalluar": 0,
        "volusaha": 96_750_000.25,
        "shu": -11_845_222,
        "asset": 118_500_000.0,
    }
    answer = await sent(rat, xlsx(GOOD | numbers), at_least=registry.position)
    assert answer.json()["recorded"] == 1, answer.text
    [record] = await records(rat, one)
    assert (record["members_total"], record["turnover"], record["net_surplus"]) == (3350, 96_750_000, -11_845_222)


async def test_rows_that_cannot_be_right_are_rejected_with_row_column_value_and_problem(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    for number in range(1, 5):
        await registry.register(f"{number}/BH/2010")
    await registry.dissolve(await registry.register("5/BH/2010"))
    rows = [
        GOOD | {"tglrat": "31/02/2024"},
        GOOD | {"nobh": "2/BH/2010", "volusaha": "1,500", "shu": "rugi"},
        GOOD | {"nobh": "3/BH/2010", "tglrat": "15/11/2024"},
        GOOD | {"nobh": "4/BH/2010"},
        GOOD | {"nobh": " 4 / bh / 2010 "},
        GOOD | {"nobh": "5/BH/2010"},
        GOOD | {"nobh": "6/BH/2010"},
        GOOD | {"nobh": "3/BH/2010", "tglrat": ""},
        GOOD | {"nobh": "3/BH/2010", "asset": "1"},
    ]
    answer = (await sent(rat, csv(*rows), at_least=registry.position)).json()
    assert [(each["row"], each["column"], each["value"]) for each in answer["rejections"]] == [
        (2, "tglrat", "31/02/2024"),
        (3, "volusaha", "1,500"),
        (3, "shu", "rugi"),
        (4, "tglrat", "15/11/2024"),
        (6, "nobh", "4 / bh / 2010"),
        (7, "nobh", "5/BH/2010"),
        (8, "nobh", "6/BH/2010"),
    ]
    assert [(each["row"], each["column"]) for each in answer["warnings"]] == [(9, "tglrat"), (10, "asset")]
    assert all(each["problem"] for each in (*answer["rejections"], *answer["warnings"]))
    counts = {name: answer[name] for name in ("rows", "recorded", "unchanged", "rejected")}
    assert counts == {"rows": 9, "recorded": 2, "unchanged": 1, "rejected": 6}


async def test_a_dry_run_may_take_for_granted_that_the_registry_reads_the_same_list_first(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    nobody_knows = csv(GOOD)
    assert (await sent(rat, nobody_knows, dry_run="true")).json()["rejected"] == 1
    granted = (await sent(rat, nobody_knows, dry_run="true", assume_registered="true")).json()
    one = await registry.register()
    assert granted == (await sent(rat, nobody_knows, at_least=registry.position)).json()
    assert len(await records(rat, one)) == 1
    refused(await sent(rat, nobody_knows, assume_registered="true"), 422, "invalid", "assume_registered")


async def test_each_source_is_read_by_its_own_columns(rat: httpx.AsyncClient) -> None:
    problem = refused(await sent(rat, csv(GOOD), source="ods"), 422, "unreadable-file", "file")
    assert "Tanggal RAT Terakhir" in problem["detail"]
    for column in ("nobh", "tglrat"):
        without = csv(GOOD).replace(column.encode(), b"lain")
        assert column in refused(await sent(rat, without), 422, "unreadable-file", "file")["detail"]


@pytest.mark.parametrize("dry_run", ["true", "false"])
async def test_the_answer_may_be_the_sheet_itself_with_what_became_of_each_row(
    rat: httpx.AsyncClient, registry: Registry, dry_run: str
) -> None:
    await registry.register()
    content = csv(GOOD, UNDATED, GOOD | {"nobh": "9/BH"})
    asked = {"at_least": registry.position, "dry_run": dry_run}
    answer = await sent(rat, content, XLSX, key="annotated", **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, XLSX)
    header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_index(0).to_python()
    assert header == [*COLUMNS, "outcome", "problem"]
    assert [row[-2] for row in rows] == ["recorded", "unchanged", "rejected"]
    assert rows[2][-1] == "nobh: no registered cooperative carries it"
    again = await sent(rat, content, key="annotated", **asked)
    assert [note["row"] for note in again.json()["rejections"]] == [4]


async def test_what_a_list_and_officers_record_at_the_same_moment_stands_once(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    ids = [await registry.register(f"{number}/BH") for number in range(20)]
    known = {"at_least": registry.position}
    rows = [GOOD | {"nobh": f"{number}/BH"} for number in range(20)]
    report = {"book_year": 2023, "held_on": "2024-02-24", "members_total": 10, "members_present": 9}
    imported, *by_hand = await asyncio.gather(
        sent(rat, csv(*rows), **known),
        *(rat.post(f"/v1/cooperatives/{each}/rats", json=report, params=known) for each in ids),
    )
    assert {answer.status_code for answer in by_hand} <= {201, 409}
    assert imported.json()["rejections"] == []
    assert (await sent(rat, csv(*rows))).headers["dinkop-position"] == "rat:20"
