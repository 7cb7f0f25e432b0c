"""An upload given back: every row where it stood, with what became of it."""

import io
import re
import zipfile
from typing import Any

import pytest
import xlsxwriter
from python_calamine import load_workbook

from chassis.http.annotated import annotated
from chassis.http.imports import XLSX, prefers_workbook
from chassis.http.uploads import Table, read_table

CSV = "Daftar Koperasi;;\n\nKoperasi;NIK;Alamat\nMelati;0012;=1+1\n;;\nMawar;x;Jl. A;beyond\nTulip;3;\n"
REJECTED = [{"row": 6, "column": "NIK", "value": "x", "problem": "is not 13 digits"}]
WARNED = [
    {"row": 6, "column": "Alamat", "value": None, "problem": "is odd"},
    {"row": 7, "column": "NIK", "value": "3", "problem": "is short"},
]


def uploaded(text: str = CSV) -> Table:
    return read_table(text.encode(), "list.csv", ("Koperasi", "NIK"))


def cells(content: bytes) -> list[list[Any]]:
    with load_workbook(io.BytesIO(content)) as book:
        return [
            [cell if cell != "" else None for cell in row]
            for row in book.get_sheet_by_index(0).to_python(skip_empty_area=False)
        ]


def test_every_row_stands_where_it_stood_with_its_outcome_and_its_problems() -> None:
    assert cells(annotated(uploaded(), {4: "registered"}, REJECTED, WARNED)) == [
        ["Daftar Koperasi", None, None, None, None],
        [None] * 5,
        ["Koperasi", "NIK", "Alamat", "outcome", "problem"],
        ["Melati", "0012", "=1+1", "registered", None],
        [None] * 5,
        ["Mawar", "x", "Jl. A", "rejected", "NIK: is not 13 digits; warning: Alamat: is odd"],
        ["Tulip", "3", None, "unchanged", "warning: NIK: is short"],
    ]


def test_a_rejected_row_is_rejected_whatever_else_was_planned_for_it() -> None:
    assert cells(annotated(uploaded(), {6: "registered"}, REJECTED, []))[5][3] == "rejected"


def test_the_same_upload_and_outcomes_give_the_same_bytes() -> None:
    content = annotated(uploaded(), {4: "registered"}, REJECTED, WARNED)
    assert annotated(uploaded(), {4: "registered"}, REJECTED, WARNED) == content
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert {part.date_time[0] for part in parts.infolist()} == {1980}
        days = re.findall(r"\d{4}-\d{2}-\d{2}T", parts.read("docProps/core.xml").decode())
    assert set(days) == {"2000-01-01T"}, "no moment of making it gets in"


def test_it_can_be_uploaded_in_its_turn_and_its_own_columns_do_not_pile_up() -> None:
    first = annotated(uploaded(), {}, REJECTED, [])
    again = read_table(first, "list.xlsx", ("Koperasi", "NIK"))
    assert again.rows == uploaded().rows
    assert annotated(again, {}, [], []) == annotated(uploaded(), {}, [], [])


def test_numbers_and_days_of_a_workbook_come_back_as_they_are_read() -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Koperasi", "NIK"])
        sheet.write_row(1, 0, ["Melati", 3507010020001])
    table = read_table(content.getvalue(), "list.xlsx", ("Koperasi", "NIK"))
    assert cells(annotated(table, {}, [], []))[1] == ["Melati", "3507010020001", "unchanged", None]


@pytest.mark.parametrize(
    ("accept", "workbook"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (XLSX, True),
        (XLSX.upper(), True),
        (f"{XLSX}, */*;q=0.8", True),
        (f"{XLSX};q=0.5, application/json", False),
        (f"application/json;q=0.5, {XLSX}", True),
        (f"{XLSX};q=0", False),
        (f"{XLSX};q=much", False),
        (f"{XLSX}, application/json", False),
        (",;=,;q", False),
    ],
)
def test_a_workbook_is_what_asks_for_it_by_name_gets(accept: str, workbook: bool) -> None:
    assert prefers_workbook(accept) is workbook
