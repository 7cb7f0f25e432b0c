"""Uploaded spreadsheets: what is read, and that nothing can break the one who reads."""

import contextlib
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.definitions.cells import DOT_THOUSANDS
from chassis.http import uploads, workbooks
from chassis.http.uploads import Table, UnreadableFile, read_table

NEEDED = ("Koperasi", "NIK")


def csv_table(text: str, encoding: str = "utf-8") -> Table:
    return read_table(text.encode(encoding), "list.csv", NEEDED, ("Alamat",))


def workbook(*rows: Sequence[Any], sheets: Sequence[Sequence[Sequence[Any]]] = ()) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        as_date = book.add_format({"num_format": "dd/mm/yyyy"})
        for sheet_rows in (*sheets, rows):
            sheet = book.add_worksheet()
            for row, cells in enumerate(sheet_rows):
                for column, cell in enumerate(cells):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(row, column, cell, as_date)
                    elif cell == "day zero":
                        sheet.write_number(row, column, 0, as_date)
                    else:
                        sheet.write(row, column, cell)
    return content.getvalue()


def rewritten(content: bytes, change: Callable[[str, str], str]) -> bytes:
    """Return the workbook with each of its parts changed: change(name, text)."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name).decode()))
    return changed.getvalue()


def assert_unreadable(content: bytes, filename: str = "list.csv", naming: str = "") -> None:
    with pytest.raises(UnreadableFile) as refused:
        read_table(content, filename, NEEDED)
    assert refused.value.slug == "unreadable-file"
    assert refused.value.status == 422
    assert naming in refused.value.detail


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_finds_the_header(delimiter: str) -> None:
    text = f"No{delimiter}Koperasi{delimiter}NIK\n1{delimiter} Melati {delimiter}12\n"
    assert csv_table(text).rows == ((2, {"Koperasi": "Melati", "NIK": "12"}),)


def test_rows_are_numbered_as_a_spreadsheet_does_whatever_line_breaks_and_blank_rows_there_are() -> None:
    text = 'Koperasi,NIK\r\n"Melati\r\nIndah",1\r\n\r\n , \r\nMawar,2\r\n,,\r\n;\r\n'
    assert [row for row, _ in csv_table(text).rows] == [2, 5, 7]
    assert csv_table(text).rows[0][1]["Koperasi"] == "Melati\r\nIndah"


def test_blank_tail_rows_are_dropped() -> None:
    assert len(csv_table("Koperasi,NIK\nMelati,1\n,\n , \n\n").rows) == 1


def test_the_header_is_found_below_titles_and_rows_keep_their_numbers() -> None:
    table = csv_table("Daftar Koperasi\n\nNo,KOPERASI ,nik,Alamat\n1,Melati,12,Jl. A\n")
    assert table.rows == ((4, {"Koperasi": "Melati", "NIK": "12", "Alamat": "Jl. A"}),)


def test_columns_are_known_however_they_are_cased_and_spaced() -> None:
    text = '\ufeff"nama_koperasi",Nomor Induk  Koperasi ( NIK )\nMelati,1\n'
    table = read_table(text.encode(), "x.csv", ("Nama Koperasi", "Nomor Induk Koperasi (NIK)"))
    assert table.rows[0][1] == {"Nama Koperasi": "Melati", "Nomor Induk Koperasi (NIK)": "1"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_texts_of_the_encodings_offices_use_are_read(encoding: str) -> None:
    assert csv_table("Koperasi,NIK\nCafé Melati,1\n", encoding).rows[0][1]["Koperasi"] == "Café Melati"


def test_short_rows_lack_their_last_cells() -> None:
    assert csv_table("Koperasi,NIK\nMelati\n").rows == ((2, {"Koperasi": "Melati", "NIK": ""}),)


def test_a_missing_column_is_named() -> None:
    assert_unreadable(b"Koperasi,Alamat\nMelati,Jl. A\n", naming="'NIK'")
    assert_unreadable(workbook(["Koperasi", "Alamat"], ["Melati", "Jl. A"]), naming="'NIK'")


def test_a_column_that_stands_twice_is_named() -> None:
    assert_unreadable(b"Koperasi,NIK,nik\nMelati,1,2\n", naming="'NIK'")


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (b"", "list.csv"),
        (b"\0\0\0", "list.csv"),
        (b"\xff\xfeK", "list.csv"),
        (b"PK\x03\x04", "list.csv"),
        (b"Koperasi,NIK\nMelati,1\n", "list.xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "list.xls"),
        (b'Koperasi,NIK\n"' + b"x" * 200_000, "list.csv"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, filename: str) -> None:
    assert_unreadable(content, filename)


def test_more_rows_than_any_register_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_ROWS", 3)
    assert len(csv_table("Koperasi,NIK\n" + "Melati,1\n" * 3).rows) == 3
    assert_unreadable(b"Koperasi,NIK\n" + b"Melati,1\n" * 4)


def test_a_sheet_wider_or_fuller_than_any_register_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = "Koperasi,NIK" + ",x" * (uploads.MOST_COLUMNS - 2)
    assert csv_table(f"{wide}\nMelati,1\n").rows
    assert_unreadable(f"{wide},x\nMelati,1\n".encode(), naming="columns")
    monkeypatch.setattr(uploads, "LARGEST_SHEET_CELLS", 6)
    assert len(csv_table("Koperasi,NIK\nMelati,1\n,\nMawar,2,beyond\n").rows) == 2
    assert_unreadable(b"Koperasi,NIK\nMelati,1\nMawar,2\nTulip,3\n", naming="cells")


def test_the_sheet_is_kept_as_it_came_for_whoever_gives_it_back() -> None:
    table = csv_table("Daftar,,\n\nKoperasi,NIK,Lain\n Melati ,1\n,,\nMawar,2,x,beyond\n")
    assert table.header_row == 3
    assert table.uploaded == (
        (1, ("Daftar", "", "")),
        (3, ("Koperasi", "NIK", "Lain")),
        (4, ("Melati", "1")),
        (6, ("Mawar", "2", "x")),
    )


def test_typed_cells_of_a_workbook_become_the_text_a_source_would_write() -> None:
    rows = [
        ("Koperasi", "NIK", "Alamat"),
        (" Melati ", 3507010020001, datetime(2021, 3, 9)),  # noqa: DTZ001
        ("Mawar", "3507010020002", "day zero"),
        ("Anggrek", 3824, 1.5),
        (None, None, None),
        ("Tulip", True, datetime(2021, 3, 9, 8, 30)),  # noqa: DTZ001
    ]
    table = read_table(workbook(*rows), "list.xlsx", NEEDED, ("Alamat",), DOT_THOUSANDS)
    assert [(row, *cells.values()) for row, cells in table.rows] == [
        (2, "Melati", "3507010020001", "09/03/2021"),
        (3, "Mawar", "3507010020002", "00/01/1900"),
        (4, "Anggrek", "3824", "1,5"),
        (6, "Tulip", "TRUE", "09/03/2021 08:30:00"),
    ]


def test_the_sheet_with_the_header_is_found_and_rows_are_counted_from_the_top_of_the_sheet() -> None:
    content = workbook([], [], ["Koperasi", "NIK"], ["Melati", 1], sheets=[[["Petunjuk"], ["Isi lembar 2"]]])
    assert read_table(content, "list.xlsx", NEEDED).rows == ((4, {"Koperasi": "Melati", "NIK": "1"}),)


GOOD = workbook(["Koperasi", "NIK"], ["Melati", 1], ["Mawar", 2])


@pytest.mark.parametrize(
    "change",
    [
        lambda name, text: text.replace('r="B3"', 'r="XFD1048576"'),
        lambda name, text: text.replace('r="B3"', 'r="ZZZZZZZZZZ99999999999"'),
        lambda name, text: re.sub('niqueCount="[^"]*"', 'niqueCount="4000000000"', text),
        lambda name, text: "" if "sheet1" in name else text,
        lambda name, text: "" if name == "xl/workbook.xml" else text,
        lambda name, text: text.replace("<v>0</v>", "<v>99999999</v>"),
    ],
    ids=["far cell", "no cell", "shared strings", "no sheet", "no workbook", "no string"],
)
def test_a_crafted_workbook_is_refused_and_the_process_lives(change: Callable[[str, str], str]) -> None:
    assert_unreadable(rewritten(GOOD, change), "list.xlsx")


def test_a_zip_bomb_ends_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MEMORY_BYTES", 200 << 20)
    assert read_table(GOOD, "list.xlsx", NEEDED)
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        zipfile.ZipFile(io.BytesIO(GOOD)) as good,
    ):
        for name in good.namelist():
            if name != "xl/sharedStrings.xml":
                archive.writestr(name, good.read(name))
        with archive.open("xl/sharedStrings.xml", "w", force_zip64=True) as strings:
            strings.write(b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>')
            for _ in range(250):
                strings.write(b"x" * 1_000_000)
    assert len(bomb.getvalue()) < 2_000_000
    assert_unreadable(bomb.getvalue(), "list.xlsx")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
def test_a_truncated_or_damaged_workbook_is_read_or_refused(at: int, byte: int, truncated: bool) -> None:
    content = GOOD[:at] if truncated else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with contextlib.suppress(UnreadableFile):
        read_table(content, "list.xlsx", NEEDED)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(lambda text: f"Koperasi,NIK\n{text}".encode(errors="surrogatepass"))))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    if content.startswith(b"PK\x03\x04"):
        return
    try:
        table = read_table(content, "list.csv", NEEDED)
    except UnreadableFile:
        return
    assert all(set(cells) == set(NEEDED) for _, cells in table.rows)
