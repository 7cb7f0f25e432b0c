"""Which rules a command breaks, from the words of the interface and the events that were accepted before it.

Each function returns the answers that are right: `409 tracing-required` where the interface names the problem, the
status alone where it doesn't, and nothing at all where no rule forbids it, so that the command must be accepted.
Of several broken rules any may be the one that is told.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from by_the_text import Events, last, lies_in, the_meeting, the_register
from system import TODAY

type Body = dict[str, Any]
type Refusals = set[str]

# ---------------------------------------------------------------- registry


def of_registration(body: Body, others: list[Events]) -> Refusals:
    return set(_of_record(body, others, body)) | _not_after_today(body["legal_entity_date"])


def of_correction(changes: Body, events: Events, others: list[Events]) -> Refusals:
    """Also "422: this value can't be right" for a correction after which everything is as before."""
    if standing := _not_standing(events):
        return standing
    record, moves = _state(events)
    place = record if "kecamatan_code" in changes else last(moves, "effective_on") or record
    refusals = set(_of_record({**record, **changes}, others, {**place, "village_code": None, **changes}))
    if all({**record, **place}[field] == value for field, value in changes.items()):
        refusals.add("422")
    return refusals | _not_after_today(changes.get("legal_entity_date"))


def of_relocation(body: Body, events: Events) -> Refusals:
    refusals = _not_standing(events) or _in_its_life(body["effective_on"], events)
    return refusals if lies_in(body["kecamatan_code"], body.get("village_code")) else refusals | {"422"}


def of_tracing(body: Body, events: Events) -> Refusals:
    return _not_standing(events) or _in_its_life(body["traced_on"], events)


def of_proposal(body: Body, events: Events) -> Refusals:
    """ "Needs two tracings not_found or dormant on different days"."""
    if standing := _not_standing(events):
        return standing
    refusals = _in_its_life(body["letter_date"], events)
    if _open_proposal(events):
        refusals.add("409")
    missed = [event for event in events if event["what"] == "traced" and event["finding"] in ("not_found", "dormant")]
    if len({event["traced_on"] for event in missed}) < 2:
        refusals.add("409 tracing-required")
    return refusals


def of_decision(body: Body, events: Events) -> Refusals:
    """ "409 without an open proposal"."""
    if standing := _not_standing(events):
        return standing
    proposal = _open_proposal(events)
    if proposal is None:
        return {"409"}
    refusals = _not_after_today(body["decided_on"])
    return refusals | {"422"} if body["decided_on"] < proposal["letter_date"] else refusals


# ---------------------------------------------------------------- rat


def of_meeting(body: Body, events: Events) -> Refusals:
    refusals = _not_standing(events) or set(_of_minutes(body, body["book_year"]))
    return refusals | {"409 rat-already-recorded"} if the_meeting(events, body["book_year"]) else refusals


def of_verification(body: Body, book_year: int, events: Events) -> Refusals:
    """Once, until a correction: "a verification falls"."""
    meeting = the_meeting(events, book_year)
    if refusals := _without_record(meeting, events):
        return refusals
    assert meeting is not None
    refusals = _not_after_today(body["verified_on"])
    if body["verified_on"] < meeting["held_on"]:
        refusals.add("422")
    return refusals | {"409"} if meeting.get("verified_on") else refusals


def of_meeting_correction(changes: Body, book_year: int, events: Events) -> Refusals:
    meeting = the_meeting(events, book_year)
    if refusals := _without_record(meeting, events):
        return refusals
    assert meeting is not None
    if all(meeting.get(field) == value for field, value in changes.items()):
        return {"422"}
    return set(_of_minutes({**meeting, **changes}, book_year))


def of_annulment(book_year: int, events: Events) -> Refusals:
    return _without_record(the_meeting(events, book_year), events)


def _without_record(meeting: Body | None, events: Events) -> Refusals:
    if refusals := _not_standing(events):
        return refusals
    return set() if meeting else {"404 no-such-rat"}


def _of_minutes(minutes: Body, book_year: int) -> Iterator[str]:
    """ "422 when held_on lies in the future or not after the book year's end, when more are present than are members,
    or when half or fewer are present and second_meeting is not set (/problems/no-quorum)"."""
    yield from _not_after_today(minutes["held_on"])
    if minutes["held_on"] <= date(book_year, 12, 31):
        yield "422"
    members, present = minutes.get("members_total"), minutes.get("members_present")
    if members is not None and present is not None:
        if present > members:
            yield "422"
        if present <= members / 2 and not minutes.get("second_meeting"):
            yield "422 no-quorum"


# ---------------------------------------------------------------- mentoring


def of_request(body: Body, events: Events | None) -> Refusals:
    """`events` are those of the cooperative it is about, None when it is about none that is known."""
    refusals = {"404"} if events is not None and not events else set()
    return refusals | _not_after_today(body["received_on"])


def of_answer(what: str, body: Body, events: Events) -> Refusals:
    """A request is decided once; one that was accepted is worked on until it is completed, once; all in this order."""
    if not events:
        return {"404"}
    happened = {event["what"] for event in events}
    if what in ("activity", "completed"):
        if "accepted" not in happened or "completed" in happened:
            return {"409"}
    elif happened & {"accepted", "declined", "redirected"}:
        return {"409"}
    days = [event["on"] for event in events]
    earliest = max(days) if what == "completed" else days[0]
    too_early = body["on"] < earliest or body.get("visit_on", TODAY) < earliest
    return _not_after_today(body["on"]) | ({"422"} if too_early else set())


# ---------------------------------------------------------------- what several have in common


def _state(events: Events) -> tuple[Body, Events]:
    record, moves = the_register(events)
    assert record is not None
    return record, moves


def _not_standing(events: Events) -> Refusals:
    """ "404 an unknown cooperative; 409 a dissolved one"."""
    if not events:
        return {"404"}
    return {"409"} if any(event["what"] == "removal_approved" for event in events) else set()


def _open_proposal(events: Events) -> Body | None:
    proposal = None
    for event in events:
        if event["what"].startswith("removal_"):
            proposal = event if event["what"] == "removal_proposed" else None
    return proposal


def _of_record(record: Body, others: list[Events], place: Body) -> Iterator[str]:
    """ "A taken NIK, or a taken number unless both sides carry different NIKs: 409"."""
    if not lies_in(place["kecamatan_code"], place.get("village_code")):
        yield "422"
    for events in others:
        other, _ = _state(events)
        both_niks = record.get("nik") and other["nik"]
        if both_niks and record["nik"] == other["nik"]:
            yield "409 already-registered"
        if _number(record) == _number(other) and not both_niks:
            yield "409 already-registered"


def _number(record: Body) -> str:
    """ "Its normalised form, upper case without blanks"."""
    return "".join(record["legal_entity_number"].split()).upper()


def _in_its_life(day: date, events: Events) -> Refusals:
    born = _state(events)[0]["legal_entity_date"]
    return {"422"} if day > TODAY or (born and day < born) else set()


def _not_after_today(day: date | None) -> Refusals:
    return {"422"} if day is not None and day > TODAY else set()
