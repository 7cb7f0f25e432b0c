"""The health rule once more, slow and plain, from the words of the interface: what the fast one is compared with.

It walks calendars day by day and knows nothing of the code under test. An event is a dict with `what` and `at`
(when it was recorded, any comparable), in the order of recording.
"""

from datetime import date, timedelta
from typing import Any

ONE_DAY = timedelta(days=1)
BEGINNING = date(2016, 1, 1)  # before every date of the histories


def by_the_text(
    events: list[dict[str, Any]], as_of: date, known_at: int, beginning: date = BEGINNING
) -> dict[str, Any] | None:
    known = [event for event in events if event["at"] <= known_at]
    past = days(beginning, as_of)

    # What it is: as registered, with all corrections known.
    record = None
    for event in known:
        if event["what"] == "registered":
            record = dict(event)
    if record is None:
        return None
    for event in known:
        if event["what"] == "corrected":
            record.update(event["changes"])

    # "A cooperative counts from its legal_entity_date on, and from its RemovalApproved.decided_on on no longer."
    born = record["legal_entity_date"]
    counted = born is None
    for day in past:
        if day == born:
            counted = True
    for day in past:
        if any(event["what"] == "removal_approved" and event["decided_on"] == day for event in known):
            counted = False
    if not counted:
        return None

    # "Its kecamatan at as_of is by the last CooperativeRelocated.effective_on <= as_of."
    kecamatan_code = record["kecamatan_code"]
    for day in past:
        for event in known:
            if event["what"] == "relocated" and event["effective_on"] == day:
                kecamatan_code = event["kecamatan_code"]

    # "existence is one value: removal_proposed from the proposal's letter_date until decided, else the last
    # finding by traced_on; of two on one day the later recorded wins."
    existence = "registered"
    for day in past:
        for event in known:
            if event["what"] == "traced" and event["traced_on"] == day:
                existence = event["finding"]
    for number, proposal in enumerate(known):
        if proposal["what"] == "removal_proposed":
            decisions = [e for e in known[number:] if e["what"] in ("removal_rejected", "removal_approved")]
            proposed = False
            for day in past:
                if day == proposal["letter_date"]:
                    proposed = True
            for day in past:
                if decisions and decisions[0]["decided_on"] == day:
                    proposed = False
            if proposed:
                existence = "removal_proposed"

    # "A year is held when an unannulled RATHeld for it has held_on <= as_of, or an attestation covers it
    # (attested years count as held from 31 December of Y+1)."
    def meeting(year: int) -> dict[str, Any] | None:
        standing: dict[str, Any] | None = None
        for event in known:
            if event.get("book_year") == year:
                if event["what"] == "held":
                    standing = dict(event)
                elif event["what"] == "rat_corrected" and standing is not None:
                    standing["held_on"] = event["held_on"]
                elif event["what"] == "annulled":
                    standing = None
        if standing is not None and standing["held_on"] in past:
            return standing
        return None

    def attested(year: int) -> bool:
        covered = any(event["what"] == "attested" and event["book_year"] == year for event in known)
        return covered and date(year + 1, 12, 31) in past

    def held(year: int) -> bool:
        return meeting(year) is not None or attested(year)

    # "With Yc = year(as_of) - 1: the latest book year is Yc if a RAT for Yc was held on or before as_of, or as_of is
    # later than due(Yc); else Yc - 1. The window is latest - 2 ... latest, without years before the first."
    yc = as_of.year - 1
    due_has_passed = date(yc + 1, 6, 30) in past[:-1]
    latest = yc if meeting(yc) is not None or due_has_passed else yc - 1
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
    def state(year: int) -> str:
        found = meeting(year)
        if found is None:
            return "attested" if attested(year) else "missed"
        deadline = date(year + 1, 6, 30) if record["tier"] == "secondary" else date(year + 1, 3, 31)
        return "on_time" if found["held_on"] <= deadline else "late"

    book_years = {year: state(year) for year in window}
    if yc >= first and not held(yc) and not due_has_passed:
        book_years[yc] = "pending"
    return {
        "status": status,
        "existence": existence,
        "kecamatan_code": kecamatan_code,
        "book_years": book_years,
        "obliged": window != [],
        "held_latest": latest in window and held(latest),
    }


def days(first: date, last: date) -> list[date]:
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]
