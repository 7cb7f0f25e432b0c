"""Imports of the Ministry's export: what is read, what is reported, what is refused."""

import io
import zipfile
from typing import Any

import httpx
import pytest
import xlsxwriter
from documents import refused
from eventually import eventually
from system import System

HEADER = (
    "Koperasi,Nomor Badan Hukum Pendirian,Tanggal Badan Hukum Pendirian,Kecamatan,Nomor Induk Koperasi (NIK),"
    "Tanggal RAT Terakhir,Status Grade,Total Anggota"
)
GOOD = (
    "KSP Satu,A-1/BH,05/01/2010,Wagir,3507210020001,17/02/2024,A,42",
    "KSP Dua,A-2/BH,06/01/2010,Tumpang,3507210020002,,,10",
)


def sheet(*rows: str) -> bytes:
    """Return an export as CSV."""
    return "\n".join((HEADER, *rows)).encode()


def workbook(*rows: str) -> bytes:
    """Return an export as XLSX, every cell as it stands."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content)
    page = book.add_worksheet()
    for number, row in enumerate((HEADER, *rows)):
        for column, cell in enumerate(row.split(",")):
            page.write_string(number, column, cell)
    book.close()
    return content.getvalue()


def with_nul(content: bytes) -> bytes:
    """Return a workbook with NUL where it says NUL, written as only a crafted one has it."""
    crafted = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(crafted, "w") as after:
        for name in before.namelist():
            after.writestr(name, before.read(name).replace(b"NUL", b"_x0000_"))
    return crafted.getvalue()


async def imported(
    client: httpx.AsyncClient, content: bytes, name: str = "ods.csv", key: str | None = None, **params: Any
) -> httpx.Response:
    """Send a file."""
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(
        "/v1/imports", params={"source": "ods"} | params, files={"file": (name, content)}, headers=headers
    )


async def test_a_file_is_registered_once_and_the_same_file_again_changes_nothing(registry: httpx.AsyncClient) -> None:
    dry = await imported(registry, sheet(*GOOD), dry_run=True)
    assert dry.json() == {
        "rows": 2,
        "registered": 2,
        "changed": 0,
        "unchanged": 0,
        "rejected": 0,
        "missing_from_source": 0,
        "rejections": [],
        "warnings": [],
    }
    assert (await registry.get("/v1/projections")).json()["store"]["position"] == 0
    first = await imported(registry, sheet(*GOOD))
    assert (first.status_code, first.json()) == (200, dry.json())
    assert first.headers["dinkop-position"] == "registry:2"
    again = (await imported(registry, workbook(*GOOD), "ods.xlsx")).json()
    assert (again["registered"], again["changed"], again["unchanged"]) == (0, 0, 2)
    changed = (await imported(registry, sheet(GOOD[0].replace("42", "43")))).json()
    assert (changed["changed"], changed["unchanged"], changed["missing_from_source"]) == (1, 0, 1)


async def test_the_same_file_records_meetings_and_what_grade_a_attests(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient
) -> None:
    position = (await imported(registry, sheet(*GOOD))).headers["dinkop-position"]
    dry = (await imported(rat, sheet(*GOOD), at_least=position, dry_run="true")).json()
    assert (dry["rows"], dry["recorded"], dry["attested"], dry["unchanged"], dry["rejected"]) == (2, 1, 2, 1, 0)
    first = await imported(rat, sheet(*GOOD), at_least=position)
    assert first.json() == dry
    again = (await imported(rat, sheet(*GOOD), at_least=position)).json()
    assert (again["recorded"], again["attested"], again["unchanged"]) == (0, 0, 2)


async def test_rows_that_cannot_be_read_are_rejected_with_row_column_value_and_problem(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient
) -> None:
    rows = (
        "KSP Tiga,A-3/BH,31/02/2010,Wagir,3507210020003,,,",
        "KSP Empat,A-4/BH,05/01/2010,Wagir,12,,,",
        ",A-5/BH,05/01/2010,Wagir,3507210020005,,,",
        "KSP Enam,A-6/BH,05/01/2010,Atlantis,3507210020006,31/02/2024,,",
        "KSP Tujuh,A-6/BH,05/01/2010,Wagir,3507210020007,,,",
        "KSP Delapan,A-8/BH,05/01/2010,Wagir,3507210020008,,,1.5",
    )
    answer = (await imported(registry, sheet(*rows))).json()
    assert (answer["registered"], answer["rejected"]) == (2, 4)
    assert [(each["row"], each["column"], each["value"]) for each in answer["rejections"]] == [
        (2, "Tanggal Badan Hukum Pendirian", "31/02/2010"),
        (3, "Nomor Induk Koperasi (NIK)", "12"),
        (4, "Koperasi", None),
        (7, "Total Anggota", "1.5"),
    ]
    assert [(each["row"], each["column"]) for each in answer["warnings"]] == [
        (5, "Kecamatan"),
        (6, "Nomor Badan Hukum Pendirian"),
    ]
    assert all(each["problem"] for each in (*answer["rejections"], *answer["warnings"]))

    async def known() -> bool:
        answer = (await imported(rat, sheet(*rows), dry_run="true")).json()
        [rejection] = answer["rejections"]
        return bool(rejection["column"] == "Tanggal RAT Terakhir" and rejection["value"] == "31/02/2024")

    await eventually(known)


def without(column: str) -> bytes:
    """Return a sheet that lacks a column."""
    return sheet(*GOOD).replace(column.encode(), b"Lain")


UNREADABLE: list[tuple[str, bytes]] = [
    ("ods.csv", b""),
    ("ods.csv", b"\n\n"),
    ("ods.csv", bytes(range(256)) * 40),
    ("ods.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n\x00\x01"),
    ("ods.xlsx", b""),
    ("ods.xlsx", sheet(*GOOD)),
    ("ods.xlsx", b"PK\x03\x04" + b"\0" * 100),
    ("ods.csv", workbook(*GOOD)[:-200]),
    ("ods.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512),
    ("ods.csv", sheet(*GOOD).decode().encode("utf-16")[:-1]),
    ("ods.csv", sheet("a\0b,1,05/01/2010,Wagir,3507210020001")),
    ("ods.xlsx", with_nul(workbook("aNULb,A-NUL,05/01/2010,Wagir,35NUL,17/02/2024,A,1"))),
    ("ods.csv", b'"' + sheet(*GOOD)),
    ("ods.csv", sheet('"' + "x" * 200_000 + '",1')),
    ("ods.csv", b"Koperasi;Kecamatan\nA;B\n"),
    ("ods.csv", without("Nomor Induk Koperasi (NIK)")),
    ("ods.csv", without("Nomor Badan Hukum Pendirian")),
]


@pytest.mark.parametrize("service", ["registry", "rat"])
async def test_a_file_that_cannot_be_read_is_422_and_nothing_is_imported(system: System, service: str) -> None:
    async with system.client(service) as client:
        before = (await client.get("/v1/projections")).json()["store"]
        for number, (name, content) in enumerate(UNREADABLE):
            answer = await imported(client, content, name, key=f"unreadable-{number}")
            assert answer.status_code == 422, (number, name, answer.text)
            refused(answer, 422, "unreadable-file", "file")
        assert (await client.get("/v1/projections")).json()["store"] == before


async def test_a_missing_column_is_named(registry: httpx.AsyncClient, rat: httpx.AsyncClient) -> None:
    for client, column in ((registry, "Kecamatan"), (rat, "Tanggal RAT Terakhir")):
        assert column in refused(await imported(client, without(column)), 422, "unreadable-file")["detail"]


async def test_a_table_under_another_extension_is_read_all_the_same(registry: httpx.AsyncClient) -> None:
    for name in ("ods.txt", "ods.pdf", "", "../../etc/passwd", "a\u0000b"):
        answer = await imported(registry, sheet(*GOOD), name or "x", dry_run="true")
        assert answer.status_code == 200, answer.text
    assert (await imported(registry, workbook(*GOOD), "ods.csv", dry_run="true")).status_code == 200


@pytest.mark.parametrize("service", ["registry", "rat"])
async def test_an_upload_that_is_none_is_refused(system: System, service: str) -> None:
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    good = ("ods.csv", sheet(*GOOD))
    async with system.client(service) as client:
        url = "/v1/imports?source=ods"
        refused(await client.post(url), 422, "invalid", "file")
        refused(await client.post(url, json={"file": "abc"}), 422, "invalid", "file")
        refused(await client.post(url, data={"file": "abc"}), 422, "invalid", "file")
        refused(await client.post(url, files={"other": good}), 422, "invalid", "other")
        refused(await client.post(url, files={"file": good, "other": good}), 422, "invalid", "other")
        refused(await client.post(url, files=[("file", good), ("file", good)]), 422, "invalid", "file")
        refused(await client.post(url, content=b"junk", headers=multipart), 400, "bad-request")
        refused(
            await client.post(url, content=b"", headers={"Content-Type": "multipart/form-data"}), 400, "bad-request"
        )
        refused(await client.post("/v1/imports", files={"file": good}), 422, "invalid", "source")
        for params, field in (
            ({"source": "me"}, "source"),
            ({"source": "ods", "dry_run": "perhaps"}, "dry_run"),
            ({"source": "ods", "dryrun": "true"}, "dryrun"),
        ):
            refused(await client.post("/v1/imports", params=params, files={"file": good}), 422, "invalid", field)


def part(boundary: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Return an upload as another client would write it."""
    disposition = b'Content-Disposition: form-data; name="file"; filename="ods.csv"'
    body = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary.encode(), disposition, content, boundary.encode())
    return body, {"Content-Type": f"Multipart/Form-Data; boundary={boundary}"}


@pytest.mark.parametrize("service", ["registry", "rat"])
async def test_a_repeated_upload_gets_the_first_answer_whatever_its_boundary(system: System, service: str) -> None:
    async with system.client(service) as client:
        answers = []
        for boundary in ("one", "two"):
            body, headers = part(boundary, sheet(*GOOD))
            headers["Idempotency-Key"] = "upload"
            answers.append(await client.post("/v1/imports?source=ods", content=body, headers=headers))
        first, again = answers
        assert first.status_code == 200, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["dinkop-position"] == first.headers["dinkop-position"]
        body, headers = part("one", sheet(*GOOD, "KSP Lain,X/BH,05/01/2010,Wagir,3507210020099,,,"))
        headers["Idempotency-Key"] = "upload"
        other = await client.post("/v1/imports?source=ods", content=body, headers=headers)
        refused(other, 422, "idempotency-key-reused", "Idempotency-Key")
