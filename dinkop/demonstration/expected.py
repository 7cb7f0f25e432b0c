"""What loading the demonstration must come to: the rules applied naively to the invented histories and stories.

Written apart from the services' own rules on purpose, so that each can find the other wrong.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from dinkop.demonstration.calls import Call
from dinkop.demonstration.regency import Cooperative, Regency
from dinkop.demonstration.stories import commands

EXACT_FROM = date(2023, 7, 1)
"""From this day on every book year of the window lies within the exports; before it they know less than happened."""

COUNTED = (
    *("registered", "obliged", "healthy", "on_track", "inconsistent", "lapsed", "not_yet_due", "held_latest"),
    *("not_found", "removal_proposed", "mentoring_open"),
)

_CLOSED_ON = {"declines": "declined_on", "redirections": "redirected_on", "completions": "completed_on"}


def expected(regency: Regency, as_of: date) -> dict[str, Counter[str]]:
    """Return the counts of each kecamatan, under the names that `GET /v1/kecamatan` has for them.

    For days from EXACT_FROM until the demonstration's own. An absent count is 0.
    """
    counts: dict[str, Counter[str]] = {}
    existence = found(regency, as_of)
    for cooperative in regency.cooperatives:
        here = counts.setdefault(cooperative.kecamatan_at(as_of), Counter())
        if cooperative.legal_entity_date <= as_of:
            verdict = status(cooperative, as_of)
            here.update(("registered", verdict))
            here["obliged"] += verdict != "not_yet_due"
            here["held_latest"] += verdict != "not_yet_due" and _latest(cooperative, as_of) in _held(cooperative, as_of)
            here[existence.get(cooperative.nik, "registered")] += cooperative.nik in existence
    for kecamatan_code in _asking(regency, as_of):
        counts[kecamatan_code]["mentoring_open"] += 1
    return {code: Counter({name: here[name] for name in COUNTED}) for code, here in counts.items()}


def found(regency: Regency, as_of: date) -> dict[str, str]:
    """Return what was found last of each cooperative that was traced, by NIK, unless its removal is proposed."""
    findings: dict[str, tuple[str, str]] = {}
    proposed: set[str] = set()
    for call in commands(regency):
        match call.kind:
            case "tracings" if call.body["traced_on"] <= as_of.isoformat():
                findings[call.about] = max(findings.get(call.about, ("", "")), (call.body["traced_on"], _finding(call)))
            case "removal-proposals" if call.body["letter_date"] <= as_of.isoformat():
                proposed.add(call.about)
            case "removal-decisions" if call.body["decided_on"] <= as_of.isoformat():
                assert call.body["decision"] == "rejected"
                proposed.remove(call.about)
    return {nik: finding for nik, (_, finding) in findings.items()} | dict.fromkeys(proposed, "removal_proposed")


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


def _finding(call: Call) -> str:
    told: dict[str, Any] = call.body
    if "finding" in told:
        return str(told["finding"])
    if told["operating"]:
        return "found"
    return "dormant" if told["members_reached"] or told["office_found"] else "not_found"


def _asking(regency: Regency, as_of: date) -> Iterator[str]:
    """Yield the kecamatan of each request that is open."""
    where: dict[str, list[str]] = {}
    for call in commands(regency):
        match call.kind:
            case "requests" if call.body["received_on"] <= as_of.isoformat():
                where.setdefault(call.about, []).append(call.body["location"]["kecamatan_code"])
            case kind if kind in _CLOSED_ON and call.body[_CLOSED_ON[kind]] <= as_of.isoformat():
                where[call.about].pop()
    for asking in where.values():
        yield from asking
