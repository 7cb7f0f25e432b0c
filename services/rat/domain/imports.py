"""What importing a list does to book years, row by row; the list's own format does not matter here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import NAMESPACE_OID, UUID, uuid5

from chassis.definitions import cells
from chassis.definitions.cells import BadCell, NumberFormat, RowProblem, compact
from chassis.definitions.decider import Invalid
from services.rat.domain.annual_meetings import (
    AnnualMeetings,
    EnterLastMeeting,
    MeetingEvent,
    Minutes,
    RATAttested,
    RATHeld,
    Source,
    decide,
)

EARLIEST_MEETING = date(1910, 1, 1)
"""Older than any cooperative, and late enough that the book years a grade attests can be written."""
MOST_MEMBERS = 10**8


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row says. Without minutes it tells of no meeting, or (`problems`) it is rejected."""

    row: int
    nik: str | None
    number: str | None
    minutes: Minutes | None = None
    attested_years: int = 0
    problems: Sequence[RowProblem] = ()
    warnings: Sequence[RowProblem] = ()

    @property
    def number_key(self) -> str | None:
        """Return the legal entity number in the form in which numbers are compared."""
        return compact(self.number) if self.number else None


@dataclass(frozen=True, slots=True)
class Sheet:
    """How one source writes its list: declared, never guessed.

    A file without a `needed` column is not this list. `columns` names those of `nik`, `number` and `held_on`.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    numbers: NumberFormat
    columns: Mapping[str, str]
    read_row: Callable[[int, Mapping[str, str]], Reading]


def day_of_meeting(cell: str) -> date | None:
    """Read the date of a last meeting; None when the cell says nothing. Raises BadCell."""
    held_on = cells.day(cell)
    if held_on is not None and held_on < EARLIEST_MEETING:
        raise BadCell("is too long ago for a meeting")
    return held_on


def members(cell: str, numbers: NumberFormat) -> int | None:
    """Read a number of members; None when it can be none, which is the registry's business, not a meeting's."""
    try:
        total = numbers.whole(cell)
    except BadCell:
        return None
    # A list's zero means that nobody entered it: 195 of 1,260 cooperatives in a real export.
    return total if total is not None and 0 < total <= MOST_MEMBERS else None


# ---------------------------------------------------------------- whom a row is about


@dataclass(frozen=True, slots=True)
class KnownCooperative:
    """A cooperative that the registry has told us about."""

    id: UUID
    nik: str | None
    kecamatan_code: str | None
    dissolved: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """Cooperatives by NIK, and by legal entity number in the form in which numbers are compared."""

    by_nik: Mapping[str, KnownCooperative]
    by_number: Mapping[str, Sequence[KnownCooperative]]

    def find(self, nik: str | None, number_key: str | None) -> Sequence[KnownCooperative]:
        """Return whom a row can mean: by its NIK, else by its number; under a number it may be several."""
        if nik and nik in self.by_nik:
            return [self.by_nik[nik]]
        return [each for each in self.by_number.get(number_key or "", ()) if not nik or each.nik is None]


def to_be_registered(reading: Reading) -> Sequence[KnownCooperative]:
    """Return the cooperative that the registry will make of a row about nobody it knows."""
    key = reading.nik or reading.number_key
    return [KnownCooperative(uuid5(NAMESPACE_OID, key), reading.nik, None)] if key else []


# ---------------------------------------------------------------- planning


@dataclass(frozen=True, slots=True)
class Decision:
    """What a row adds to a cooperative's book years: the events that its command was decided to make of their state."""

    row: int
    cooperative_id: UUID
    command: EnterLastMeeting
    events: Sequence[MeetingEvent]

    @property
    def recorded(self) -> int:
        """Return the number of meetings recorded: one or none."""
        return sum(isinstance(event, RATHeld) for event in self.events)

    @property
    def attested(self) -> int:
        """Return the number of book years attested."""
        return sum(isinstance(event, RATAttested) for event in self.events)


