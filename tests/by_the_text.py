"""What reporting answers once more, slow and plain, from the words of the interface: to compare the fast one with.

It knows nothing of the code under test. An event is a dict with `what` and `at` (when it was recorded, any
comparable); the events of one subject come in the order of recording. What an event lacks, nobody asks for.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

type Events = list[dict[str, Any]]

STATUSES = ("healthy", "on_track", "inconsistent", "lapsed", "not_yet_due")


def by_the_text(events: Events, as_of: date, known_at: Any) -> dict[str, Any] | None:
    """Return what a cooperative is; None when it doesn't count."""
    known = [event for event in events if event["at"] <= known_at]
    record, moves = the_register(known)

    # "A cooperative counts from its legal_entity_date on, and from its RemovalApproved.decided_on on no longer."
    if record is None:
        return None
    born = record["legal_entity_date"]
    if born is not None and as_of < born:
        return None
    if any(event["what"] == "removal_approved" and event["decided_on"] <= as_of for event in known):
        return None

    # "Its kecamatan at as_of is by the last CooperativeRelocated.effective_on <= as_of."
    place = last(moves, "effective_on", as_of) or record

    # "existence is one value: removal_proposed from the proposal's letter_date until decided, else the last
    # finding by traced_on; of two on one day the later recorded wins."
    traced = last([event for event in known if event["what"] == "traced"], "traced_on", as_of)
    existence = traced["finding"] if traced else "registered"
    for number, event in enumerate(known):
        if event["what"] == "removal_proposed" and event["letter_date"] <= as_of:
            decisions = [e for e in known[number:] if e["what"] in ("removal_rejected", "removal_approved")]
            if not decisions or as_of < decisions[0]["decided_on"]:
                existence = "removal_proposed"

    # "A year is held when an unannulled RATHeld for it has held_on <= as_of, or an attestation covers it
    # (attested years count as held from 31 December of Y+1)."
    def meeting(year: int) -> dict[str, Any] | None:
        found = the_meeting(known, year)
        return found if found is not None and found["held_on"] <= as_of else None

    def attested(year: int) -> bool:
        covered = any(event["what"] == "attested" and event["book_year"] == year for event in known)
        return covered and date(year + 1, 12, 31) <= as_of

    def held(year: int) -> bool:
        return meeting(year) is not None or attested(year)

    # "Book year Y is due on 30 June of Y+1."
    def due(year: int) -> date:
        return date(year + 1, 6, 30)

    # "With Yc = year(as_of) - 1: the latest book year is Yc if a RAT for Yc was held on or before as_of, or as_of is
    # later than due(Yc); else Yc - 1. The window is latest - 2 ... latest, without years before the first."
    yc = as_of.year - 1
    latest = yc if meeting(yc) is not None or as_of > due(yc) else yc - 1
    first = -10_000 if born is None else born.year
    window = [year for year in (latest - 2, latest - 1, latest) if year >= first]

    # "healthy: three years, all held. on_track: one or two years, all held. inconsistent: some held, some not.
    # lapsed: none held. not_yet_due: empty window."
    if window == []:
        status = "not_yet_due"
    elif all(held(year) for year in window):
        status = "healthy" if len(window) == 3 else "on_track"
    elif any(held(year) for year in window):
        status = "inconsistent"
    else:
        status = "lapsed"

    # "late when held after 31 March of Y+1 (the office's own deadline for primary; 30 June for secondary)"
    def standing(year: int) -> dict[str, Any]:
        found = meeting(year)
        held_on, source = None, None
        if found is not None:
            deadline = date(year + 1, 6, 30) if record["tier"] == "secondary" else date(year + 1, 3, 31)
            held_on, source = found["held_on"], found["source"]
            state = "on_time" if held_on <= deadline else "late"
        elif attested(year):
            state, source = "attested", "nik_grade"
        else:
            state = "missed" if year in window else "pending"
        return {"book_year": year, "due_on": due(year), "state": state, "held_on": held_on, "source": source}

    # "the window, and the current year as pending when it's neither due nor held"
    pending = [yc] if yc >= first and not held(yc) and as_of <= due(yc) else []
    return {
        "name": record.get("name"),
        "nik": record.get("nik"),
        "scope": record.get("scope"),
        "kecamatan_code": place["kecamatan_code"],
        "village_code": place.get("village_code"),
        "existence": existence,
        "status": status,
        "book_years": [standing(year) for year in window + pending],
        "obliged": window != [],
        "held_latest": latest in window and held(latest),
    }


