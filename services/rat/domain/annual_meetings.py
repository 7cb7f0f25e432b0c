"""The annual members' meetings (RAT) of one cooperative: planned, held, vouched for, or missing and warned of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any, Literal, TypedDict, assert_never, cast

from pydantic import BaseModel, ConfigDict, Field, Strict, with_config

from chassis.definitions.decider import Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.values import Count, Date, Flag, KecamatanCode, Rupiah, ShortText, Text, Year

type Mode = Literal["in_person", "online", "written"]
type Source = Literal["office", "ods"]
type AttestationSource = Literal["nik_grade"]

HIGHEST_WARNING = 3
type WarningLevel = Annotated[int, Strict(), Field(ge=1, le=HIGHEST_WARNING)]

# ---------------------------------------------------------------- values


class Minutes(BaseModel):
    """What is told about a meeting that was held; a list tells less than the office is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    held_on: Date
    reported_on: Date | None = None
    mode: Mode | None = None
    members_total: Count | None = None
    members_present: Count | None = None
    second_meeting: Flag = False
    minutes_number: ShortText | None = None
    accountability_accepted: Flag | None = None
    own_capital: Rupiah | None = None
    outside_capital: Rupiah | None = None
    total_assets: Rupiah | None = None
    turnover: Rupiah | None = None
    net_surplus: Rupiah | None = None


class Report(Minutes):
    """What the office must tell to record a meeting."""

    book_year: Year
    members_total: Count
    members_present: Count


@with_config(ConfigDict(extra="forbid"))
class Changes(TypedDict, total=False):
    """What a correction may change; a key that is absent stays as it is, null takes a value away."""

    held_on: Date
    reported_on: Date | None
    mode: Mode | None
    members_total: Count
    members_present: Count
    second_meeting: Flag
    minutes_number: ShortText | None
    accountability_accepted: Flag | None
    own_capital: Rupiah | None
    outside_capital: Rupiah | None
    total_assets: Rupiah | None
    turnover: Rupiah | None
    net_surplus: Rupiah | None


# ---------------------------------------------------------------- events: stored for ever


class RATHeld(Event):
    """A meeting was held for a book year."""

    kecamatan_code: str | None
    book_year: int
    held_on: date
    reported_on: date | None = None
    mode: Mode | None = None
    members_total: int | None = None
    members_present: int | None = None
    second_meeting: bool = False
    minutes_number: str | None = None
    accountability_accepted: bool | None = None
    own_capital: int | None = None
    outside_capital: int | None = None
    total_assets: int | None = None
    turnover: int | None = None
    net_surplus: int | None = None
    source: Source = "office"


class RATVerified(Event):
    """The office verified the record of a meeting."""

    kecamatan_code: str | None
    book_year: int
    verified_on: date


class RATCorrected(Event):
    """The record of a meeting had been wrong; a verification falls."""

    kecamatan_code: str | None
    book_year: int
    changes: Changes
    reason: str


class RATAnnulled(Event):
    """The record of a meeting is void; the book year can be recorded again."""

    kecamatan_code: str | None
    book_year: int
    reason: str


class RATAttested(Event):
    """A book year counts as held because the Ministry's grade needs it; its date is not known."""

    kecamatan_code: str | None
    book_year: int
    source: AttestationSource = "nik_grade"
    last_held_on: date | None = None


class RATPlanned(Event):
    """The cooperative announced when and where it will meet; announced again, the later word counts."""

    kecamatan_code: str | None
    book_year: int
    planned_on: date
    venue: str


class WarningIssued(Event):
    """The office warned the cooperative by letter that a meeting was missing."""

    kecamatan_code: str | None
    book_year: int
    level: WarningLevel
    letter_number: str
    letter_date: date


type MeetingEvent = RATHeld | RATVerified | RATCorrected | RATAnnulled | RATAttested | RATPlanned | WarningIssued


# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Meeting:
    """The record of one meeting, as it is known now."""

    book_year: int
    held_on: date
    reported_on: date | None = None
    verified_on: date | None = None
    mode: Mode | None = None
    members_total: int | None = None
    members_present: int | None = None
    second_meeting: bool = False
    minutes_number: str | None = None
    accountability_accepted: bool | None = None
    own_capital: int | None = None
    outside_capital: int | None = None
    total_assets: int | None = None
    turnover: int | None = None
    net_surplus: int | None = None
    source: Source = "office"
    annulled: bool = False


