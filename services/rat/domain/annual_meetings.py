"""The annual members' meetings (RAT) of one cooperative: what was held for which book year, and what vouches for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, TypedDict, assert_never, cast

from pydantic import BaseModel, ConfigDict, with_config

from chassis.definitions.decider import Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.values import Count, Date, Flag, KecamatanCode, Rupiah, ShortText, Text, Year

type Mode = Literal["in_person", "online", "written"]
type Source = Literal["office", "ods"]
type AttestationSource = Literal["nik_grade"]

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


type MeetingEvent = RATHeld | RATVerified | RATCorrected | RATAnnulled | RATAttested


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
class AnnualMeetings:
    """The book years of one cooperative.

    `held` has at most one meeting a book year; `annulled` all void ones, oldest first. `listed` is every
    (book year, date) a list has told, so that the same list changes nothing, whatever the office did since.
    """

    held: Mapping[int, Meeting] = field(default_factory=dict)
    annulled: tuple[Meeting, ...] = ()
    attested: Mapping[int, Attestation] = field(default_factory=dict)
    listed: frozenset[tuple[int, date]] = frozenset()

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
            listed = state.listed | {(year, event.held_on)} if event.source == "ods" else state.listed
            return replace(state, held={**state.held, year: Meeting(**values)}, listed=listed)
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

    minutes: Minutes
    attested_years: int = 0


type AnyMeetingCommand = RecordMeeting | VerifyMeeting | CorrectMeeting | AnnulMeeting | EnterLastMeeting


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
    held = RATHeld(kecamatan_code=command.kecamatan_code, book_year=book_year, source="ods", **vars(command.minutes))
    check(_meeting(held), command.today)
    if book_year not in state.held and (book_year, held_on) not in state.listed:
        events.append(held)
    events.extend(
        RATAttested(kecamatan_code=command.kecamatan_code, book_year=year, last_held_on=held_on)
        for year in range(book_year - 1, book_year - 1 - command.attested_years, -1)
        if year not in state.held and year not in state.attested
    )
    return events


def check(meeting: Meeting, today: date, prefix: str = "") -> None:
    """Raise the rule that a record breaks; what its source does not tell breaks none."""
    if meeting.held_on > today:
        raise InTheFuture(f"{prefix}held_on")
    if meeting.held_on <= date(meeting.book_year, 12, 31):
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
    events=(RATHeld, RATVerified, RATCorrected, RATAnnulled, RATAttested),
)
