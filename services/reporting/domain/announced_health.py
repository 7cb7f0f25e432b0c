"""What the world was last told of one cooperative's health: told once, and again when it is another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import assert_never

from chassis.definitions.decider import Command, Decider, Event
from services.reporting.domain.health import Status

# ---------------------------------------------------------------- events: stored for ever


class HealthStatusChanged(Event):
    """The verdict at `as_of` is another than the last one announced; None means that the cooperative doesn't count."""

    before: Status | None
    after: Status | None
    kecamatan_code: str | None
    as_of: date
    policy: str


type AnnouncedEvent = HealthStatusChanged

# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Announced:
    """The last status announced; None before the first, and for a cooperative that doesn't count any more."""

    status: Status | None = None


def evolve(state: Announced, event: AnnouncedEvent) -> Announced:
    """Return what is announced after the event."""
    match event:
        case HealthStatusChanged():
            return Announced(event.after)
        case _:
            assert_never(event)


# ---------------------------------------------------------------- commands and rules


class AnnounceHealth(Command):
    """Tell the world what a cooperative is at `as_of`; a status of None says that it doesn't count."""

    status: Status | None
    kecamatan_code: str | None
    as_of: date
    policy: str


type AnnouncedCommand = AnnounceHealth


def decide(command: AnnouncedCommand, state: Announced) -> Sequence[AnnouncedEvent]:
    """Return what there is to tell: nothing when the world knows it already."""
    match command:
        case AnnounceHealth():
            if command.status == state.status:
                return []
            return [
                HealthStatusChanged(
                    before=state.status,
                    after=command.status,
                    kecamatan_code=command.kecamatan_code,
                    as_of=command.as_of,
                    policy=command.policy,
                )
            ]
        case _:
            assert_never(command)


decider: Decider[AnnouncedCommand, Announced, AnnouncedEvent] = Decider(
    stream="announced_health",
    initial=Announced(),
    evolve=evolve,
    decide=decide,
    events=(HealthStatusChanged,),
)
