"""A NATS server with its doors, the stream, and those who sign in."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats as nats_py
from eventually import eventually
from filling import publication
from nats.aio.client import Client
from nats.js.api import StreamState
from ports import free_ports

from chassis.definitions import clock
from chassis.messaging import connection, durables, stream
from chassis.messaging.address import Address
from contracts.envelope import SERVICES, STREAM
from dinkop.doors import Doors, hashed
from dinkop.embedded.nats import EmbeddedNats
from dinkop.home import Home, Running
from dinkop.nats_accounts import OPERATOR, Agency, Standing
from dinkop.processes import ProcessRecord
from dinkop.system import System

AGENCIES = {"kominfo": (), "wagir": ("35.07.21",)}
PASSWORD = "x" * 43


def agency(name: str) -> Agency:
    """Return one of AGENCIES; its password is PASSWORD."""
    return Agency(
        name=name,
        durable=f"{name}-0123456789abcdef",
        password_hash=hashed(PASSWORD),
        kecamatan=AGENCIES[name],
        since=clock.now(),
        standing=Standing.OPEN,
    )


@dataclass
class Errors:
    """What a server says against what a client did."""

    seen: list[str] = field(default_factory=list)

    async def note(self, error: Exception) -> None:
        self.seen.append(str(error))

    def against(self, kind: str, subject: str) -> bool:
        return any(f'permissions violation for {kind} to "{subject}"'.lower() in each.lower() for each in self.seen)


class Guarded:
    """The server, running on a home."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.doors = Doors(self.home.doors)
        self.server = EmbeddedNats(self.home.nats, *free_ports(2), accounts=self.doors.accounts)

    async def start(self) -> None:
        self.doors.prepare()
        await self.server.start()

    @property
    def system(self) -> System:
        """The system, as far as NATS goes."""
        assert self.server.process is not None
        nats = ProcessRecord.of(self.server.process.pid)
        assert nats is not None
        url, monitoring = self.server.url, self.server.monitoring_url
        return System(self.home, Running(nats, True, {}, url, monitoring, {}, {"nats": nats}))

    def address(self, user: str) -> Address:
        """Return the address with the user and his password."""
        if user.startswith("agency-"):
            return Address((self.server.url,), user, PASSWORD)
        return Address.parse(self.doors.url(user, self.server.url))

    @asynccontextmanager
    async def signed_in(self, user: str, errors: Errors | None = None) -> AsyncIterator[Client]:
        """Sign in with nats-py alone, as other agencies do."""
        address = self.address(user)
        client = await nats_py.connect(
            self.server.url,
            user=user,
            password=address.password,
            inbox_prefix=address.inbox_prefix,
            allow_reconnect=False,
            error_cb=(errors or Errors()).note,
        )
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def operating(self) -> AsyncIterator[Client]:
        """Sign in as dinkop does."""
        async with connection.connect(self.address(OPERATOR), "test") as broker:
            yield connection.client(broker)

    async def state(self) -> tuple[StreamState | None, object, list[str]]:
        """Return all that nobody may change: the stream's state and configuration, and who reads."""
        async with self.operating() as client:
            found = await client.jetstream().stream_info(STREAM)
            found.state.consumer_count = 0
            names = [each.name for each in await client.jetstream().consumers_info(STREAM)]
            return found.state, found.config, sorted(names)


@contextmanager
def guarded() -> Iterator[Guarded]:
    """Run a server with its doors, two agencies, and ten events of each service on the stream."""
    folder = Path(tempfile.mkdtemp(prefix="dg-")).resolve()
    server = Guarded(folder / "home")

    async def prepare() -> None:
        server.doors.prepare()
        for name in AGENCIES:
            server.doors.record(agency(name))
        await server.start()
        for service in SERVICES:
            async with server.signed_in(service) as client:
                await eventually(lambda client=client: stream.ensure(client.jetstream()))
                for number in range(1, 11):
                    subject, headers, payload = publication(number * 20, service, "Happened")
                    await client.jetstream().publish(subject, payload, headers=headers)
        async with server.operating() as client:
            for name in AGENCIES:
                each = agency(name)
                await durables.make(client, each.durable, each.filter_subjects, 0)

    try:
        asyncio.run(prepare())
        yield server
    finally:
        asyncio.run(server.server.stop())
        shutil.rmtree(folder, ignore_errors=True)