@dataclass(slots=True)
class ImportPlan:
    """What an import would do; a row that adds nothing is unchanged.

    It grows with each decision that is taken from its planner, and is whole after the last.
    """

    rows: int = 0
    decisions: list[Decision] = field(default_factory=list)
    rejections: list[RowProblem] = field(default_factory=list)
    warnings: list[RowProblem] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        """Return the number of rejected rows; each may have several problems."""
        return len({problem.row for problem in self.rejections})

    @property
    def unchanged(self) -> int:
        """Return the number of rows that add nothing."""
        return self.rows - len(self.decisions) - self.rejected


@dataclass(slots=True)
class Planner:
    """Says what rows do; `states` has the book years of every cooperative that has any.

    A row's cooperative must be registered (or, with `assume_registered`, be one that the registry makes of this
    row), and stand in no earlier row that says something about meetings. A date other than the recorded one is a
    warning, since a list overrules nobody.
    """

    register: Register
    states: Mapping[UUID, AnnualMeetings]
    source: Source
    today: date
    columns: Mapping[str, str]
    assume_registered: bool = False
    plan: ImportPlan = field(default_factory=ImportPlan)
    seen: dict[UUID, int] = field(default_factory=dict)

    def decide(self, readings: Iterable[Reading]) -> Iterator[Decision]:
        """Decide row by row; a decision may be carried out before the next one is taken."""
        plan, columns = self.plan, self.columns
        for reading in readings:
            plan.rows += 1
            if reading.problems:
                plan.rejections.extend(reading.problems)
                continue
            if reading.minutes is None:
                plan.warnings.extend(reading.warnings)
                continue
            found = self.register.find(reading.nik, reading.number_key)
            if not found and self.assume_registered:
                found = to_be_registered(reading)
            if objection := _objection(found, self.seen):
                plan.rejections.append(_about(reading, "nik" if reading.nik else "number", columns, objection))
                continue
            known = found[0]
            state = self.states.get(known.id) or AnnualMeetings()
            command = EnterLastMeeting(
                kecamatan_code=known.kecamatan_code,
                today=self.today,
                source=self.source,
                minutes=reading.minutes,
                attested_years=reading.attested_years,
            )
            try:
                decision = Decision(reading.row, known.id, command, decide(command, state))
            except Invalid as refused:
                plan.rejections.append(_about(reading, "held_on", columns, refused.detail))
                continue
            self.seen[known.id] = reading.row
            plan.warnings.extend(reading.warnings)
            if not decision.recorded and (disagreement := _disagreement(reading.minutes.held_on, state)):
                plan.warnings.append(_about(reading, "held_on", columns, disagreement))
            if decision.events:
                plan.decisions.append(decision)
                yield decision


def _objection(found: Sequence[KnownCooperative], seen: Mapping[UUID, int]) -> str | None:
    match found:
        case []:
            return "no registered cooperative carries it"
        case [known]:
            if known.dissolved:
                return "the cooperative is dissolved"
            return f"stands in row {seen[known.id]} already" if known.id in seen else None
        case _:
            return "several cooperatives carry it: record the meeting of the right one by hand"


def _disagreement(held_on: date, state: AnnualMeetings) -> str | None:
    if (held_on.year - 1, held_on) in state.recorded:
        return None
    meeting = state.held.get(held_on.year - 1)
    return f"the meeting is recorded as held on {_written(meeting.held_on)}" if meeting else None


def _about(reading: Reading, name: str, columns: Mapping[str, str], problem: str) -> RowProblem:
    held_on = _written(reading.minutes.held_on) if reading.minutes else None
    value = {"nik": reading.nik, "number": reading.number, "held_on": held_on}[name]
    return RowProblem(reading.row, columns[name], value, problem)


def _written(day: date) -> str:
    return day.strftime("%d/%m/%Y")
