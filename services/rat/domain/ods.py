"""The Ministry's export (ODS): what a row says about meetings, and what importing all of them would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from chassis.definitions import cells
from chassis.definitions.cells import COMMA_THOUSANDS, BadCell, RowProblem, compact
from chassis.definitions.decider import Invalid
from services.rat.domain.annual_meetings import (
    AnnualMeetings,
    EnterLastMeeting,
    Minutes,
    RATAttested,
    RATHeld,
    decide,
)

NIK = "Nomor Induk Koperasi (NIK)"
NUMBER = "Nomor Badan Hukum Pendirian"
LAST_MEETING = "Tanggal RAT Terakhir"
GRADE = "Status Grade"
MEMBERS = "Total Anggota"

NEEDED = (NIK, NUMBER, LAST_MEETING, GRADE)
OPTIONAL = (MEMBERS,)

ATTESTING_GRADE = "A"
ATTESTED_YEARS = 2
"""Grade A: results reported for the last three book years in a row (the Ministry's own page on grades)."""

MOST_MEMBERS = 10**8
EARLIEST_MEETING = date(1910, 1, 1)
"""Older than any cooperative, and late enough that the book years a grade attests can be written."""

# ---------------------------------------------------------------- reading a row


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row says. Without a date of a last meeting it says nothing; `problem` is set when it is rejected."""

    row: int
    nik: str | None
    number: str | None
    held_on: date | None = None
    members_total: int | None = None
    attested_years: int = 0
    problem: RowProblem | None = None

    @property
    def number_key(self) -> str | None:
        """Return the legal entity number in the form in which numbers are compared."""
        return compact(self.number) if self.number else None


def read_row(row: int, row_cells: Mapping[str, str]) -> Reading:
    """Read one row of the export; `row_cells` has the NEEDED columns and any of the OPTIONAL ones.

    Only the date can be wrong here: an unreadable number of members is the registry's business, and null.
    """
    nik, number = cells.text(row_cells[NIK]), cells.text(row_cells[NUMBER])
    try:
        held_on = cells.day(row_cells[LAST_MEETING])
        if held_on is not None and held_on < EARLIEST_MEETING:
            raise BadCell("is too long ago for a meeting")
    except BadCell as bad:
        return Reading(row, nik, number, problem=RowProblem(row, LAST_MEETING, row_cells[LAST_MEETING], str(bad)))
    attests = row_cells[GRADE].strip().upper() == ATTESTING_GRADE
    return Reading(row, nik, number, held_on, _members(row_cells), ATTESTED_YEARS if attests else 0)


def _members(row_cells: Mapping[str, str]) -> int | None:
    try:
        members = COMMA_THOUSANDS.whole(row_cells.get(MEMBERS, ""))
    except BadCell:
        return None
    return members if members is not None and 0 < members <= MOST_MEMBERS else None


# ---------------------------------------------------------------- planning an import


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

    def find(self, nik: str | None, number_key: str | None) -> KnownCooperative | None:
        """Return the one a row is about: by its NIK, else by its number if only one can be meant."""
        if nik and nik in self.by_nik:
            return self.by_nik[nik]
        carriers = [each for each in self.by_number.get(number_key or "", ()) if not nik or each.nik is None]
        return carriers[0] if len(carriers) == 1 else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a row adds to a cooperative's book years; `recorded` and `attested` count its events."""

    row: int
    cooperative_id: UUID
    command: EnterLastMeeting
    recorded: int
    attested: int


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do; a row that adds nothing is unchanged."""

    rows: int
    decisions: Sequence[Decision]
    rejections: Sequence[RowProblem]
    warnings: Sequence[RowProblem]

    @property
    def recorded(self) -> int:
        """Return the number of meetings to record."""
        return sum(decision.recorded for decision in self.decisions)

    @property
    def attested(self) -> int:
        """Return the number of book years to attest."""
        return sum(decision.attested for decision in self.decisions)

    @property
    def unchanged(self) -> int:
        """Return the number of rows that add nothing."""
        return self.rows - len(self.decisions) - len(self.rejections)


def plan_import(
    readings: Sequence[Reading], register: Register, states: Mapping[UUID, AnnualMeetings], today: date
) -> ImportPlan:
    """Return what the rows do; `states` has the book years of every cooperative that has any.

    A row's cooperative must be registered, and stand in no earlier row that says something about meetings.
    A date other than the recorded one is a warning, since a list overrules nobody.
    """
    decisions: list[Decision] = []
    rejections: list[RowProblem] = []
    warnings: list[RowProblem] = []
    seen: dict[UUID, int] = {}
    for reading in readings:
        if reading.problem is not None:
            rejections.append(reading.problem)
            continue
        if reading.held_on is None:
            continue
        known = register.find(reading.nik, reading.number_key)
        if problem := _objection(reading, known, seen):
            rejections.append(problem)
            continue
        assert known is not None
        state = states.get(known.id) or AnnualMeetings()
        command = EnterLastMeeting(
            kecamatan_code=known.kecamatan_code,
            today=today,
            minutes=Minutes(held_on=reading.held_on, members_total=reading.members_total),
            attested_years=reading.attested_years,
        )
        try:
            events = decide(command, state)
        except Invalid as refused:
            rejections.append(RowProblem(reading.row, LAST_MEETING, _written(reading.held_on), refused.detail))
            continue
        seen[known.id] = reading.row
        recorded = sum(isinstance(event, RATHeld) for event in events)
        attested = sum(isinstance(event, RATAttested) for event in events)
        if events:
            decisions.append(Decision(reading.row, known.id, command, recorded, attested))
        if not recorded and (warning := _disagreement(reading, reading.held_on, state)):
            warnings.append(warning)
    return ImportPlan(len(readings), decisions, rejections, warnings)


def _objection(reading: Reading, known: KnownCooperative | None, seen: Mapping[UUID, int]) -> RowProblem | None:
    column, value = (NIK, reading.nik) if reading.nik else (NUMBER, reading.number)
    if known is None:
        return RowProblem(reading.row, column, value, "no registered cooperative carries it")
    if known.dissolved:
        return RowProblem(reading.row, column, value, "the cooperative is dissolved")
    if known.id in seen:
        return RowProblem(reading.row, column, value, f"stands in row {seen[known.id]} already")
    return None


def _disagreement(reading: Reading, held_on: date, state: AnnualMeetings) -> RowProblem | None:
    if (held_on.year - 1, held_on) in state.listed:
        return None
    meeting = state.held.get(held_on.year - 1)
    if meeting is None or meeting.held_on == held_on:
        return None
    problem = f"the meeting is recorded as held on {_written(meeting.held_on)}"
    return RowProblem(reading.row, LAST_MEETING, _written(held_on), problem)


def _written(day: date) -> str:
    return day.strftime("%d/%m/%Y")
