"""What importing a list into the register would do, row by row; the list's own format does not matter here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from uuid import UUID

from chassis.definitions.cells import RowProblem, compact
from chassis.definitions.decider import Invalid
from services.registry.domain.cooperative import (
    Cooperative,
    CooperativeEvent,
    CooperativeRegistered,
    EnterListing,
    Listing,
    ListSource,
    MinistryRecordChanged,
    decide,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row says. `listing` is None when the row is rejected; its problems say why."""

    row: int
    nik: str | None
    number: str | None
    listing: Listing | None
    problems: Sequence[RowProblem] = ()
    warnings: Sequence[RowProblem] = ()

    @property
    def number_key(self) -> str | None:
        """Return the legal entity number in the form in which numbers are compared."""
        return compact(self.number) if self.number else None


type Holders = Mapping[str, Sequence[tuple[str | None, UUID]]]
type Outcome = Literal["registered", "changed", "unchanged"]
type _Owner = UUID | int
"""A registered cooperative, or the row that will register one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an accepted row does. `cooperative_id` is None when it registers one; `command` is then its first.

    `events` are what the command was decided to make of the cooperative's state.
    """

    row: int
    outcome: Outcome
    cooperative_id: UUID | None
    command: EnterListing
    events: Sequence[CooperativeEvent]


@dataclass(slots=True)
class ImportPlan:
    """What an import would do, row by row, and the cooperatives it should have named and did not.

    It grows with each decision that is taken from its planner, and is whole after the last.
    """

    rows: int = 0
    decisions: list[Decision] = field(default_factory=list)
    rejections: list[RowProblem] = field(default_factory=list)
    warnings: list[RowProblem] = field(default_factory=list)
    missing_from_source: frozenset[UUID] = frozenset()

    def count(self, outcome: Outcome) -> int:
        """Return the number of rows with this outcome."""
        return sum(decision.outcome == outcome for decision in self.decisions)

    @property
    def rejected(self) -> int:
        """Return the number of rejected rows; each may have several problems."""
        return len({problem.row for problem in self.rejections})