@dataclass(frozen=True, slots=True)
class Attestation:
    """A book year that a grade vouches for."""

    book_year: int
    source: AttestationSource
    last_held_on: date | None


@dataclass(frozen=True, slots=True)
class Plan:
    """When and where a meeting is announced to be."""

    planned_on: date
    venue: str


@dataclass(frozen=True, slots=True)
class LastWarning:
    """The highest warning about a book year so far."""

    level: WarningLevel
    letter_date: date


@dataclass(frozen=True, slots=True)
class AnnualMeetings:
    """The book years of one cooperative.

    `held` has at most one meeting a book year; `annulled` all void ones, oldest first. `recorded` is every
    (book year, date) under which a meeting was ever recorded, so that the same list changes nothing, whatever the
    office corrected or declared void since.
    """

    held: Mapping[int, Meeting] = field(default_factory=dict)
    annulled: tuple[Meeting, ...] = ()
    attested: Mapping[int, Attestation] = field(default_factory=dict)
    recorded: frozenset[tuple[int, date]] = frozenset()
    planned: Mapping[int, Plan] = field(default_factory=dict)
    warned: Mapping[int, LastWarning] = field(default_factory=dict)

    def records(self) -> list[Meeting | Attestation]:
        """Return everything known, by book year: void records first, then the valid one, or what vouches for it.

        An attestation of a year that has a valid record adds nothing and is left out.
        """
        vouched = [each for year, each in self.attested.items() if year not in self.held]
        entries: list[Meeting | Attestation] = [*self.annulled, *self.held.values(), *vouched]
        return sorted(entries, key=lambda entry: entry.book_year)


def evolve(state: AnnualMeetings, event: MeetingEvent) -> AnnualMeetings:
    """Return the book years after the event."""
    match event:
        case RATHeld(book_year=year):
            values = dict(vars(event))
            del values["kecamatan_code"]
            recorded = state.recorded | {(year, event.held_on)}
            return replace(state, held={**state.held, year: Meeting(**values)}, recorded=recorded)
        case RATVerified(book_year=year):
            return _with(state, replace(state.held[year], verified_on=event.verified_on))
        case RATCorrected(book_year=year):
            return _with(state, _corrected(state.held[year], event.changes))
        case RATAnnulled(book_year=year):
            held = {other: meeting for other, meeting in state.held.items() if other != year}
            return replace(state, held=held, annulled=(*state.annulled, replace(state.held[year], annulled=True)))
        case RATAttested(book_year=year):
            attestation = Attestation(year, event.source, event.last_held_on)
            return replace(state, attested={**state.attested, year: attestation})
        case RATPlanned(book_year=year):
            return replace(state, planned={**state.planned, year: Plan(event.planned_on, event.venue)})
        case WarningIssued(book_year=year):
            return replace(state, warned={**state.warned, year: LastWarning(event.level, event.letter_date)})
        case _:
            assert_never(event)


def _with(state: AnnualMeetings, meeting: Meeting) -> AnnualMeetings:
    return replace(state, held={**state.held, meeting.book_year: meeting})


def _corrected(meeting: Meeting, changes: Changes) -> Meeting:
    return replace(meeting, verified_on=None, **cast(dict[str, Any], changes))


# ---------------------------------------------------------------- commands and rules


class MeetingCommand(Command):
    """Something about a cooperative that sits in this kecamatan now (None when that is unknown)."""

    kecamatan_code: KecamatanCode | None
    today: date


class RecordMeeting(MeetingCommand):
    """Record a meeting that the office knows of."""

    report: Report


class VerifyMeeting(MeetingCommand):
    """Confirm a record after looking at the minutes."""

    book_year: Year
    verified_on: Date


class CorrectMeeting(MeetingCommand):
    """Mend a record that has been wrong."""

    book_year: Year
    changes: Changes
    reason: Text


class AnnulMeeting(MeetingCommand):
    """Declare a record void."""

    book_year: Year
    reason: Text


class EnterLastMeeting(MeetingCommand):
    """Enter what a list says: the last meeting, and how many book years before it a grade attests."""

    source: Source
    minutes: Minutes
    attested_years: int = 0


class PlanMeeting(MeetingCommand):
    """Note when and where a meeting is announced to be."""

    book_year: Year
    planned_on: Date
    venue: ShortText


class IssueWarning(MeetingCommand):
    """Note a letter that warned the cooperative of a missing meeting."""

    book_year: Year
    level: WarningLevel
    letter_number: ShortText
    letter_date: Date


