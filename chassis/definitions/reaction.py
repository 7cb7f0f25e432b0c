"""A reaction: a public event of another service becomes a command of ours. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.definitions.decider import Command, Decider
from chassis.definitions.projection import Received
from contracts.envelope import PublicEvent


@dataclass(frozen=True, slots=True)
class Directive:
    """What a reaction wants done: this command, on that stream, by these rules."""

    decider: Decider[Any, Any, Any]
    stream_id: UUID
    command: Command


@dataclass(frozen=True, slots=True)
class Reaction:
    """When `event` happens elsewhere, do what `react` says. `name` is for ever: the inbox is kept under it."""

    name: str
    event: type[PublicEvent]
    react: Callable[[Received[Any]], Sequence[Directive]]