@dataclass(slots=True)
class Planner:
    """Says what rows do to a register.

    `niks` and `numbers` say who holds the rows' NIKs and number keys now, as (NIK or None, cooperative);
    `states` has every cooperative they name; `column_of` names the source's column of each field. Identity is the NIK,
    else the number. A number that another NIK carries is a warning on the later row; a cooperative that stands
    in two rows is taken from the first.
    """

    niks: Holders
    numbers: Holders
    states: Mapping[UUID, Cooperative]
    source: ListSource
    today: date
    column_of: Mapping[str, str]
    plan: ImportPlan = field(default_factory=ImportPlan)
    seen: dict[_Owner, int] = field(default_factory=dict)
    named: set[_Owner] = field(default_factory=set)
    new_niks: dict[str, _Owner] = field(default_factory=dict)
    new_numbers: dict[str, list[tuple[str | None, _Owner]]] = field(default_factory=dict)

    def decide(self, readings: Iterable[Reading], expected: Iterable[UUID]) -> Iterator[Decision]:
        """Decide row by row; a decision may be carried out before the next one is taken.

        `expected` are the cooperatives that the source should name.
        """
        plan = self.plan
        for reading in readings:
            plan.rows += 1
            if reading.listing is None:
                plan.rejections.extend(reading.problems)
                owner = self.owner(reading)
                if isinstance(owner, UUID):
                    self.named.add(owner)
                continue
            decided = self.decision(reading, reading.listing)
            if isinstance(decided, RowProblem):
                plan.rejections.append(decided)
            else:
                plan.decisions.append(decided)
                plan.warnings.extend(reading.warnings)
                yield decided
        plan.missing_from_source = frozenset(each for each in expected if each not in self.named)
        plan.warnings.sort(key=lambda warning: warning.row)

    def decision(self, reading: Reading, listing: Listing) -> Decision | RowProblem:
        owner = self.owner(reading)
        if isinstance(owner, RowProblem):
            return owner
        if owner is not None and owner in self.seen:
            return self.problem(
                reading, "nik" if reading.nik else "legal_entity_number", f"stands in row {self.seen[owner]} already"
            )
        assert not isinstance(owner, int)  # a row that registers has been seen
        if owner:
            self.named.add(owner)
        state = self.states[owner] if owner else Cooperative()
        command = EnterListing(listing=listing, source=self.source, today=self.today)
        try:
            events = decide(command, state)
        except Invalid as refused:
            return self.problem(reading, refused.field, refused.detail)
        outcome: Outcome = "unchanged"
        if state.dissolved_on:
            self.plan.warnings.append(
                self.problem(
                    reading,
                    "nik" if reading.nik else "legal_entity_number",
                    f"the cooperative is dissolved since {state.dissolved_on}: the row changes nothing",
                )
            )
        match events:
            case [CooperativeRegistered()]:
                outcome = "registered"
            case [MinistryRecordChanged(changes=changes)]:
                outcome = "changed"
                if owner and self.conflicts(owner, state, changes):
                    return self.problem(reading, "legal_entity_number", "another cooperative carries it")
        self.warn_of_doubles(reading, owner)
        self.remember(reading, owner or reading.row)
        return Decision(reading.row, outcome, owner, command, events)

    def owner(self, reading: Reading) -> _Owner | RowProblem | None:
        """Return whom the row is about: None when nobody is registered yet."""
        if reading.nik and (holder := self.holder_of_nik(reading.nik)) is not None:
            return holder
        carriers = self.carriers(reading.number_key)
        if reading.nik:
            return next((carrier for nik, carrier in carriers if nik is None), None)
        if len(carriers) > 1:
            return self.problem(reading, "legal_entity_number", "several cooperatives carry it: give the NIK")
        return carriers[0][1] if carriers else None

    def holder_of_nik(self, nik: str) -> _Owner | None:
        if holders := self.niks.get(nik):
            return holders[0][1]
        return self.new_niks.get(nik)

    def carriers(self, key: str | None) -> list[tuple[str | None, _Owner]]:
        return [*self.numbers.get(key, ()), *self.new_numbers.get(key, ())] if key else []

    def conflicts(self, owner: UUID, state: Cooperative, changes: Listing) -> bool:
        """Tell whether a changed NIK or number cannot be taken over, because somebody else holds it."""
        if "nik" not in changes and "legal_entity_number" not in changes:
            return False
        nik = changes.get("nik") or state.nik
        key = compact(changes.get("legal_entity_number") or state.legal_entity_number or "")
        return any(
            carrier != owner and (nik is None or carried_nik is None or carried_nik == nik)
            for carried_nik, carrier in self.carriers(key)
        )

    def warn_of_doubles(self, reading: Reading, owner: UUID | None) -> None:
        """Warn of a number that another NIK carries; of two rows of one file, on the later one only."""
        for nik, carrier in self.carriers(reading.number_key):
            if carrier != owner and (owner is None or carrier in self.seen):
                self.plan.warnings.append(
                    self.problem(reading, "legal_entity_number", f"another cooperative carries it too, NIK {nik}")
                )
                return

    def remember(self, reading: Reading, owner: _Owner) -> None:
        self.seen[owner] = reading.row
        if reading.nik and self.holder_of_nik(reading.nik) is None:
            self.new_niks[reading.nik] = owner
        if (key := reading.number_key) and not any(carrier == owner for _, carrier in self.carriers(key)):
            self.new_numbers.setdefault(key, []).append((reading.nik, owner))

    def problem(self, reading: Reading, name: str, what: str) -> RowProblem:
        value = reading.listing.get(name) if reading.listing else None
        return RowProblem(reading.row, self.column_of[name], None if value is None else str(value), what)
