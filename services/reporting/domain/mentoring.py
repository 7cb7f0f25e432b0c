"""When a request for mentoring is open, and where."""

from datetime import date, datetime

from services.reporting.domain.facts import Facts, MentoringClosed, MentoringRequested, microseconds


def open_in(facts: Facts, as_of: date, known_at: datetime | int) -> str | None:
    """Return the kecamatan code of the request's own location while it is open at `as_of`, else None.

    A request is open from the day it was received until the day it was declined, redirected or completed; on
    that day it no longer is. Only what was recorded at or before `known_at` is used.
    """
    if not isinstance(known_at, int):
        known_at = microseconds(known_at)
    code: str | None = None
    for fact in facts.mentoring:
        if fact.recorded_at > known_at:
            continue
        match fact:
            case MentoringRequested():
                if fact.received_on <= as_of:
                    code = fact.kecamatan_code
            case MentoringClosed():
                if fact.closed_on <= as_of:
                    return None
    return code
