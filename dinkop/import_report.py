"""The report of an import as a workbook: the list row by row with what became of it, then every remark by itself."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import xlsxwriter
from python_calamine import CalamineWorkbook

from chassis.http.annotated import CREATED, OUTCOME, PROBLEM

REMARK = ("row", "column", "value", "problem", "kind")


def write_report(path: Path, answers: Mapping[str, Mapping[str, Any]], sheets: Mapping[str, bytes]) -> None:
    """Write `rows`, the list with outcome and problem of each service, and a sheet of remarks for each.

    `answers` are the services' reports; `sheets` the lists as the services annotated them.
    """
    # Cells are text, as in the annotated lists: a cell that looks like a formula or a link is none.
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), plain) as book:
        book.set_properties({"created": CREATED})
        bold = book.add_format({"bold": True})
        _write_rows(book.add_worksheet("rows"), sheets, bold)
        for service, answer in answers.items():
            _write_remarks(book.add_worksheet(service), answer, bold)


def _write_rows(page: Any, sheets: Mapping[str, bytes], bold: Any) -> None:
    place = 0
    for service, content in sheets.items():
        lines = CalamineWorkbook.from_filelike(BytesIO(content)).get_sheet_by_index(0).to_python(skip_empty_area=False)
        header = next(number for number, line in enumerate(lines) if line[-2:] == [OUTCOME, PROBLEM])
        width = len(lines[header]) - 2
        first = 0 if place == 0 else width  # the list itself once, then what each service adds
        for number, line in enumerate(lines):
            cells = [*line[first:width], *line[width:]]
            if number == header:
                cells[-2:] = [f"{service}: {name}" for name in (OUTCOME, PROBLEM)]
            page.write_row(number, place, cells, bold if number == header else None)
        page.freeze_panes(header + 1, 0)
        place += width + 2 - first
        page.set_column(place - 2, place - 2, 18)
        page.set_column(place - 1, place - 1, 60)


def _write_remarks(page: Any, answer: Mapping[str, Any], bold: Any) -> None:
    counts = {name: value for name, value in answer.items() if not isinstance(value, list)}
    for line, count in enumerate(counts.items()):
        page.write_row(line, 0, count)
    top = len(counts) + 1
    page.write_row(top, 0, REMARK, bold)
    remarks = [(note, "rejected") for note in answer["rejections"]] + [(note, "warning") for note in answer["warnings"]]
    for line, (note, kind) in enumerate(sorted(remarks, key=lambda each: each[0]["row"]), top + 1):
        page.write_row(line, 0, [*(note[name] for name in REMARK[:-1]), kind])
    page.set_column(0, 0, 18)
    page.set_column(1, 3, 40)
