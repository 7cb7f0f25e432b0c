"""An uploaded sheet given back as a workbook: every row where it stood, with what became of it."""

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import xlsxwriter

from chassis.http.uploads import Table

OUTCOME, PROBLEM = "outcome", "problem"
CREATED = datetime(2000, 1, 1)  # noqa: DTZ001  a workbook's dates have no zone
"""Every such workbook is made on this day, so that the same upload and outcomes give the same bytes."""


def annotated(
    table: Table,
    outcomes: Mapping[int, str],
    rejections: Iterable[Mapping[str, Any]],
    warnings: Iterable[Mapping[str, Any]],
) -> bytes:
    """Return the upload as XLSX with two columns more: the outcome of each row, and what is wrong with it.

    `outcomes` are by the spreadsheet's row; a row in no list is unchanged. `rejections` and `warnings` are row
    notes as a report has them. All cells are text, so that nothing is counted as a formula or loses a zero, and
    the workbook, mended, can be uploaded in its turn. Blocks while a large one is written.
    """
    rejected: dict[int, list[str]] = {}
    for note in rejections:
        rejected.setdefault(note["row"], []).append(_explained(note))
    warned: dict[int, list[str]] = {}
    for note in warnings:
        warned.setdefault(note["row"], []).append(f"warning: {_explained(note)}")
    data_rows = {row for row, _ in table.rows}
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        book.set_properties({"created": CREATED})
        bold, bad = book.add_format({"bold": True}), book.add_format({"bg_color": "#F8CBAD"})
        sheet = book.add_worksheet()
        width = _width(table)
        for row, cells in table.uploaded:
            look = bold if row == table.header_row else None
            for column, cell in enumerate(cells[:width]):
                if cell:
                    sheet.write_string(row - 1, column, cell, look)
            if row in data_rows:
                outcome = "rejected" if row in rejected else outcomes.get(row, "unchanged")
                sheet.write_string(row - 1, width, outcome, bad if row in rejected else None)
                if problems := [*rejected.get(row, ()), *warned.get(row, ())]:
                    sheet.write_string(row - 1, width + 1, "; ".join(problems))
        sheet.write_row(table.header_row - 1, width, [OUTCOME, PROBLEM], bold)
        sheet.freeze_panes(table.header_row, 0)
        sheet.set_column(width, width, 12)
        sheet.set_column(width + 1, width + 1, 60)
    return content.getvalue()


def _width(table: Table) -> int:
    """Return how many columns are the caller's own: an annotated sheet that is annotated again keeps its shape."""
    return len(table.header) - 2 if table.header[-2:] == (OUTCOME, PROBLEM) else len(table.header)


def _explained(note: Mapping[str, Any]) -> str:
    return f"{note['column']}: {note['problem']}"
