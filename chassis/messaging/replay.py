"""The fast way to read the stream from anywhere to anywhere, as rebuilds do: no object per message, no library."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from operator import itemgetter

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
from contracts.envelope import SUBJECT_ROOT, TYPE_ROOT, Envelope, MalformedEnvelope, timestamp

type Batch = list[Replayed]

PULL = 5_000
"""Messages in one pull; two are open at a time."""
TRIES = 12
"""Attempts in a row without a new message before a replay gives up: some 15 seconds on a server that is down."""
_SILENCE = 10 * HEARTBEAT
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_GOODBYE = 1.0
"""Seconds that a server is given to forget a consumer; it does so by itself later."""
_TROUBLE = (Interrupted, WireError, OSError, TimeoutError)

# A message with an event as `Envelope.headers()` writes it; `++` never gives back, so nothing is tried twice. With all
# that follows the last of them, so that many are found in one go and nothing between them is passed over. Whatever is
# written otherwise is read the general way.
_UUID, _COUNT = rb"([0-9a-f-]{36})", rb"([1-9]\d*+)"
_OTHERS = rb"(?:\r\n(?!ce-)[^\r]++)*+"
_USUAL = (
    rb"(HMSG %b\.([^. ]++\.[^. ]++)[^ ]*+ 2 %%b(\d++)\.(\d++)\.[^ ]++ \d++ (\d++))"
    rb"\r\nNATS/1\.0\r\nce-specversion: 1\.0\r\nce-id: %b\r\nce-source: [^\r]++\r\nce-type: %b\.\2\.v\d++"
    rb"\r\nce-subject: %b\r\nce-time: ([0-9T:.-]{26}Z)\r\nce-dataschema: [^\r]++\r\nce-datacontenttype: [^\r]++"
    rb"\r\nce-sequence: %b\r\nce-streamversion: %b\r\nce-correlationid: [^\r]*+"
    rb"%b(?:\r\nce-causationid: [^\r]*+)?+%b\r\n\r\n([^\r]*+)\r\n|([\s\S]++)"
) % (re.escape(SUBJECT_ROOT.encode()), _UUID, re.escape(TYPE_ROOT.encode()), _UUID, _COUNT, _COUNT, _OTHERS, _OTHERS)
type _Found = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
_line, _kind, _number, _total, _rest = (itemgetter(place) for place in (0, 1, 3, 4, 11))
_event = itemgetter(2, 1, 8, 5, 6, 9, 7, 10)


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
                after = int(batch[-1][0])
            return
        except NoEvent as found:
            place = found.log_sequence
        if after < place - 1:
            async for batch in replay(where, stream, (), after, place - 1, identity=identity):
                yield batch
        yield [(b"%d" % place, b"", b"0", b"", b"", b"0", b"", b"")]
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
        self._wanted: set[bytes] = set()  # kinds, of those met: some dozens
        self._usual = usual(stream, "")
        self._consumer = ""
        self._delivered = 0  # by the consumer, of the messages that awaited it when it was made
        self._awaited = 0
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
        self._usual = usual(self._stream, self._consumer)
        self._delivered = 0
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
        while self.last < self.end and self._delivered < self._awaited:
            for _ in range(self._pulls.taken(taken)):
                connection.publish(self._pulls.subject, self._pulls.request, connection.inbox)
            before = self._delivered
            batch, rest = self._decode(await connection.read(_SILENCE), connection)
            connection.keep(rest)
            taken = self._delivered - before
            if batch:
                yield batch

    def _decode(self, block: bytes, connection: Connection) -> tuple[Batch, bytes]:
        """Return the events wanted of a block, and its incomplete rest.

        Moves `last` only with everything before it decoded, so that whatever is raised, no event is passed over.
        """
        before = self.last, self._delivered
        batch: Batch = []
        at, size, usual = 0, len(block), True
        try:
            while at < size:
                if usual:
                    found = self._usual.findall(block, at)
                    rest = _rest(found.pop()) if _rest(found[-1]) else b""
                    # From here on one by one, where these are not what the server wrote, for a body may look like it.
                    usual = self._take(found, size - len(rest) - at, batch)
                    if usual:
                        at = size - len(rest)
                        if not rest:
                            break
                part = parse(block, at)
                if part is None:
                    break
                self._general(part, batch, connection)
                at = part.end
        except BaseException:
            self.last, self._delivered = before
            raise
        return batch, block[at:]

    def _take(self, found: list[_Found], size: int, batch: Batch) -> bool:
        """Take in messages with usual events; return False, and take none, unless they make up `size` bytes.

        What the server says of their sizes is then the size of what was found: no body has been read as messages.
        """
        if not found:
            return True
        if sum(map(len, map(_line, found))) + sum(map(int, map(_total, found))) + 4 * len(found) != size:
            return False
        # The server sends them in their order, so the first and the last tell whether one is missing.
        due, last = self._delivered + 1, int(_number(found[-1]))
        if (int(_number(found[0])), last) != (due, due + len(found) - 1):
            numbers = map(int, map(_number, found))
            lost, number = next((place, number) for place, number in enumerate(numbers, due) if number != place)
            raise Interrupted(f"the consumer's message {lost} is missing, {number} came")
        self._delivered = last
        events = list(map(_event, found))
        self.last = int(events[-1][0])
        if self.last > self.end:
            self.last = self.end
            events = [event for event in events if int(event[0]) <= self.end]
        if [met for met in set(map(_kind, found)) - self._wanted if not self._is_wanted(met)]:
            events = [event for event in events if event[1] in self._wanted]
        batch += events
        return True

    def _general(self, part: Frame | Control, batch: Batch, connection: Connection) -> None:
        """Take in whatever it is."""
        if isinstance(part, Control):
            connection.control(part.line)
            return
        if part.subject == connection.inbox:
            self._pulls.status(parse_headers(part.headers))
            return
        if not part.reply:
            return  # a late answer to a request
        log_sequence, number = delivered(part.reply)
        if number != self._delivered + 1:
            raise Interrupted(f"the consumer's message {self._delivered + 1} is missing, {number} came")
        self._delivered = number
        self.last = min(log_sequence, self.end)
        kind_ = ".".join(kind(part.subject)).encode()
        if log_sequence <= self.end and self._is_wanted(kind_):
            batch.append(self._read(kind_, log_sequence, part.headers, part.payload))

    def _is_wanted(self, kind_: bytes) -> bool:
        wanted = not self._services or kind_.partition(b".")[0].decode() in self._services
        if wanted:
            self._wanted.add(kind_)
        return wanted

    @staticmethod
    def _read(kind_: bytes, log_sequence: int, block: bytes, data: bytes) -> Replayed:
        """Read an event whatever the order of its headers."""
        try:
            return written_out(log_sequence, kind_, Envelope.from_headers(parse_headers(block)), data)
        except ValueError as error:
            raise NoEvent(f"log sequence {log_sequence} ({kind_.decode()}): {error}", log_sequence) from error


def written_out(log_sequence: int, kind_: bytes, envelope: Envelope, data: bytes) -> Replayed:
    """Return an event as it stands in a usual message."""
    return (
        b"%d" % log_sequence,
        kind_,
        b"%d" % envelope.sequence,
        str(envelope.id).encode(),
        str(envelope.subject).encode(),
        b"%d" % envelope.stream_version,
        timestamp(envelope.time).encode(),
        data,
    )


def usual(stream: str, consumer: str) -> re.Pattern[bytes]:
    """Return what finds usual messages of a consumer one after another, and in the last find all that is no such."""
    return re.compile(_USUAL % re.escape(f"$JS.ACK.{stream}.{consumer}.1.".encode()))
