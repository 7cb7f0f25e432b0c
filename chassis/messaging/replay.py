"""The fast way to read the stream from anywhere to anywhere, as rebuilds do: no object per message, no library."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress

from chassis.engine.ports import Replayed
from chassis.messaging.address import ANYBODY, Address, Where
from chassis.messaging.pulling import (
    HEARTBEAT,
    Interrupted,
    Pulls,
    delivered,
    kind,
    look,
    make_consumer,
    removal,
    server_filter,
)
from chassis.messaging.wire import Connection, Control, Frame, WireError, parse, parse_headers
from contracts.envelope import Envelope, MalformedEnvelope, timestamp

type Batch = list[Replayed]
"""Service and type are the same str objects for every event of their kind."""

PULL = 5_000
"""Messages in one pull; two are open at a time."""
TRIES = 12
"""Attempts in a row without a new message before a replay gives up: some 15 seconds on a server that is down."""
_SILENCE = 10 * HEARTBEAT
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_GOODBYE = 1.0
"""Seconds that a server is given to forget a consumer; it does so by itself later."""
_TROUBLE = (Interrupted, WireError, OSError, TimeoutError)

# An event's headers as `Envelope.headers()` writes them, up to what its correlation is; `++` never gives back, so
# nothing is tried twice. Keys in upper case, and whatever else is written otherwise, are read the general way.
_UUID = rb"([0-9a-f-]{36})"
_HEADERS = (
    rb"NATS/1\.0\r\nce-specversion: 1\.0\r\nce-id: "
    + _UUID
    + rb"\r\n(ce-source: [^\r]++\r\nce-type: [^\r]++)\r\nce-subject: "
    + _UUID
    + rb"\r\nce-time: ([0-9T:.-]{26}Z)\r\n(ce-dataschema: [^\r]++\r\nce-datacontenttype: [^\r]++)"
    + rb"\r\nce-sequence: (\d++)\r\nce-streamversion: (\d++)\r\nce-correlationid: "
)
_USUAL = re.compile(_HEADERS)
_OURS, _CAUSATION = b"\r\nce-", b"\r\nce-causationid: "


class NoEvent(MalformedEnvelope):
    """A message on the stream is no event of ours; `log_sequence` is its place."""

    def __init__(self, problem: str, log_sequence: int) -> None:
        super().__init__(problem)
        self.log_sequence = log_sequence


class LogUnreadable(Exception):
    """The stream could not be read to the end; the message says how far it was, and what is wrong."""


async def replay(
    where: Where,
    stream: str,
    services: Collection[str],
    after: int,
    until: int,
    *,
    identity: str = "",
    tries: int = TRIES,
) -> AsyncGenerator[Batch]:
    """Yield the events of `services` (none named: of all) in `after` < log sequence <= `until`, in order, once each.

    Ends at `until`, or at the stream's last sequence where that is smaller. `where` may name several servers.
    Whatever interrupts the reading, it goes on after the last event yielded; after `tries`
    attempts in a row that brought nothing it raises LogUnreadable. Raises LogReplaced when the stream is not
    the one of `identity` (empty: the first seen), and NoEvent on a message that is none. Holds at most two pulls in
    memory.
    """
    address = Address.of(where)
    failed = 0
    reading = _Reading(stream, frozenset(services), after, identity, address.owner)
    while True:
        before = reading.last
        try:
            connection = await Connection.open(address, os.urandom(11).hex(), failed)
            try:
                if await reading.start(connection, until):
                    async for batch in reading.batches(connection):
                        yield batch
                return
            finally:
                await reading.stop(connection)
        except _TROUBLE as trouble:
            failed = 1 if reading.last > before else failed + 1
            if failed >= tries:
                raise LogUnreadable(
                    f"{stream} was read up to {reading.last} of {reading.end or until}; then {tries} attempts"
                    f" failed, the last with {trouble!r}"
                ) from trouble
        await asyncio.sleep(min(_FIRST_PAUSE * 2 ** (failed - 1), _LONGEST_PAUSE))


async def replay_all(where: Where, stream: str, until: int, *, identity: str = "") -> AsyncGenerator[Batch]:
    """Yield every message up to `until` as `replay` does; one that is no event comes as an event of no service.

    Each of those costs a new beginning: they are few, or all is lost anyway.
    """
    after = 0
    while True:
        try:
            async for batch in replay(where, stream, (), after, until, identity=identity):
                yield batch
                after = batch[-1][0]
            return
        except NoEvent as found:
            place = found.log_sequence
        if after < place - 1:
            async for batch in replay(where, stream, (), after, place - 1, identity=identity):
                yield batch
        yield [(place, "", "", 0, b"", b"", 0, b"", b"")]
        after = place


class _Reading:
    """Where a replay stands, across connections: `last` is the last sequence taken, `end` where it stops."""

    def __init__(self, stream: str, services: frozenset[str], after: int, identity: str, owner: str = ANYBODY) -> None:
        self.last = after
        self.end = 0
        self._stream = stream
        self._services = services
        self._identity = identity
        self._owner = owner
        # Service and type by subject and by what all headers of their kind have in common: a few hundred.
        self._kinds: dict[tuple[bytes, bytes, bytes], tuple[str, str]] = {}
        self._unwanted: set[bytes] = set()
        self._event = _event(stream, "")
        self._consumer = ""
        # The stream sequence less the consumer's: constant, but for holes in the stream itself.
        self._offset = after
        self._awaited = 0  # messages that the consumer had to deliver when it was made
        self._pulls = Pulls(stream, "", PULL)

    async def start(self, connection: Connection, until: int) -> bool:
        """Make a consumer; return whether there is anything to read."""
        self._consumer = ""
        incarnation = await look(connection.ask, self._stream)
        incarnation.check(self._identity, self.last)
        self._identity = incarnation.identity
        self.end = self.end or min(until, incarnation.last)
        if self.last >= self.end:
            return False
        # Of one service, for more it might not be allowed to read; of several, everything: see server_filter.
        self._consumer, self._awaited = await make_consumer(
            connection.ask, self._stream, self._owner, self.last, server_filter(self._services)
        )
        self._event = _event(self._stream, self._consumer)
        self._offset = self.last
        self._pulls = Pulls(self._stream, self._consumer, PULL)
        return self._awaited > 0

    async def stop(self, connection: Connection) -> None:
        """Remove the consumer and close."""
        if self._consumer:
            # Answered: a connection that is closed with messages in it unread takes along what was sent last.
            with suppress(*_TROUBLE):
                async with asyncio.timeout(_GOODBYE):
                    await connection.ask(removal(self._stream, self._consumer), b"")
        await connection.close()

    async def batches(self, connection: Connection) -> AsyncGenerator[Batch]:
        """Yield what comes, block by block, until the end is reached."""
        taken = 0
        while self.last < self.end and self.last - self._offset < self._awaited:
            for _ in range(self._pulls.taken(taken)):
                connection.publish(self._pulls.subject, self._pulls.request, connection.inbox)
            before = self.last - self._offset
            buffer = await connection.read(_SILENCE)
            batch, at = self._decode(buffer, connection)
            connection.keep(buffer[at:])
            taken = self.last - self._offset - before
            if batch:
                yield batch

    def _decode(self, buffer: bytes, connection: Connection) -> tuple[Batch, int]:
        """Return the events wanted of a block, and where its incomplete rest starts.

        Moves `last` only with everything before it decoded, so that whatever is raised, no event is passed over.
        """
        size, end, last, event_at = len(buffer), self.end, self.last, self._event.match
        kinds, unwanted, count = self._kinds, self._unwanted, buffer.count
        batch: Batch = []
        add = batch.append
        at = 0
        while last < end:
            event = event_at(buffer, at)
            if event is None:
                part = parse(buffer, at)
                if part is None:
                    break
                last = self._general(part, last, batch, connection)
                at = part.end
                continue
            about, log_place, number, head, total, id_, one, subject, time, two, sequence, version = event.groups()
            start, tail = event.end(5) + 2, event.end()
            body, stop = start + int(head), start + int(total)
            if stop + 2 > size:
                break
            log_sequence = int(log_place)
            if log_sequence != last + 1:
                self._jump(last, log_sequence, int(number))
                if log_sequence > end:
                    last = end
                    break
            last = log_sequence
            at = stop + 2
            found = kinds.get((about, one, two))
            if found is None:
                if about in unwanted:
                    continue
                if self._is_unwanted(about):
                    unwanted.add(about)
                    continue
            # Nothing said twice: after the correlation comes at most a causation.
            elif tail < body and (
                not (more := count(_OURS, tail, body)) or (more == 1 and _CAUSATION in buffer[tail:body])
            ):
                service, type_ = found
                data = buffer[body:stop]
                add((log_sequence, service, type_, int(sequence), id_, subject, int(version), time, data))
                continue
            add(self._read(about, log_sequence, buffer[start:body], buffer[body:stop]))
        self.last = last
        return batch, at

    def _jump(self, last: int, log_sequence: int, number: int) -> None:
        """Tell a hole in the stream from a message lost on its way. Raises Interrupted."""
        due = last - self._offset + 1
        if number != due:
            raise Interrupted(f"the consumer's message {due} is missing, {number} came")
        self._offset = log_sequence - number

    def _general(self, part: Frame | Control, last: int, batch: Batch, connection: Connection) -> int:
        """Take in whatever isn't a message under the usual reply subject; return the last sequence."""
        if isinstance(part, Control):
            connection.control(part.line)
            return last
        if part.subject == connection.inbox:
            self._pulls.status(parse_headers(part.headers))
            return last
        if not part.reply:
            return last  # a late answer to a request
        log_sequence, number = delivered(part.reply)
        if log_sequence != last + 1:
            self._jump(last, log_sequence, number)
        about = part.subject.encode()
        if log_sequence <= self.end and not self._is_unwanted(about):
            batch.append(self._read(about, log_sequence, part.headers, part.payload))
        return min(log_sequence, self.end)

    def _is_unwanted(self, about: bytes) -> bool:
        return bool(self._services) and kind(about.decode())[0] not in self._services

    def _read(self, about: bytes, log_sequence: int, block: bytes, data: bytes) -> Replayed:
        """Read an event whatever the order of its headers, and expect the next of its subject to look alike."""
        service, type_ = map(sys.intern, kind(about.decode()))
        try:
            envelope = Envelope.from_headers(parse_headers(block))
            event = (
                log_sequence,
                service,
                type_,
                envelope.sequence,
                str(envelope.id).encode(),
                str(envelope.subject).encode(),
                envelope.stream_version,
                timestamp(envelope.time).encode(),
                data,
            )
        except ValueError as error:
            raise NoEvent(f"log sequence {log_sequence} ({service}.{type_}): {error}", log_sequence) from error
        # As the envelope writes it, which need not be as this one was written.
        written = "".join(f"{name}: {value}\r\n" for name, value in envelope.headers().items())
        if usual := _USUAL.match(b"NATS/1.0\r\n" + written.encode()):
            _, one, _, _, two, *_ = usual.groups()
            self._kinds[about, one, two] = service, type_
        return event


def _event(stream: str, consumer: str) -> re.Pattern[bytes]:
    """Return a usual event: its subject, stream and consumer sequence, length of headers, of all; then the headers."""
    place = re.escape(f"$JS.ACK.{stream}.{consumer}.1.".encode())
    return re.compile(rb"HMSG ([^ ]++) 2 %b(\d++)\.(\d++)\.[^ ]++ (\d++) (\d++)\r\n%b" % (place, _HEADERS))
