"""One PUAS request: a cooperative, or somebody for it, asks the office for mentoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, assert_never
from uuid import UUID

from chassis.definitions.decider import Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.sealed import Sealed

type Category = Literal["rat", "bookkeeping", "vacant_board", "dispute", "legality", "business", "bad_loans", "other"]
type Channel = Literal["letter", "phone", "web", "visit", "camat"]
type State = Literal["requested"]

# ---------------------------------------------------------------- events: stored for ever


class MentoringRequested(Event):
    """Somebody asked for mentoring; what names a person or is free text is sealed with the request's own key."""

    cooperative_id: UUID | None
    cooperative_name: Sealed
    kecamatan_code: str
    village_code: str | None = None
    address: Sealed
    people: Sealed
    complaint: Sealed
    category: Category
    channel: Channel
    letter_number: Sealed | None = None
    letter_date: date | None = None
    received_on: date


type RequestEvent = MentoringRequested

# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands: what was asked, and how far it has come. Both None before it was made."""

    asked: MentoringRequested | None = None
    state: State | None = None


def evolve(state: Request, event: RequestEvent) -> Request:
    """Return the request after the event."""
    match event:
        case MentoringRequested():
            return Request(event, "requested")
        case _:
            assert_never(event)


# ---------------------------------------------------------------- commands and rules


class RequestMentoring(Command):
    """Take down a request for mentoring."""

    cooperative_id: UUID | None = None
    cooperative_name: Sealed
    kecamatan_code: str
    village_code: str | None = None
    address: Sealed
    people: Sealed
    complaint: Sealed
    category: Category
    channel: Channel
    letter_number: Sealed | None = None
    letter_date: date | None = None
    received_on: date
    today: date


type RequestCommand = RequestMentoring


class NoSuchRequest(Missing):
    """There is no request with this id."""


class NoSuchCooperative(Missing):
    """There is no cooperative with this id."""


class AlreadyRequested(Rejection):
    """A request is made once."""


class ReceivedInTheFuture(Invalid):
    """A request cannot have been received on a day to come."""


class LetterAfterReceipt(Invalid):
    """A letter is not dated later than the day it was received."""


class VillageElsewhere(Invalid):
    """The village must lie in the kecamatan."""


def decide(command: RequestCommand, state: Request) -> Sequence[RequestEvent]:
    """Return what happens, or raise the rule that forbids it."""
    match command:
        case RequestMentoring():
            return request(command, state)
        case _:
            assert_never(command)


def request(command: RequestMentoring, state: Request) -> Sequence[MentoringRequested]:
    """Take the request down, as received; the office may write it down days later."""
    if state.asked:
        raise AlreadyRequested
    if command.received_on > command.today:
        raise ReceivedInTheFuture("received_on")
    if command.letter_date and command.letter_date > command.received_on:
        raise LetterAfterReceipt("letter_date")
    if command.village_code and not command.village_code.startswith(f"{command.kecamatan_code}."):
        raise VillageElsewhere("location.village_code")
    return [MentoringRequested(**{name: value for name, value in command if name != "today"})]


decider: Decider[RequestCommand, Request, RequestEvent] = Decider(
    stream="request",
    initial=Request(),
    evolve=evolve,
    decide=decide,
    events=(MentoringRequested,),
)
