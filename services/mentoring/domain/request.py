"""One PUAS request: a cooperative, or somebody for it, asks the office for mentoring; and what came of it.

    requested ─┬─> accepted ── activities … ──> completed
               ├─> declined
               └─> redirected

Whatever names a person or is somebody's own words is sealed with the request's key before it gets here. Its people can
be forgotten at any time, whatever the state; from then on nothing can be sealed, so nothing that would have to be is
asked for or taken, and the request still runs its course.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, TypedDict, assert_never
from uuid import UUID

from chassis.definitions.decider import Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.sealed import Sealed

type Category = Literal["rat", "bookkeeping", "vacant_board", "dispute", "legality", "business", "bad_loans", "other"]
type Channel = Literal["letter", "phone", "web", "visit", "camat"]
type ActivityKind = Literal["visit", "training", "monitoring", "evaluation", "rat_attendance"]
type Outcome = Literal["rat_held", "active_again", "merged", "dissolution_path", "unreachable", "withdrawn"]
type State = Literal["requested", "accepted", "declined", "redirected", "completed"]

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


class AboutRequest(Event):
    """What every later event repeats of the request, so that publishing needs nothing but the event."""

    cooperative_id: UUID | None
    kecamatan_code: str


class MentoringAccepted(AboutRequest):
    """The office took the request on; `team` are the names of those who will come, a sealed list."""

    accepted_on: date
    team: Sealed | None
    visit_on: date


class MentoringDeclined(AboutRequest):
    """The office declined the request."""

    declined_on: date
    reason: Sealed | None


class MentoringRedirected(AboutRequest):
    """The office handed the request on to somebody else."""

    redirected_on: date
    to: Sealed | None
    reason: Sealed | None


class MentoringActivityHeld(AboutRequest):
    """The team did something; `participants` is how many took part."""

    kind: ActivityKind
    held_on: date
    participants: int
    notes: Sealed | None


class MentoringCompleted(AboutRequest):
    """The mentoring is over."""

    outcome: Outcome
    completed_on: date
    notes: Sealed | None


class MentoringPeopleForgotten(AboutRequest):
    """The request's key was destroyed: nobody reads its names and words again."""

    forgotten_on: date


type Decision = MentoringAccepted | MentoringDeclined | MentoringRedirected
type RequestEvent = (
    MentoringRequested | Decision | MentoringActivityHeld | MentoringCompleted | MentoringPeopleForgotten
)

# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands: what was asked, what the office decided, what was done, and how it ended."""

    asked: MentoringRequested | None = None
    state: State | None = None
    decision: Decision | None = None
    activities: tuple[MentoringActivityHeld, ...] = ()
    completed: MentoringCompleted | None = None
    forgotten_on: date | None = None

    @property
    def closed_on(self) -> date | None:
        """The day from which on the request is no longer open; None while it is."""
        match self.decision:
            case MentoringDeclined(declined_on=day) | MentoringRedirected(redirected_on=day):
                return day
            case _:
                return self.completed.completed_on if self.completed else None


def evolve(state: Request, event: RequestEvent) -> Request:
    """Return the request after the event."""
    match event:
        case MentoringRequested():
            return Request(event, "requested")
        case MentoringAccepted():
            return replace(state, state="accepted", decision=event)
        case MentoringDeclined():
            return replace(state, state="declined", decision=event)
        case MentoringRedirected():
            return replace(state, state="redirected", decision=event)
        case MentoringActivityHeld():
            return replace(state, activities=(*state.activities, event))
        case MentoringCompleted():
            return replace(state, state="completed", completed=event)
        case MentoringPeopleForgotten():
            return replace(state, forgotten_on=event.forgotten_on)
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


class AcceptRequest(Command):
    """Take the request on: who will come, and when."""

    team: Sealed | None
    visit_on: date
    accepted_on: date
    today: date


class DeclineRequest(Command):
    """Decline the request."""

    reason: Sealed | None
    declined_on: date
    today: date


class RedirectRequest(Command):
    """Hand the request on to somebody else."""

    to: Sealed | None
    reason: Sealed | None
    redirected_on: date
    today: date


class RecordActivity(Command):
    """Record what the team did."""

    kind: ActivityKind
    held_on: date
    participants: int
    notes: Sealed | None
    today: date


class CompleteMentoring(Command):
    """End the mentoring, and say what came of it."""

    outcome: Outcome
    notes: Sealed | None
    completed_on: date
    today: date


class ForgetPeople(Command):
    """Record that the request's key was destroyed."""

    today: date


type RequestCommand = (
    RequestMentoring
    | AcceptRequest
    | DeclineRequest
    | RedirectRequest
    | RecordActivity
    | CompleteMentoring
    | ForgetPeople
)


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


class AlreadyDecided(Rejection):
    """A request is accepted, declined or redirected once."""


class NotAccepted(Rejection):
    """Only a request that was accepted is mentored."""


class AlreadyCompleted(Rejection):
    """A completed mentoring is over: nothing is added to it."""


class NotYet(Invalid):
    """What lies in the future has not been done."""


class BeforeReceipt(Invalid):
    """Nothing is done about a request before it was received."""


class CompletedTooEarly(Invalid):
    """A mentoring is not over before it was accepted, nor before its last activity."""


