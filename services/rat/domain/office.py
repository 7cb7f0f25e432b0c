"""The office's own performance sheet (lembar keragaan): what a row says about the last meeting and its figures."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from chassis.definitions import cells
from chassis.definitions.cells import DOT_THOUSANDS, BadCell, RowProblem
from services.rat.domain.annual_meetings import Minutes
from services.rat.domain.imports import Reading, Sheet, day_of_meeting, members

ID = "idkop"
NUMBER = "nobh"
LAST_MEETING = "tglrat"
HELD = "rat"
MEMBERS = "Anggt"
OWN_CAPITAL = "modalsendiri"
OUTSIDE_CAPITAL = "modalluar"
TURNOVER = "volusaha"
NET_SURPLUS = "shu"
ASSETS = "asset"

NUMBERS = DOT_THOUSANDS

_AMOUNTS = {
    "own_capital": OWN_CAPITAL,
    "outside_capital": OUTSIDE_CAPITAL,
    "turnover": TURNOVER,
    "net_surplus": NET_SURPLUS,
    "total_assets": ASSETS,
}
_LARGEST_AMOUNT = 10**15
_NIK = re.compile(r"[0-9]{13}")
_SEN = re.compile(r",([0-9]{1,2}|[0-9]{4,})(\)?)$")
"""What formulas leave behind the comma. Three digits may be thousands of another format: that is not guessed."""


def read_row(row: int, row_cells: Mapping[str, str]) -> Reading:
    """Read one row of the sheet; `row_cells` has the needed columns and any of the optional ones.

    A row without a date tells of no meeting, so its figures have no book year to stand in and are passed over.
    """
    nik, number = nik_of(row_cells.get(ID, "")), cells.text(row_cells[NUMBER])
    try:
        held_on = day_of_meeting(row_cells[LAST_MEETING])
    except BadCell as bad:
        problem = RowProblem(row, LAST_MEETING, row_cells[LAST_MEETING], str(bad))
        return Reading(row, nik, number, problems=[problem])
    if held_on is None:
        return Reading(row, nik, number, warnings=_undated(row, row_cells))
    return _with_figures(Reading(row, nik, number), held_on, row_cells)


def nik_of(cell: str) -> str | None:
    """Return the NIK in `idkop`: 13 digits; any other content is a number of the office's own and identifies nobody."""
    written = cells.text(cell)
    return written if written and _NIK.fullmatch(written) else None


def _undated(row: int, row_cells: Mapping[str, str]) -> list[RowProblem]:
    if row_cells.get(HELD, "").strip() != "1":
        return []
    return [RowProblem(row, LAST_MEETING, None, f"column '{HELD}' says that a meeting was held, and no date when")]


def _with_figures(about: Reading, held_on: date, row_cells: Mapping[str, str]) -> Reading:
    amounts: dict[str, int | None] = {}
    problems: list[RowProblem] = []
    for name, column in _AMOUNTS.items():
        try:
            amounts[name] = rupiah(row_cells.get(column, ""))
        except BadCell as bad:
            problems.append(RowProblem(about.row, column, row_cells[column], str(bad)))
    if problems:
        return replace(about, problems=problems)
    told = {"held_on": held_on, "members_total": members(row_cells.get(MEMBERS, ""), NUMBERS), **amounts}
    minutes = Minutes.model_validate(told)
    return replace(about, minutes=minutes, warnings=_out_of_balance(about.row, minutes, row_cells))


def _out_of_balance(row: int, minutes: Minutes, row_cells: Mapping[str, str]) -> list[RowProblem]:
    """Return a warning when the assets are not the sum of the capitals, as in 307 of 310 rows of a real sheet."""
    own, outside, assets = minutes.own_capital, minutes.outside_capital, minutes.total_assets
    if own is None or outside is None or assets is None or own + outside == assets:
        return []
    return [RowProblem(row, ASSETS, row_cells[ASSETS], f"is not the sum of '{OWN_CAPITAL}' and '{OUTSIDE_CAPITAL}'")]


def rupiah(cell: str) -> int | None:
    """Read an amount in the sheet's own way, in whole rupiah: sen are rounded. Raises BadCell."""
    cell = cell.strip()
    sen = _SEN.search(cell)
    amount = NUMBERS.whole(_SEN.sub(r"\2", cell))
    if sen and amount is None:
        raise BadCell("is not an amount")
    if sen and amount is not None and sen[1] >= "5":
        amount += -1 if cell.startswith(("-", "(")) else 1
    if amount is not None and abs(amount) > _LARGEST_AMOUNT:
        raise BadCell("is more than any cooperative has")
    return amount


SHEET = Sheet(
    needed=(NUMBER, LAST_MEETING),
    optional=(ID, HELD, MEMBERS, *_AMOUNTS.values()),
    numbers=NUMBERS,
    columns={"nik": ID, "number": NUMBER, "held_on": LAST_MEETING},
    read_row=read_row,
)
