"""Cells of imported spreadsheets: reading what a source's conventions allow, and saying what is wrong otherwise.

The separator of thousands belongs to the source and is never guessed: `3.350` is 3350 in one sheet and no
count at all in another.
"""

import re
from dataclasses import dataclass
from datetime import date

BLANKS = frozenset({"", "-", "00/01/1900"})
"""How sources write "nothing": blank, a dash, and the date Excel prints for an empty cell."""

_DATE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")


class BadCell(ValueError):
    """A cell cannot be read; the message says why, for the one who will mend it."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with a row. `row` is the spreadsheet's row; the header is row 1."""

    row: int
    column: str
    value: str | None
    problem: str


def text(cell: str) -> str | None:
    """Return the cell with runs of blanks and line breaks as one blank; None when it says nothing."""
    words = " ".join(cell.split())
    return None if words in BLANKS else words


def compact(value: str) -> str:
    """Return upper case without blanks: the form in which numbers of deeds and letters are compared."""
    return "".join(value.upper().split())


def day(cell: str) -> date | None:
    """Read `dd/mm/yyyy`; None when the cell says nothing. Raises BadCell."""
    cell = cell.strip()
    if cell in BLANKS:
        return None
    match = _DATE.fullmatch(cell)
    if match is None:
        raise BadCell("is not a date written dd/mm/yyyy")
    try:
        found = date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        raise BadCell("is not a day of the calendar") from None
    if not 1900 <= found.year <= 2199:
        raise BadCell("is not a day between 1900 and 2199")
    return found


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a source writes numbers: what separates thousands, and what the fraction.

    `bookkeeping` is for sheets that show numbers as ledgers do: `(1.500)` is negative, and a dash is zero.
    """

    thousands: str
    decimal: str
    bookkeeping: bool = False

    def whole(self, cell: str) -> int | None:
        """Read a whole number, thousands separated or not; None when the cell says nothing. Raises BadCell."""
        cell = cell.strip()
        if cell.isascii() and cell.isdigit() and len(cell) <= 18:
            return int(cell)
        if self.bookkeeping and cell == "-":
            return 0
        if self.bookkeeping and (negative := re.fullmatch(r"\(\s*([0-9][0-9.,]*)\s*\)", cell)):
            return -(self.whole(negative[1]) or 0)
        if cell in BLANKS:
            return None
        if not re.fullmatch(rf"-?[0-9]{{1,3}}({re.escape(self.thousands)}[0-9]{{3}}){{0,5}}|-?[0-9]{{1,18}}", cell):
            raise BadCell(f"is not a whole number with '{self.thousands}' between thousands")
        return int(cell.replace(self.thousands, ""))

    def written(self, number: float) -> str:
        """Return a number a spreadsheet holds as this source would write it, without separating thousands."""
        if isinstance(number, int) or number.is_integer():
            return str(int(number))
        return repr(number).replace(".", self.decimal)


COMMA_THOUSANDS = NumberFormat(thousands=",", decimal=".")
DOT_THOUSANDS = NumberFormat(thousands=".", decimal=",", bookkeeping=True)
