"""A hard day for an agency's consumer: killed, cut off, fed duplicates, and the stream lost and published anew."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from eventually import eventually
from filling import KINDS, Publication, fill, publication
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from chassis.messaging import stream
from contracts.envelope import STREAM
from contracts.generate import CONTRACTS
from dinkop.completeness import manifest
from dinkop.system import System

PATIENCE = 120.0  # seconds; a crowded machine is no failure
ACK_WAIT = 2.0
DURABLE = "agency-trial"
EVERYTHING = ("dinkop.v1.>",)
PYTHON = (sys.executable, str(CONTRACTS / "consumers" / "python" / "consumer.py"))


def events(count: int) -> Iterator[Publication]:
    """Return events of all services in turn, each filed under the kecamatan that its data names."""
    sequences: dict[str, int] = {}
    for number in range(count):
        service, type_ = KINDS[number % len(KINDS)]
        sequence = sequences[service] = sequences.get(service, 0) + 1
        data = b'{"cooperative_id":"c%d","kecamatan_code":"35.07.%02d"}' % (sequence % 999, sequence % 33 + 1)
        yield publication(sequence, service, type_, data)


def by_service(published: Sequence[Publication]) -> list[Publication]:
    """Return events in another order between services, each service's own order kept."""
    return sorted(published, key=lambda event: event[0].split(".")[2])


@dataclass
class Proxy:
    """Stands between a consumer and the server, and can silence or cut every connection."""

    target: str
    url: str = ""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _to_server: set[asyncio.StreamWriter] = field(default_factory=set)
    _silent: set[asyncio.StreamWriter] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = urlsplit(self.target)
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        self._open |= {writer, far_writer}
        self._to_server.add(far_writer)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while block := await source.read(65_536):
                    if sink not in self._silent:
                        sink.write(block)
                        await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        self._open -= {writer, far_writer}
        self._to_server.remove(far_writer)
        self._silent.discard(far_writer)

    def silence(self) -> None:
        """Let the connections that are open stay so, and nothing come through them any more to the server."""
        self._silent |= self._to_server

    def cut(self) -> int:
        """Cut every connection, in the middle of whatever was on its way; return how many there were."""
        cut = list(self._open)
        for writer in cut:
            writer.transport.abort()
        return len(cut)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()


@dataclass
class Consumer:
    """A consumer as a process, and what it has written down."""

    words: Sequence[str]
    folder: Path
    count: Callable[[Path], int]
    process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    async def start(self, *more: str) -> None:
        words = (*self.words, str(self.folder / "agency.json"), "--state", str(self.state), *more)
        self.process = await asyncio.create_subprocess_exec(*words)

    async def kill(self) -> None:
        assert self.process is not None
        assert self.process.returncode is None, "it had ended by itself"
        self.process.kill()
        await self.process.wait()

    async def ended(self) -> int:
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    async def has(self, events: int) -> None:
        await eventually(lambda: self.count(self.state) >= events, PATIENCE)

    async def says(self, *words: str) -> tuple[int, str]:
        asked = await asyncio.create_subprocess_exec(
            *self.words, "--state", str(self.state), *words, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await asyncio.wait_for(asked.communicate(), PATIENCE)
        return asked.returncode or 0, told.decode()


def rows(state: Path) -> int:
    """Count the events in the state of the consumer in Python."""
    database = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
    try:
        [(count,)] = database.execute("SELECT count(*) FROM events")
        return int(count)
    finally:
        database.close()


def lines(state: Path) -> int:
    """Count the events in the state of the consumer in JavaScript."""
    return state.read_bytes().count(b"\n")


async def durable(client: Client, *filters: str, after: int = 0) -> None:
    """Make the consumer's durable, as `dinkop agency add` does."""
    configuration = ConsumerConfig(
        durable_name=DURABLE,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_wait=ACK_WAIT,
        filter_subjects=list(filters or EVERYTHING),
    )
    await client.jetstream().add_consumer(STREAM, configuration)


def credentials(folder: Path, url: str, filter_subjects: Sequence[str] = EVERYTHING) -> None:
    """Write the file that `dinkop agency add` prints."""
    agency = {"url": url, "user": "trial", "password": "secret", "stream": STREAM, "durable": DURABLE}
    agency |= {"inbox_prefix": "_INBOX.trial", "filter_subjects": list(filter_subjects)}
    (folder / "agency.json").write_text(json.dumps(agency))


async def hard_day(system: System, client: Client, consumer: Consumer, count: int) -> None:
    """Have `consumer` read `count` events through everything that may happen; it must end complete.

    `client` is of a server whose stream is empty.
    """
    published = list(events(count))
    await fill(client, published[: count // 2])
    await durable(client)
    async with Proxy(system.running.nats_url).listening() as proxy:
        credentials(consumer.folder, proxy.url)
        await consumer.start()
        await consumer.has(count // 10)
        await consumer.kill()
        await eventually(lambda: _snatch(client, 300), PATIENCE)

        await consumer.start()
        await consumer.has(count // 4)
        assert proxy.cut() >= 2
        await consumer.has(count // 2)

        # The stream is lost, and published anew: other places, another order between services, the same ids.
        await client.jetstream().delete_stream(STREAM)
        await eventually(lambda: stream.ensure(client.jetstream()))
        await fill(client, by_service(published[: count // 2]))
        await fill(client, by_service(published[count // 2 :]))
        await durable(client)
        await consumer.has(count * 3 // 4)
        await consumer.kill()

        await consumer.start("--once")
        assert await consumer.ended() == 0

    due = await manifest(system, (), None, lambda *_: None)
    assert due["events"] == count
    file = consumer.folder / "manifest.json"
    file.write_text(json.dumps(due))
    assert await consumer.says("--check", str(file)) == (0, "Complete.\n")
    code, told = await consumer.says("--manifest")
    had = json.loads(told)
    assert (code, had["digest"], had["events"]) == (0, due["digest"], count)
    assert sorted(had["items"], key=str) == sorted(due["items"], key=str)


async def _snatch(client: Client, messages: int) -> bool:
    """Take messages on the consumer's behalf and lose them: some refused, the others never acknowledged."""
    subscription = await client.jetstream().pull_subscribe_bind(DURABLE, STREAM)
    snatched = await subscription.fetch(messages, timeout=ACK_WAIT * 3)
    for message in snatched[::3]:
        await message.nak()
    await subscription.unsubscribe()
    return bool(snatched)