class WordsMissing(Invalid):
    """Names and words are needed, unless the request's people were forgotten."""


class WordsAfterForgetting(Rejection):
    """A request whose people were forgotten takes no names and no words any more: leave them out."""


def decide(command: RequestCommand, state: Request) -> Sequence[RequestEvent]:
    """Return what happens, or raise the rule that forbids it."""
    match command:
        case RequestMentoring():
            return request(command, state)
        case AcceptRequest():
            return accept(command, state)
        case DeclineRequest():
            return decline(command, state)
        case RedirectRequest():
            return redirect(command, state)
        case RecordActivity():
            return record_activity(command, state)
        case CompleteMentoring():
            return complete(command, state)
        case ForgetPeople():
            return forget_people(command, state)
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


def accept(command: AcceptRequest, state: Request) -> Sequence[MentoringAccepted]:
    """Take the request on. The visit may lie ahead, or behind when it is written down late."""
    asked = _undecided(state)
    _done(command.accepted_on, "accepted_on", command.today, asked)
    _not_before_receipt(command.visit_on, "visit_on", asked)
    return [
        MentoringAccepted(
            **_about(asked),
            accepted_on=command.accepted_on,
            team=_words(command.team, "team", state),
            visit_on=command.visit_on,
        )
    ]


def decline(command: DeclineRequest, state: Request) -> Sequence[MentoringDeclined]:
    """Decline the request, and say why."""
    asked = _undecided(state)
    _done(command.declined_on, "declined_on", command.today, asked)
    return [
        MentoringDeclined(
            **_about(asked), declined_on=command.declined_on, reason=_words(command.reason, "reason", state)
        )
    ]


def redirect(command: RedirectRequest, state: Request) -> Sequence[MentoringRedirected]:
    """Hand the request on, and say to whom and why."""
    asked = _undecided(state)
    _done(command.redirected_on, "redirected_on", command.today, asked)
    return [
        MentoringRedirected(
            **_about(asked),
            redirected_on=command.redirected_on,
            to=_words(command.to, "to", state),
            reason=_words(command.reason, "reason", state),
        )
    ]


def record_activity(command: RecordActivity, state: Request) -> Sequence[MentoringActivityHeld]:
    """Record what was done; activities may be written down late, in any order."""
    asked, _ = _under_way(state)
    _done(command.held_on, "held_on", command.today, asked)
    return [
        MentoringActivityHeld(
            **_about(asked),
            kind=command.kind,
            held_on=command.held_on,
            participants=command.participants,
            notes=_words(command.notes, "notes", state),
        )
    ]


def complete(command: CompleteMentoring, state: Request) -> Sequence[MentoringCompleted]:
    """End the mentoring; one that nothing came of may end without any activity."""
    asked, accepted = _under_way(state)
    _done(command.completed_on, "completed_on", command.today, asked)
    if command.completed_on < max([accepted.accepted_on, *(each.held_on for each in state.activities)]):
        raise CompletedTooEarly("completed_on")
    return [
        MentoringCompleted(
            **_about(asked),
            outcome=command.outcome,
            completed_on=command.completed_on,
            notes=_words(command.notes, "notes", state),
        )
    ]


def forget_people(command: ForgetPeople, state: Request) -> Sequence[MentoringPeopleForgotten]:
    """Record it once, in whatever state the request is."""
    if state.asked is None:
        raise NoSuchRequest
    return [] if state.forgotten_on else [MentoringPeopleForgotten(**_about(state.asked), forgotten_on=command.today)]


class _About(TypedDict):
    cooperative_id: UUID | None
    kecamatan_code: str


def _undecided(state: Request) -> MentoringRequested:
    if state.asked is None:
        raise NoSuchRequest
    if state.decision is not None:
        raise AlreadyDecided(state=state.state)
    return state.asked


def _under_way(state: Request) -> tuple[MentoringRequested, MentoringAccepted]:
    if state.asked is None:
        raise NoSuchRequest
    if not isinstance(state.decision, MentoringAccepted):
        raise NotAccepted(state=state.state)
    if state.completed is not None:
        raise AlreadyCompleted(state=state.state)
    return state.asked, state.decision


def _done(day: date, field: str, today: date, asked: MentoringRequested) -> None:
    if day > today:
        raise NotYet(field)
    _not_before_receipt(day, field, asked)


def _not_before_receipt(day: date, field: str, asked: MentoringRequested) -> None:
    if day < asked.received_on:
        raise BeforeReceipt(field)


def _words(given: Sealed | None, field: str, state: Request) -> Sealed | None:
    if given is None and state.forgotten_on is None:
        raise WordsMissing(field)
    if given is not None and state.forgotten_on is not None:
        raise WordsAfterForgetting
    return given


def _about(asked: MentoringRequested) -> _About:
    return {"cooperative_id": asked.cooperative_id, "kecamatan_code": asked.kecamatan_code}


decider: Decider[RequestCommand, Request, RequestEvent] = Decider(
    stream="request",
    initial=Request(),
    evolve=evolve,
    decide=decide,
    events=(
        MentoringRequested,
        MentoringAccepted,
        MentoringDeclined,
        MentoringRedirected,
        MentoringActivityHeld,
        MentoringCompleted,
        MentoringPeopleForgotten,
    ),
)
