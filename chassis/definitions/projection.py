"""A projection: a pure fold from public events to the rows of one table."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from uuid import UUID

import msgspec

from chassis.definitions.decoding import Decode, decoder
from contracts.envelope import Envelope, PublicEvent


class Received[E](msgspec.Struct, gc=False):
    """A public event as a fold meets it: the data, and the facts its envelope adds.

    `event_id` and `subject_id` are the text of UUIDs: most folds only pass them on, and need not take them apart.
    `data` has the attributes of the contract's model; on the fast path it is not an instance of it
    (see `decoding`), so folds dispatch on `type` and never on the class of `data`.
    """

    service: str
    type: str
    sequence: int
    event_id: str
    subject_id: str
    stream_version: int
    time: datetime
    data: E

    @property
    def id(self) -> UUID:
        """Return the event's id."""
        return msgspec.convert(self.event_id, UUID)

    @property
    def subject(self) -> UUID:
        """Return the id of the cooperative or request it is about."""
        return msgspec.convert(self.subject_id, UUID)

    @classmethod
    def of(cls, envelope: Envelope, data: E) -> Self:
        """Return what an envelope and its decoded data say together."""
        return cls(
            service=envelope.service,
            type=envelope.type,
            sequence=envelope.sequence,
            event_id=str(envelope.id),
            subject_id=str(envelope.subject),
            stream_version=envelope.stream_version,
            time=envelope.time,
            data=data,
        )


class Row(msgspec.Struct, frozen=True):
    """One row of a read model; its fields are the table's columns, in the table's order."""


type Handler[R: Row] = Callable[[R | None, Any], R | None]


def reads[H: Callable[..., Any]](*names: str) -> Callable[[H], H]:
    """Say which attributes of the data a handler reads: the others are then skipped undecoded.

    Decoding is a large part of a rebuild's work, and most events carry far more than a fold needs. Reading
    an attribute that is not named raises AttributeError.
    """

    def mark(handler: H) -> H:
        handler.reads = frozenset(names)  # type: ignore[attr-defined]
        return handler

    return mark


def by_subject(received: Received[Any]) -> Hashable:
    """File an event under the cooperative or request it is about."""
    return received.subject


@dataclass(frozen=True)
class Projection[R: Row]:
    """A read model: which events it reads, which row each touches, and how the row changes.

    `table` is a SQLAlchemy Table without schema whose first column is the primary key; the chassis puts
    it into the schema of each generation. `handlers` map a public event type to
    `(row or None, Received[event]) -> row or None`; None deletes. Raise `version` when the fold or the
    table changes: a rebuild then makes a new generation.

    Every event of a service in `services` is counted, also those no handler reads, so that a gap shows.
    """

    name: str
    version: int
    table: Any
    row: type[R]
    handlers: Mapping[type[PublicEvent], Handler[R]]
    key: Callable[[Received[Any]], Hashable] = by_subject

    @cached_property
    def services(self) -> frozenset[str]:
        """The services whose events this projection reads."""
        return frozenset(event.service for event in self.handlers)

    @cached_property
    def by_type(self) -> dict[tuple[str, str], tuple[type[PublicEvent], Handler[R]]]:
        """Handlers by (service, event type)."""
        return {(event.service, event.type_name()): (event, handler) for event, handler in self.handlers.items()}

    @cached_property
    def decoders(self) -> dict[tuple[str, str], Decode]:
        """What decodes the data of an event for its handler, by (service, event type)."""
        return {
            kind: decoder(event, getattr(handler, "reads", None)) for kind, (event, handler) in self.by_type.items()
        }

    def apply(self, row: R | None, received: Received[Any]) -> R | None:
        """Return the row after the event; unchanged when no handler reads its type."""
        entry = self.by_type.get((received.service, received.type))
        return entry[1](row, received) if entry else row

    def fold(self, events: Iterable[Received[Any]]) -> dict[Hashable, R]:
        """Return all rows after `events`: the naive fold that every fast path is compared with."""
        rows: dict[Hashable, R] = {}
        for received in events:
            if (received.service, received.type) not in self.by_type:
                continue
            key = self.key(received)
            row = self.apply(rows.get(key), received)
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        return rows