type AnyMeetingCommand = (
    RecordMeeting | VerifyMeeting | CorrectMeeting | AnnulMeeting | EnterLastMeeting | PlanMeeting | IssueWarning
)


class NoSuchCooperative(Missing):
    """There is no cooperative with this id."""


class CooperativeDissolved(Rejection):
    """A dissolved cooperative holds no meetings."""


class NoSuchRAT(Missing):
    """No valid annual meeting is recorded for this book year."""

    slug = "no-such-rat"


class RATAlreadyRecorded(Rejection):
    """An annual meeting is already recorded for this book year: correct it, or annul it first."""

    slug = "rat-already-recorded"


class RATAlreadyVerified(Rejection):
    """The record of this annual meeting is already verified."""

    slug = "rat-already-verified"


class InTheFuture(Invalid):
    """A date that tells what happened cannot lie in the future."""


class BookYearNotOver(Invalid):
    """An annual meeting is held after its book year has ended."""


class MorePresentThanMembers(Invalid):
    """No more members can be present than there are."""


class NoQuorum(Invalid):
    """More than half of the members must be present, unless it is a second meeting."""


class BeforeTheMeeting(Invalid):
    """A meeting can be reported or verified on the day it is held at the earliest."""


class NothingChanged(Invalid):
    """A correction must change something."""


class AlreadyPlanned(Rejection):
    """The meeting is planned for this day and place already."""


class WarningOutOfOrder(Rejection):
    """Warnings of a book year are issued in order: level 1, then 2, then 3."""


class WarningWithoutCause(Rejection):
    """A cooperative is not warned of a meeting that the office knew of on the day of the letter."""


class BeforeTheLastWarning(Invalid):
    """A warning letter cannot be older than the one of the level below."""


def decide(command: AnyMeetingCommand, state: AnnualMeetings) -> Sequence[MeetingEvent]:
    """Return what happens, or raise the rule that forbids it."""
    match command:
        case RecordMeeting():
            return record(command, state)
        case VerifyMeeting():
            return verify(command, state)
        case CorrectMeeting():
            return correct(command, state)
        case AnnulMeeting():
            return annul(command, state)
        case EnterLastMeeting():
            return enter_last_meeting(command, state)
        case PlanMeeting():
            return plan(command, state)
        case IssueWarning():
            return warn(command, state)
        case _:
            assert_never(command)


def record(command: RecordMeeting, state: AnnualMeetings) -> Sequence[RATHeld]:
    """Record a meeting, one a book year; one that was only attested can be recorded."""
    if command.report.book_year in state.held:
        raise RATAlreadyRecorded
    held = RATHeld(kecamatan_code=command.kecamatan_code, **vars(command.report))
    check(_meeting(held), command.today)
    return [held]


def verify(command: VerifyMeeting, state: AnnualMeetings) -> Sequence[RATVerified]:
    """Verify a record, once until it is corrected."""
    meeting = _valid(state, command.book_year)
    if meeting.verified_on is not None:
        raise RATAlreadyVerified
    if command.verified_on > command.today:
        raise InTheFuture("verified_on")
    if command.verified_on < meeting.held_on:
        raise BeforeTheMeeting("verified_on")
    return [
        RATVerified(kecamatan_code=command.kecamatan_code, book_year=command.book_year, verified_on=command.verified_on)
    ]


def correct(command: CorrectMeeting, state: AnnualMeetings) -> Sequence[RATCorrected]:
    """Record what really differs; the same rules hold after it as for a new record."""
    meeting = _valid(state, command.book_year)
    changes = cast(Changes, {name: value for name, value in command.changes.items() if value != getattr(meeting, name)})
    if not changes:
        raise NothingChanged("changes")
    check(_corrected(meeting, changes), command.today, "changes.")
    return [
        RATCorrected(
            kecamatan_code=command.kecamatan_code,
            book_year=command.book_year,
            changes=changes,
            reason=command.reason,
        )
    ]


def annul(command: AnnulMeeting, state: AnnualMeetings) -> Sequence[RATAnnulled]:
    """Declare the valid record of a book year void."""
    _valid(state, command.book_year)
    return [RATAnnulled(kecamatan_code=command.kecamatan_code, book_year=command.book_year, reason=command.reason)]


