"""What loading the demonstration must come to: the health rule applied naively to the invented histories.

Written apart from the services' own rule on purpose, so that each can find the other wrong.
"""

from collections import Counter
from datetime import date

from dinkop.demonstration.regency import Cooperative, Regency

EXACT_FROM = date(2023, 7, 1)
"""From this day on every book year of the window lies within the exports; before it they know less than happened."""


def expected(regency: Regency, as_of: date) -> dict[str, Counter[str]]:
    """Return per kecamatan how many are registered, obliged, of each status, and have held the latest book year.

    For days from EXACT_FROM until the demonstration's own. An absent count is 0.
    """
    counts: dict[str, Counter[str]] = {}
    for cooperative in regency.cooperatives:
        here = counts.setdefault(cooperative.kecamatan_at(as_of), Counter())
        if cooperative.legal_entity_date <= as_of:
            verdict = status(cooperative, as_of)
            here.update(("registered", verdict))
            here["obliged"] += verdict != "not_yet_due"
            here["held_latest"] += verdict != "not_yet_due" and _latest(cooperative, as_of) in _held(cooperative, as_of)
    return counts


def total(counts: dict[str, Counter[str]]) -> Counter[str]:
    """Return the counts of the whole regency."""
    return sum(counts.values(), Counter())


def status(cooperative: Cooperative, as_of: date) -> str:
    """Return the status by the rule `rat-3y-2024`."""
    latest = _latest(cooperative, as_of)
    window = [year for year in range(latest - 2, latest + 1) if year >= cooperative.legal_entity_date.year]
    held = [year for year in window if year in _held(cooperative, as_of)]
    if not window:
        return "not_yet_due"
    if not held:
        return "lapsed"
    if held != window:
        return "inconsistent"
    return "healthy" if len(window) == 3 else "on_track"


def _latest(cooperative: Cooperative, as_of: date) -> int:
    current = as_of.year - 1
    due_on = date(as_of.year, 6, 30)
    return current if as_of > due_on or current in _held(cooperative, as_of) else current - 1


def _held(cooperative: Cooperative, as_of: date) -> set[int]:
    return {meeting.book_year for meeting in cooperative.meetings if meeting.held_on <= as_of}
