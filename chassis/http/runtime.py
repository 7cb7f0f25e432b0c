"""What a running service offers its routes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from chassis.definitions.decider import Command, Decider, Event
from chassis.engine.gate import Gate
from chassis.engine.handling import Handler
from chassis.engine.ports import EventStore
from chassis.http.admission import Door
from chassis.http.turns import Turns
from chassis.operations.looking import Operations
from chassis.operations.parking import Parking
from chassis.storage.archive import Archive
from chassis.storage.read_models import ReadModels
from chassis.storage.vault import Vault


@dataclass
class Runtime:
    """The parts of a running service that routes use.

    `positions` are those of the projections that run in this process; `note` is how they are told. `vault` is
    there when the manifest says that the service keeps personal data. `gate` is the one before the store.
    """

    service: str
    known_services: frozenset[str]
    store: EventStore
    read_models: ReadModels
    today: date | None
    wake: Callable[[], None]
    reachable: Callable[[], Any]
    operations: Operations
    door: Door
    hold: Callable[[], None] = lambda: None
    secret: bytes = b""
    vault: Vault | None = None
    archive: Archive | None = None
    parking: Parking | None = None
    gate: Gate = field(default_factory=Gate)
    turns: Turns = field(default_factory=Turns)
    positions: dict[str, Mapping[str, int]] = field(default_factory=dict)
    _handlers: dict[str, Handler[Any, Any, Any]] = field(default_factory=dict)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def handler[C: Command, S, E: Event](self, decider: Decider[C, S, E]) -> Handler[C, S, E]:
        """Return the write side of one kind of stream."""
        handler = self._handlers.get(decider.stream)
        if handler is None:
            handler = self._handlers[decider.stream] = Handler(self.store, decider, self.wake)
        return handler

    def note(self, projection: str, positions: Mapping[str, int]) -> None:
        """Say that a projection has moved: readers that wait look again."""
        self.positions[projection] = positions
        self._moved.set()
        self._moved = asyncio.Event()

    def next_move(self) -> asyncio.Event:
        """Return what is set when a projection of this process moves from now on."""
        return self._moved