def enter_last_meeting(command: EnterLastMeeting, state: AnnualMeetings) -> Sequence[RATHeld | RATAttested]:
    """Record the meeting and attest the years before it, as far as that is new; a list overrules nobody.

    A list knows only the date: the meeting is taken to be that of the book year before.
    """
    held_on = command.minutes.held_on
    book_year = held_on.year - 1
    events: list[RATHeld | RATAttested] = []
    held = RATHeld(
        kecamatan_code=command.kecamatan_code, book_year=book_year, source=command.source, **vars(command.minutes)
    )
    check(_meeting(held), command.today)
    if book_year not in state.held and (book_year, held_on) not in state.recorded:
        events.append(held)
    events.extend(
        RATAttested(kecamatan_code=command.kecamatan_code, book_year=year, last_held_on=held_on)
        for year in range(book_year - 1, book_year - 1 - command.attested_years, -1)
        if year not in state.held and year not in state.attested
    )
    return events


def plan(command: PlanMeeting, state: AnnualMeetings) -> Sequence[RATPlanned]:
    """Note the announcement; the day may have passed, since invitations are entered when the office gets to it."""
    if command.book_year in state.held:
        raise RATAlreadyRecorded
    if command.planned_on <= _end_of(command.book_year):
        raise BookYearNotOver("planned_on")
    if state.planned.get(command.book_year) == Plan(command.planned_on, command.venue):
        raise AlreadyPlanned
    return [
        RATPlanned(
            kecamatan_code=command.kecamatan_code,
            book_year=command.book_year,
            planned_on=command.planned_on,
            venue=command.venue,
        )
    ]


def warn(command: IssueWarning, state: AnnualMeetings) -> Sequence[WarningIssued]:
    """Note the letter, unless the office knew of the meeting on its day; one reported only later could be warned of."""
    last = state.warned.get(command.book_year)
    if command.level != (last.level if last else 0) + 1:
        raise WarningOutOfOrder(_expected(command.book_year, last))
    if command.letter_date > command.today:
        raise InTheFuture("letter_date")
    if command.letter_date <= _end_of(command.book_year):
        raise BookYearNotOver("letter_date", "Nobody is warned of a meeting before its book year has ended.")
    if last and command.letter_date < last.letter_date:
        raise BeforeTheLastWarning("letter_date")
    meeting = state.held.get(command.book_year)
    if meeting and (meeting.reported_on or meeting.held_on) <= command.letter_date:
        raise WarningWithoutCause
    return [
        WarningIssued(
            kecamatan_code=command.kecamatan_code,
            book_year=command.book_year,
            level=command.level,
            letter_number=command.letter_number,
            letter_date=command.letter_date,
        )
    ]


def _expected(book_year: int, last: LastWarning | None) -> str:
    if last and last.level == HIGHEST_WARNING:
        return f"All {HIGHEST_WARNING} warnings of book year {book_year} have been issued."
    return f"The next warning of book year {book_year} is level {last.level + 1 if last else 1}."


def check(meeting: Meeting, today: date, prefix: str = "") -> None:
    """Raise the rule that a record breaks; what its source does not tell breaks none."""
    if meeting.held_on > today:
        raise InTheFuture(f"{prefix}held_on")
    if meeting.held_on <= _end_of(meeting.book_year):
        raise BookYearNotOver(f"{prefix}held_on")
    if meeting.reported_on is not None:
        if meeting.reported_on > today:
            raise InTheFuture(f"{prefix}reported_on")
        if meeting.reported_on < meeting.held_on:
            raise BeforeTheMeeting(f"{prefix}reported_on")
    if meeting.members_total is None or meeting.members_present is None:
        return
    if meeting.members_present > meeting.members_total:
        raise MorePresentThanMembers(f"{prefix}members_present")
    if meeting.members_present * 2 <= meeting.members_total and not meeting.second_meeting:
        raise NoQuorum(f"{prefix}members_present")


def _end_of(book_year: int) -> date:
    # The articles of association fix the book year; it is the calendar year nearly everywhere.
    return date(book_year, 12, 31)


def _meeting(held: RATHeld) -> Meeting:
    return evolve(AnnualMeetings(), held).held[held.book_year]


def _valid(state: AnnualMeetings, book_year: int) -> Meeting:
    meeting = state.held.get(book_year)
    if meeting is None:
        raise NoSuchRAT
    return meeting


decider: Decider[AnyMeetingCommand, AnnualMeetings, MeetingEvent] = Decider(
    stream="rat",
    initial=AnnualMeetings(),
    evolve=evolve,
    decide=decide,
    events=(RATHeld, RATVerified, RATCorrected, RATAnnulled, RATAttested, RATPlanned, WarningIssued),
)
