"""The fast way to read the stream from anywhere to anywhere, as rebuilds do: no object per message, no library."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress

from chassis.messaging.pulling import (
    HEARTBEAT,
    Interrupted,
    Pulls,
    delivered,
    kind,
    look,
    make_consumer,
    removal,
)
from chassis.messaging.wire import Connection, Control, Frame, WireError, parse, parse_headers
from contracts.envelope import Envelope, MalformedEnvelope, timestamp

type Event = tuple[int, str, str, int, bytes, bytes, int, bytes, bytes]
"""One event: log sequence, service, type, ce-sequence, id, subject, stream version, time, data.

A plain tuple, because nothing in Python is made or unpacked faster. Id and subject are the ASCII of a lower-case
UUID, time is RFC 3339 in UTC with microseconds and `Z`: equal values are equal bytes, good as keys undecoded.
Service and type are the same str objects for every event of their kind.
"""
type Batch = list[Event]

PULL = 5_000
"""Messages in one pull; two are open at a time."""
TRIES = 12
"""Attempts in a row without a new message before a replay gives up: some 15 seconds on a server that is down."""
_SILENCE = 10 * HEARTBEAT
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_TROUBLE = (Interrupted, WireError, OSError, TimeoutError)

# A message exactly as Envelope.headers() and the server write it, up to its payload. What isn't exactly so
# takes the general way, so this pattern decides on speed only. `++` and `*+` never give back: no backtracking.
_UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MESSAGE = re.compile(
    rb"HMSG dinkop\.v1\.([\w-]++\.[\w-]++)\.[\w-]++ 2 "
    rb"\$JS\.ACK\.[^. ]++\.[^. ]++\.\d++\.(\d++)\.(\d++)\.\d++\.\d++ (\d++) (\d++)\r\n()"
    rb"NATS/1\.0\r\n"
    rb"ce-specversion: 1\.0\r\n"
    rb"ce-id: (%(uuid)b)\r\n"
    rb"ce-source: [^\r\n]*+\r\n"
    rb"ce-type: id\.go\.malangkab\.dinkop\.\1\.v\d++\r\n"
    rb"ce-subject: (%(uuid)b)\r\n"
    rb"ce-time: (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\r\n"
    rb"ce-dataschema: [^\r\n]*+\r\n"
    rb"ce-datacontenttype: [^\r\n]*+\r\n"
    rb"ce-sequence: (\d++)\r\n"
    rb"ce-streamversion: (\d++)\r\n"
    rb"ce-correlationid: [^\r\n]*+\r\n"
    rb"(?:(?!ce-(?!causationid: ))[^\r\n]++\r\n)*+\r\n" % {b"uuid": _UUID}
)


class LogUnreadable(Exception):
    """The stream could not be read to the end; the message says how far it was, and what is wrong."""


async def replay(
    nats_url: str,
    stream: str,
    services: Collection[str],
    after: int,
    until: int,
    *,
    identity: str = "",
    tries: int = TRIES,
) -> AsyncGenerator[Batch]:
    """Yield the events of `services` (none named: of all) in `after` < log sequence <= `until`, in order, once each.

    Ends at `until`, or at the stream's last sequence where that is smaller. `nats_url` may name several servers,
    separated by commas. Whatever interrupts the reading, it goes on after the last event yielded; after `tries`
    attempts in a row that brought nothing it raises LogUnreadable. Raises LogReplaced when the stream is not
    the one of `identity` (empty: the first seen), and MalformedEnvelope on a message that is no event. Holds at most
    two pulls in memory.
    """
    urls = nats_url.split(",")
    failed = 0
    reading = _Reading(stream, frozenset(services), after, identity)
    while True:
        before = reading.last
        try:
            connection = await Connection.open(urls[failed % len(urls)], os.urandom(11).hex())
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


class _Reading:
    """Where a replay stands, across connections: `last` is the last sequence taken, `end` where it stops."""

    def __init__(self, stream: str, services: frozenset[str], after: int, identity: str) -> None:
        self.last = after
        self.end = 0
        self._stream = stream
        self._services = services
        self._identity = identity
        self._kinds: dict[bytes, tuple[str, str] | None] = {}
        self._consumer = ""
        # The stream sequence less the consumer's: constant, but for holes in the stream itself.
        self._offset = after
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
        # Without a filter: the server delivers everything faster than a part, and then every sequence is seen.
        self._consumer, awaiting = await make_consumer(connection.ask, self._stream, self.last, None)
        self._offset = self.last
        self._pulls = Pulls(self._stream, self._consumer, PULL)
        return awaiting > 0

    async def stop(self, connection: Connection) -> None:
        """Remove the consumer and close."""
        if self._consumer:
            with suppress(OSError):
                connection.publish(removal(self._stream, self._consumer), b"")
        await connection.close()

    async def batches(self, connection: Connection) -> AsyncGenerator[Batch]:
        """Yield what comes, block by block, until the end is reached."""
        taken = 0
        while self.last < self.end:
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
        """Return the events wanted of a block, and where its incomplete rest starts."""
        match, kinds, size, end = _MESSAGE.match, self._kinds, len(buffer), self.end
        batch: Batch = []
        add = batch.append
        at = 0
        while self.last < end:
            found = match(buffer, at)
            if found is None:
                part = parse(buffer, at)
                if part is None:
                    break
                self._general(part, batch, connection)
                at = part.end
                continue
            about, place, number, head, total, _, id_, subject, time, sequence, version = found.groups()
            start = found.end()
            if start - found.start(6) != int(head):
                raise WireError(f"the header block of message {int(place)} is not as long as announced")
            stop = start + int(total) - int(head)
            if stop + 2 > size:
                break
            log_sequence = int(place)
            if log_sequence != self.last + 1:
                self._jump(log_sequence, int(number))
            if log_sequence > end:
                self.last = end
                break
            self.last = log_sequence
            try:
                wanted = kinds[about]
            except KeyError:
                wanted = kinds[about] = self._kind(about)
            if wanted is not None:
                add(
                    (
                        log_sequence,
                        wanted[0],
                        wanted[1],
                        int(sequence),
                        id_,
                        subject,
                        int(version),
                        time,
                        buffer[start:stop],
                    )
                )
            at = stop + 2
        return batch, at

    def _kind(self, about: bytes) -> tuple[str, str] | None:
        service, type_ = about.decode().split(".")
        return (service, type_) if not self._services or service in self._services else None

    def _jump(self, log_sequence: int, number: int) -> None:
        """Tell a hole in the stream from a message lost on its way."""
        due = self.last - self._offset + 1
        if number != due:
            raise Interrupted(f"the consumer's message {due} is missing, {number} came")
        self._offset = log_sequence - number

    def _general(self, part: Frame | Control, batch: Batch, connection: Connection) -> None:
        """Take in whatever isn't written exactly as our relay and the server's usual way have it."""
        if isinstance(part, Control):
            connection.control(part.line)
            return
        headers = parse_headers(part.headers)
        if part.subject == connection.inbox:
            self._pulls.status(headers)
            return
        if not part.reply:
            return  # a late answer to a request
        log_sequence, number = delivered(part.reply)
        if log_sequence != self.last + 1:
            self._jump(log_sequence, number)
        if log_sequence > self.end:
            self.last = self.end
            return
        service, type_ = kind(part.subject)
        if not self._services or service in self._services:
            batch.append(_event(log_sequence, service, type_, headers, part.payload))
        self.last = log_sequence


def _event(log_sequence: int, service: str, type_: str, headers: dict[str, str], data: bytes) -> Event:
    try:
        envelope = Envelope.from_headers(headers)
        return (
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
        raise MalformedEnvelope(f"log sequence {log_sequence} ({service}.{type_}): {error}") from error
