"""Reads XLSX workbooks in a child process, because a crafted one makes the reader abort the process it runs in.

A cell reference far off the sheet, or a wrong count of shared strings, asks for terabytes at once. The child
has limits of memory and time, so that zip bombs end there too; whatever happens to it, the caller only sees
`UnreadableWorkbook`.
"""

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from python_calamine import CalamineError, SheetTypeEnum, SheetVisibleEnum, load_workbook

MEMORY_BYTES = 1 << 30
SECONDS = 20
LARGEST_SHEET_CELLS = 2_000_000

type Sheet = list[list[str]]


class UnreadableWorkbook(ValueError):
    """The bytes are no workbook, or not one that can be read within the limits."""


def read_workbook(content: bytes, decimal: str = ".") -> list[Sheet]:
    """Return the cells of every visible sheet as text, rows counted from the sheet's first.

    `decimal` separates the fraction of numbers. Blocks for up to SECONDS. Raises UnreadableWorkbook.
    """
    try:
        child = subprocess.run(
            [sys.executable, "-m", __name__, decimal, str(MEMORY_BYTES)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
            timeout=SECONDS + 10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnreadableWorkbook("the workbook takes too long to read") from None
    if child.returncode != 0:
        raise UnreadableWorkbook("the workbook is damaged, or needs too much memory or time")
    answer: dict[str, Any] = json.loads(child.stdout)
    if "problem" in answer:
        raise UnreadableWorkbook(answer["problem"])
    sheets: list[Sheet] = answer["sheets"]
    return sheets


def sheets_of(content: bytes, written: Callable[[float], str]) -> list[Sheet]:
    """Return the cells of every visible sheet; `written` puts numbers into text. May end the process."""
    with load_workbook(io.BytesIO(content)) as workbook:
        sheets = []
        for metadata in workbook.sheets_metadata:
            if metadata.typ != SheetTypeEnum.WorkSheet or metadata.visible != SheetVisibleEnum.Visible:
                continue
            sheet = workbook.get_sheet_by_name(metadata.name)
            if sheet.total_height * sheet.total_width > LARGEST_SHEET_CELLS:
                raise UnreadableWorkbook(f"a sheet has more than {LARGEST_SHEET_CELLS:,} cells")
            rows = sheet.to_python(skip_empty_area=False)
            sheets.append([[_as_text(cell, written) for cell in row] for row in rows])
        return sheets


def _as_text(cell: object, written: Callable[[float], str]) -> str:
    match cell:
        case str() if "\0" in cell:
            raise UnreadableWorkbook("a cell holds a NUL character")
        case str():
            return cell.strip()
        case bool():
            return "TRUE" if cell else "FALSE"
        case int() | float():
            return written(cell)
        case datetime() if cell.time() != time():
            return cell.strftime("%d/%m/%Y %H:%M:%S")
        case date():
            return cell.strftime("%d/%m/%Y")
        case time() if cell == time():
            return "00/01/1900"  # the number 0 formatted as a date, which is how Excel prints an empty cell
        case time() | timedelta():
            return str(cell)
        case _:
            return ""


def main() -> None:
    """Read a workbook from standard input, print its sheets as JSON: the child's side."""
    from chassis.definitions.cells import NumberFormat

    for limit, amount in (
        (resource.RLIMIT_AS, int(sys.argv[2])),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # not every system knows every limit
            resource.setrlimit(limit, (amount, amount))
    try:
        sheets = sheets_of(sys.stdin.buffer.read(), NumberFormat(thousands="", decimal=sys.argv[1]).written)
        answer: dict[str, Any] = {"sheets": sheets}
    except (CalamineError, UnreadableWorkbook, ValueError) as unreadable:
        answer = {"problem": f"the workbook cannot be read: {unreadable}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
