"""Both truths side by side: what the Ministry says of a cooperative, what the office says, and since when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import assert_never

from services.registry.domain.cooperative import (
    PLACE_FIELDS,
    Cooperative,
    CooperativeCorrected,
    CooperativeEvent,
    CooperativeRegistered,
    CooperativeRelocated,
    CooperativeTraced,
    MinistryRecordChanged,
    RemovalApproved,
    RemovalProposed,
    RemovalRejected,
    Source,
    evolve,
)

type Value = date | int | str | None
EXISTENCE = "existence"


@dataclass(frozen=True, slots=True)
class Said:
    """One side's value of a field. `on` is the day it speaks of: of a list or a correction, the day it was entered."""

    value: Value
    on: date
    recorded_at: datetime


@dataclass(slots=True)
class Sides:
    """What each side said last, by field; `existence` is a field too, and a field of which it never spoke is absent.

    The Ministry's are its lists and its decisions; the office's are its sheets, what it registered, corrected and
    relocated, and what it found.
    """

    ministry: dict[str, Said] = field(default_factory=dict)
    office: dict[str, Said] = field(default_factory=dict)

    @property
    def differing(self) -> list[str]:
        """Return the fields in which the two differ; of existence they speak in different words anyway."""
        both = self.ministry.keys() & self.office.keys() - {EXISTENCE}
        return sorted(name for name in both if self.ministry[name].value != self.office[name].value)


def sides_of(recorded: Iterable[tuple[CooperativeEvent, datetime, date]]) -> Sides:
    """Return both sides after the events of one cooperative, each with when and on which day it was recorded."""
    sides = Sides()
    state = Cooperative()
    finding: Said | None = None
    proposal: Said | None = None
    for event, at, today in recorded:
        before, state = state, evolve(state, event)
        match event:
            case CooperativeRegistered(source=source):
                told = {name: value for name, value in vars(event).items() if value is not None and name != "source"}
                _say(sides, source, told | {EXISTENCE: "registered"}, today, at)
            case MinistryRecordChanged(changes=changes, source=source):
                _say(sides, source, changes, today, at)
            case CooperativeCorrected(changes=changes):
                passed_over = PLACE_FIELDS if state.moves and "kecamatan_code" in changes else ()
                told = {name: value for name, value in changes.items() if name not in passed_over}
                _say(sides, "office", told, today, at)
            case CooperativeRelocated(effective_on=effective_on):
                if not before.moves or effective_on >= before.moves[-1].effective_on:
                    _say(sides, "office", {name: getattr(event, name) for name in PLACE_FIELDS}, effective_on, at)
            case CooperativeTraced(traced_on=traced_on):
                if before.found is None or traced_on >= before.found.traced_on:
                    finding = Said(event.finding, traced_on, at)
            case RemovalProposed(letter_date=letter_date):
                proposal = Said("removal_proposed", letter_date, at)
            case RemovalApproved(decided_on=decided_on):
                _say(sides, "ods", {EXISTENCE: "dissolved"}, decided_on, at)
            case RemovalRejected(decided_on=decided_on):
                _say(sides, "ods", {EXISTENCE: "registered"}, decided_on, at)
                proposal = None
            case _:
                assert_never(event)
    if found := proposal or finding:
        sides.office[EXISTENCE] = found
    return sides


def _say(sides: Sides, source: Source, told: Mapping[str, object], on: date, at: datetime) -> None:
    side = sides.ministry if source == "ods" else sides.office
    side.update({name: Said(value, on, at) for name, value in told.items()})  # type: ignore[arg-type]