def the_register(known: Events) -> tuple[dict[str, Any] | None, Events]:
    """Return what the register has of a cooperative, with all corrections known, and where it moved.

    "CooperativeCorrected: it was always so; a corrected kecamatan_code replaces the registered one, relocations come
    on top." One that names no kecamatan speaks of the place where the cooperative is; a list always speaks of the
    registered one. A village that another kecamatan leaves behind is gone.
    """
    record: dict[str, Any] | None = None
    moves: Events = []
    for event in known:
        if event["what"] == "registered":
            record = dict(event)
        elif event["what"] == "relocated":
            moves.append(dict(event))
        elif event["what"] in ("corrected", "listed") and record is not None:
            changes = dict(event["changes"])
            of_registered_place = event["what"] == "listed" or "kecamatan_code" in changes
            place = record if of_registered_place else last(moves, "effective_on") or record
            for field in ("kecamatan_code", "village_code"):
                if field in changes:
                    place[field] = changes.pop(field)
            if not lies_in(place["kecamatan_code"], place.get("village_code")):
                place["village_code"] = None
            record.update(changes)
    return record, moves


def the_meeting(known: Events, year: int) -> dict[str, Any] | None:
    """Return the record of the meeting for a book year as it stands: corrections count, an annulled one doesn't."""
    found: dict[str, Any] | None = None
    for event in known:
        if event.get("book_year") == year:
            if event["what"] == "held":
                found = dict(event)
            elif event["what"] == "annulled":
                found = None
            elif event["what"] == "rat_corrected" and found is not None:
                found.update({**event["changes"], "verified_on": None})
            elif event["what"] == "verified" and found is not None:
                found["verified_on"] = event["verified_on"]
    return found


def mentored_in(events: Events, as_of: date, known_at: Any) -> str | None:
    """Return the kecamatan of a request's own location while it is open.

    "From received_on until declined, redirected or completed."
    """
    code = None
    for event in events:
        if event["at"] <= known_at:
            if event["what"] == "requested" and event["received_on"] <= as_of:
                code = event["kecamatan_code"]
            if event["what"] in ("declined", "redirected", "completed") and event["on"] <= as_of:
                code = None
    return code


def counted(cooperatives: Iterable[dict[str, Any]], mentoring_open: int) -> dict[str, int]:
    """Return the numbers of one kecamatan, or of all: of the cooperatives that count there, and requests open there."""
    there = list(cooperatives)
    return {
        "registered": len(there),
        "obliged": len([each for each in there if each["obliged"]]),
        **{status: len([each for each in there if each["status"] == status]) for status in STATUSES},
        "held_latest": len([each for each in there if each["held_latest"]]),
        "not_found": len([each for each in there if each["existence"] == "not_found"]),
        "removal_proposed": len([each for each in there if each["existence"] == "removal_proposed"]),
        "mentoring_open": mentoring_open,
    }


def last(events: Events, day: str, as_of: date = date.max) -> dict[str, Any] | None:
    """Return the last event by its own day; of two on one day the later recorded."""
    past = sorted((event for event in events if event[day] <= as_of), key=lambda event: event[day])
    return past[-1] if past else None


def lies_in(kecamatan_code: str | None, village_code: str | None) -> bool:
    """Tell whether a village, or no village, lies in a kecamatan: "villages 35.07.21.2003"."""
    return village_code is None or village_code.startswith(f"{kecamatan_code}.")
