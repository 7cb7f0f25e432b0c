"""The numbers of every kecamatan worked out by hand from an export: only the file, the calendar and the rule's text."""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from contracts.regions import all_kecamatan, resolve_kecamatan

type Numbers = dict[str | None, Counter[str]]


def rows_of(file: Path) -> list[dict[str, str]]:
    """Return the rows of an export in CSV."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def counts(rows: list[dict[str, str]], as_of: date) -> Numbers:
    """Return per kecamatan code (None: not resolved) how many are what; an absent count is 0."""
    found: Numbers = {place.code: Counter() for place in all_kecamatan()} | {None: Counter()}
    for row in rows:
        found[resolve_kecamatan(row["Kecamatan"])].update(_is(row, as_of))
    return found


def _is(row: dict[str, str], as_of: date) -> Iterator[str]:
    founded = _date(row["Tanggal Badan Hukum Pendirian"])
    if founded is not None and founded > as_of:
        return
    yield "registered"
    meeting = _date(row["Tanggal RAT Terakhir"])
    held = set()
    if meeting is not None and meeting <= as_of:
        held.add(meeting.year - 1)
    if meeting is not None and row["Status Grade"].strip() == "A":
        held |= {year for year in (meeting.year - 2, meeting.year - 3) if date(year + 1, 12, 31) <= as_of}
    current = as_of.year - 1
    held_current = meeting is not None and meeting <= as_of and meeting.year - 1 == current
    latest = current if held_current or as_of > date(as_of.year, 6, 30) else current - 1
    window = {year for year in (latest - 2, latest - 1, latest) if founded is None or year >= founded.year}
    if not window:
        yield "not_yet_due"
        return
    yield "obliged"
    if latest in held:
        yield "held_latest"
    if window <= held:
        yield "healthy" if len(window) == 3 else "on_track"
    else:
        yield "inconsistent" if window & held else "lapsed"


def _date(cell: str) -> date | None:
    try:
        day, month, year = map(int, cell.strip().split("/"))
        return date(year, month, day)
    except ValueError:
        return None
