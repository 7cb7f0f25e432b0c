"""Uploaded spreadsheets as tables of text: CSV as offices write it, and XLSX."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chassis.definitions.cells import COMMA_THOUSANDS, NumberFormat
from chassis.definitions.decider import Invalid
from chassis.http.workbooks import LARGEST_SHEET_CELLS, UnreadableWorkbook, read_workbook

DELIMITERS = ",;\t"
HEADER_WITHIN_ROWS = 25
MOST_ROWS = 50_000
MOST_COLUMNS = 1_000
FIELD = "file"


class UnreadableFile(Invalid):
    """The file is no table we can read, or lacks a needed column; nothing was imported."""

    def __init__(self, detail: str) -> None:
        super().__init__(FIELD, detail)


@dataclass(frozen=True, slots=True)
class Table:
    """A header and its rows: (the spreadsheet's row, {column: cell}), cells stripped, blank rows left out.

    Columns are spelled as they were asked for. An optional column that the file lacks is no key of any row.
    `uploaded` is the sheet as it came, titles and header included: (the spreadsheet's row, cells), blank rows
    left out, no row wider than the header, which stands in `header_row`.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    header_row: int
    uploaded: tuple[tuple[int, tuple[str, ...]], ...]


def read_table(
    content: bytes,
    filename: str,
    needed: Collection[str],
    optional: Collection[str] = (),
    numbers: NumberFormat = COMMA_THOUSANDS,
) -> Table:
    """Return the table in a CSV or XLSX file; titles above the header do not matter.

    `numbers` says how the source writes numbers, for cells that a workbook holds as numbers. Blocks while a
    workbook is read. Raises UnreadableFile and nothing else.
    """
    candidates: Iterable[Iterable[list[str]]]
    if content.startswith(b"PK\x03\x04") or filename.lower().endswith(".xlsx"):
        try:
            candidates = read_workbook(content, numbers.decimal)
        except UnreadableWorkbook as unreadable:
            raise UnreadableFile(f"The file is no readable XLSX workbook: {unreadable}.") from None
    elif content.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableFile("The file is an old or an encrypted Excel workbook: save it as XLSX or CSV.")
    else:
        text = _decoded(content)
        candidates = [_Records(text, delimiter) for delimiter in DELIMITERS]
    try:
        return _table(candidates, needed, optional)
    except csv.Error as unreadable:
        raise UnreadableFile(f"The file is no readable CSV: {unreadable}.") from None


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of a CSV text; a spreadsheet shows each as one row, whatever line breaks its cells hold."""

    text: str
    delimiter: str

    def __iter__(self) -> Iterator[list[str]]:
        return csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)


@dataclass(frozen=True, slots=True)
class _Header:
    row: int
    cells: tuple[str, ...]
    places: dict[str, int]
    missing: tuple[str, ...]


def _decoded(content: bytes) -> str:
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise UnreadableFile("The file is neither a CSV text (UTF-8 or Windows-1252) nor an XLSX workbook.")


def _table(candidates: Iterable[Iterable[list[str]]], needed: Collection[str], optional: Collection[str]) -> Table:
    found = [(_header(candidate, needed, optional), candidate) for candidate in candidates]
    if not found:
        raise UnreadableFile("The workbook has no visible sheet.")
    header, records = min(found, key=lambda pair: len(pair[0].missing))
    if header.missing:
        names = ", ".join(f"'{name}'" for name in header.missing)
        raise UnreadableFile(f"Needed and missing: column {names}.")
    columns = len(header.cells)
    if columns > MOST_COLUMNS:
        raise UnreadableFile(f"The file has more than {MOST_COLUMNS:,} columns.")
    rows: list[tuple[int, dict[str, str]]] = []
    uploaded: list[tuple[int, tuple[str, ...]]] = []
    left = LARGEST_SHEET_CELLS
    for number, cells in enumerate(records, 1):
        if not any(cell and not cell.isspace() for cell in cells):
            continue
        line = tuple(cell.strip() for cell in cells[:columns])
        uploaded.append((number, line))
        left -= len(line)
        if left < 0:
            raise UnreadableFile(f"The file has more than {LARGEST_SHEET_CELLS:,} cells.")
        if number <= header.row:
            continue
        if len(rows) == MOST_ROWS:
            raise UnreadableFile(f"The file has more than {MOST_ROWS:,} rows.")
        width = len(line)
        rows.append((number, {column: line[i] if i < width else "" for column, i in header.places.items()}))
    return Table(header.cells, tuple(rows), header.row, tuple(uploaded))


def _header(records: Iterable[list[str]], needed: Collection[str], optional: Collection[str]) -> _Header:
    """Return the first row that has most of the needed columns."""
    best = _Header(0, (), {}, tuple(needed))
    for number, cells in enumerate(islice(records, HEADER_WITHIN_ROWS), 1):
        header = _as_header(number, cells, needed, optional)
        if len(header.missing) < len(best.missing):
            best = header
    return best


def _as_header(number: int, cells: Sequence[str], needed: Collection[str], optional: Collection[str]) -> _Header:
    wordings = [_letters(cell) for cell in cells]
    places = {}
    for name in (*needed, *optional):
        wording = _letters(name)
        if wordings.count(wording) > 1:
            raise UnreadableFile(f"Column '{name}' stands twice.")
        if wording in wordings:
            places[name] = wordings.index(wording)
    return _Header(
        number, tuple(cell.strip() for cell in cells), places, tuple(name for name in needed if name not in places)
    )


def _letters(cell: str) -> str:
    return re.sub(r"[\W_]+", " ", cell.casefold()).strip()
