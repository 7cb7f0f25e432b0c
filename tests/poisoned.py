"""The plots of `projecting`, with events that can't be applied until somebody mends the code."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from projecting import Harvested, Planted, Plot, Rained, on_harvested, on_planted, on_rained, plots

from chassis.definitions.projection import Handler, Projection, Received
from chassis.engine.parking import receive
from chassis.engine.ports import LogMessage


class Broken(Exception):
    """What the fold raises."""


@dataclass
class Mistakes:
    """What is wrong with the code at the moment: which events, by their data, it can't decode, and can't fold."""

    undecodable: set[bytes] = field(default_factory=set)
    unfoldable: set[tuple[str, int]] = field(default_factory=set)

    def projection(self, key: Any = None) -> Projection[Plot]:
        """Return the plots as this code has them; `key` says which row an event is for, its subject's unless given."""
        projection = Projection(
            name=plots.name,
            version=plots.version,
            table=plots.table,
            row=Plot,
            handlers={
                Planted: self._fragile(on_planted, key),
                Harvested: self._fragile(on_harvested, key),
                Rained: self._fragile(on_rained, key),
            },
            **({"key": key} if key else {}),
        )
        decoders = {kind: self._picky(decode) for kind, decode in projection.decoders.items()}
        projection.__dict__["decoders"] = decoders
        return projection

    def _fragile(self, handler: Handler[Plot], key: Any) -> Handler[Plot]:
        def fold(row: Plot | None, received: Received[Any]) -> Plot | None:
            if (received.service, received.sequence) in self.unfoldable:
                raise Broken(f"{received.service} {received.sequence}")
            return handler(row, msgspec.structs.replace(received, subject_id=str(key(received))) if key else received)

        return fold

    def _picky(self, decode: Any) -> Any:
        def decoded(data: bytes) -> Any:
            if data in self.undecodable:
                raise Broken("unreadable")
            return decode(data)

        return decoded

    def mend(self) -> None:
        """Mend the code."""
        self.undecodable.clear()
        self.unfoldable.clear()


def naive(projection: Projection[Plot], messages: Iterable[LogMessage]) -> dict[Hashable, Plot]:
    """Return the rows of the naive fold over distinct messages in order, by code without mistakes."""
    sound = Mistakes().projection(projection.key)
    return sound.fold(r for r in (receive(sound, m) for m in messages) if r)


def number(message: LogMessage) -> tuple[str, int]:
    """Return an event's service and sequence."""
    return message.service, int(message.headers["ce-sequence"])
