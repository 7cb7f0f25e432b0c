"""A poison event is put aside with what must wait behind it, and everything else goes on."""

import traceback
from collections.abc import Hashable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.ports import Failure, LogMessage, Parked, SetAside, Waiting
from contracts.envelope import Envelope

_LONGEST = 2_000
"""Characters that are kept of an exception, and of the end of its traceback."""
_LONGEST_KEY = 500


class Batch[R: Row]:
    """Events in order, on their way into rows: those that can't be applied, and those behind them, are sifted out.

    An event waits behind a parked one of its key. Of an event that can't be decoded nobody knows the key, so
    whatever is about the same subject waits behind it. What raises is taken to be poison whatever it raises: a fold
    is pure, so it will raise it again.
    """

    def __init__(self, projection: Projection[R], aside: SetAside) -> None:
        """Fold with `projection` what is not set aside."""
        self._projection = projection
        self._aside = aside
        self._met: list[_Met | Parked] = []
        self.keys: set[Hashable] = set()
        self.last: Received[Any] | None = None

    def meet(self, message: LogMessage) -> None:
        """Take in the next event; one that no handler reads, or that was discarded, falls away."""
        if self._is_discarded(message):
            return
        try:
            received = receive(self._projection, message)
            if received is None:
                return
            key = self._projection.key(received)
            self.keys.add(key)
        except Exception as failed:
            self.leave(Parked(message, None, failure(failed), attempts=1))
            return
        self.last = received
        self._met.append(_Met(message, key, received))

    def leave(self, parked: Parked) -> None:
        """Take in the next event, one that is not to be tried; one that was discarded falls away."""
        if not self._is_discarded(parked.message):
            self._met.append(parked)

    def _is_discarded(self, message: LogMessage) -> bool:
        discarded = self._aside.discarded
        return bool(discarded) and (message.service, int(message.headers["ce-sequence"])) in discarded

    def fold(self, rows: Mapping[Hashable, Row]) -> tuple[dict[Hashable, R | None], list[Parked]]:
        """Return the rows that change, None where one goes, and the events that are parked.

        `rows` are the present ones of `keys`. What is parked has yet to be added to what is set aside.
        """
        changed: dict[Hashable, R | None] = {}
        parked: list[Parked] = []
        before, here = self._aside.waiting, Waiting()
        some_wait = bool(before.keys or before.subjects)

        def park(event: Parked) -> None:
            nonlocal some_wait
            some_wait = True
            parked.append(event)
            here.add(event)

        for each in self._met:
            if isinstance(each, Parked):
                park(each)
                continue
            message, key, received = each
            if some_wait:
                text, subject = key_text(key), message.headers["ce-subject"]
                if before.holds(text, subject) or here.holds(text, subject):
                    park(Parked(message, text, None))
                    continue
            row: Any = changed[key] if key in changed else rows.get(key)
            try:
                changed[key] = self._projection.apply(row, received)
            except Exception as failed:
                park(Parked(message, key_text(key), failure(failed), attempts=1))
        return changed, parked

    def refused(self, why: Exception) -> Parked:
        """Return the batch's only event as parked, because its row, or the row's key, can't be stored."""
        [only] = self._met
        return only if isinstance(only, Parked) else Parked(only.message, key_text(only.key), failure(why), attempts=1)


class _Met(NamedTuple):
    message: LogMessage
    key: Hashable
    received: Received[Any]


def receive(projection: Projection[Any], message: LogMessage) -> Received[Any] | None:
    """Return the message as the projection's fold meets it, or None when no handler reads its type."""
    decode = projection.decoders.get((message.service, message.type))
    if decode is None:
        return None
    return Received.of(Envelope.from_headers(message.headers), decode(message.data))


def failure(error: Exception) -> Failure:
    """Return what is kept of an exception."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(storable(said)[:_LONGEST], storable("".join(traceback.format_exception(error)))[-_LONGEST:])


def key_text(key: Hashable) -> str:
    """Return the name that a row's key is parked under; of one that no index could hold, its digest."""
    text = storable(str(key))
    return text if len(text) <= _LONGEST_KEY else sha256(text.encode()).hexdigest()


def storable(text: str) -> str:
    """Return a text as the database can hold it: without NUL and halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def halves[T](items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Return the first half of two items or more, and the second."""
    middle = len(items) // 2
    return items[:middle], items[middle:]
