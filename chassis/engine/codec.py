"""Stored events to JSON and back: type names, schema versions, upcasting."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import msgspec

from chassis.definitions.decider import Decider, Event
from chassis.engine.ports import NewEvent, StoredEvent


class UnknownEvent(Exception):
    """A stored event has a type or schema version that this code cannot read: deploy the code that can."""


class Codec[E: Event]:
    """Reads and writes the events of one decider."""

    def __init__(self, decider: Decider[Any, Any, E], new_id: Callable[[], Any]) -> None:
        """Take event types from the decider and ids from `new_id`."""
        self._decider = decider
        self._new_id = new_id

    @cached_property
    def _classes(self) -> dict[str, type[E]]:
        return {event.__name__: event for event in self._decider.events}

    def encode(self, event: E) -> NewEvent:
        """Return an event ready to append, with a fresh id."""
        return NewEvent(self._new_id(), type(event).__name__, event.schema_version, event.model_dump_json())

    def decode(self, stored: StoredEvent) -> E:
        """Return the typed event, upcast to its newest schema version. Raises UnknownEvent."""
        cls = self._classes.get(stored.type)
        if cls is None or stored.schema_version > cls.schema_version:
            raise UnknownEvent(f"{stored.type} v{stored.schema_version} at position {stored.position}")
        if stored.schema_version == cls.schema_version:
            return cls.model_validate_json(stored.data)
        data = cast(dict[str, Any], msgspec.json.decode(stored.data))
        for version in range(stored.schema_version, cls.schema_version):
            upcast = self._decider.upcasts.get((stored.type, version))
            if upcast is None:
                raise UnknownEvent(f"no upcaster for {stored.type} v{version}")
            data = upcast(data)
        return cls.model_validate_json(msgspec.json.encode(data))
