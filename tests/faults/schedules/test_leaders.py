"""One serves, one dies: of two processes of a service the other publishes within five seconds, and nothing twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import httpx
import issuing
import pytest
from eventually import eventually
from nats.aio.client import Client
from nats.aio.msg import Msg
from ports import free_ports
from servers import PASSWORD, ROLE, Nats, name_of

from chassis.storage.leadership import SILENCE
from contracts.envelope import STREAM
from schedules.machines import serving
from schedules.network import Wire, wired

REPOSITORY = Path(__file__).parents[3]
SUCCESSION = 5.0
"""Seconds within which the successor publishes."""

pytestmark = pytest.mark.embedded


@dataclass
class Replica:
    """A process of the registry, and the wires to its servers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    stores: Wire
    messages: Wire

    def led(self) -> int:
        """Return how often it won the lead."""
        return self.log.read_bytes().count(b"background.leading")


@dataclass
class Pair:
    """Two of them on one database, and what arrives on the stream: when each `ce-sequence` came."""

    replicas: tuple[Replica, ...]
    http: httpx.AsyncClient
    began: float = field(default_factory=time.monotonic)
    arrived: dict[int, float] = field(default_factory=dict)
    registered: int = 0

    async def leader_and_other(self) -> tuple[Replica, Replica]:
        """Return who leads, and who doesn't."""

        async def leading() -> Replica:
            told = [await self.http.get(f"{each.url}/v1/projections") for each in self.replicas]
            [leader] = [each for each, answer in zip(self.replicas, told, strict=True) if answer.json()["leading"]]
            return leader

        leader = await eventually(leading, 30)
        [other] = [each for each in self.replicas if each is not leader]
        return leader, other

    async def register(self, replica: Replica) -> int:
        """Have a replica register a cooperative; return the position."""
        self.registered += 1
        body = {
            "name": f"Koperasi {self.registered}",
            "legal_entity_number": f"{self.registered}/BH",
            "legal_entity_date": "2015-08-03",
            "kecamatan_code": "35.07.21",
        }
        answer = await self.http.post(f"{replica.url}/v1/cooperatives", json=body)
        assert answer.status_code == 201, answer.text
        return int(answer.headers["Dinkop-Position"].partition(":")[2])

    async def published(self, position: int, seconds: float = 15.0) -> float:
        """Return when a position arrived."""
        await eventually(lambda: position in self.arrived, seconds)
        return self.arrived[position]


@pytest.fixture
async def pair(database_url: str, nats: Nats, public_stream: Client, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two processes of the registry, serving."""
    sockets = Path(parse_qs(urlsplit(database_url).query)["host"][0]) / ".s.PGSQL.5432"
    there = ("127.0.0.1", urlsplit(nats.url).port or 0)
    wires = [(Wire(sockets), Wire(there)) for _ in range(2)]
    async with wired(*(wire for each in wires for wire in each)):
        replicas = []
        for port, (stores, messages) in zip(free_ports(2), wires, strict=True):
            environment = {
                **os.environ,
                **issuing.ENVIRONMENT,
                "DINKOP_DATABASE_URL": f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@127.0.0.1:{stores.port}"
                f"/{name_of(database_url)}?sslmode=disable",
                "DINKOP_NATS_URL": f"nats://127.0.0.1:{messages.port}",
                "DINKOP_NATS_MONITORING_URL": nats.monitoring_url,
                "DINKOP_PORT": str(port),
            }
            written = tmp_path / f"{port}.log"
            with written.open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "services.registry"],
                    cwd=REPOSITORY, env=environment | {"PYTHONPATH": str(REPOSITORY)}, stdout=log, stderr=log,
                )  # fmt: skip
            replicas.append(Replica(f"http://127.0.0.1:{port}", process, written, stores, messages))
        try:
            await serving([each.url for each in replicas])
            async with httpx.AsyncClient(headers=issuing.everything(), timeout=10, trust_env=False) as http:
                both = Pair(tuple(replicas), http)

                async def arrive(message: Msg) -> None:
                    both.arrived.setdefault(int((message.headers or {})["ce-sequence"]), time.monotonic())

                await public_stream.subscribe("dinkop.v1.registry.>", cb=arrive)
                yield both
        finally:
            for each in replicas:
                each.process.kill()
                each.process.wait()


async def killed(leader: Replica) -> None:
    leader.process.kill()


async def stopped(leader: Replica) -> None:
    leader.process.send_signal(signal.SIGSTOP)


async def cut_off(leader: Replica) -> None:
    leader.stores.hold()
    leader.messages.hold()


async def cut_off_from_nats(leader: Replica) -> None:
    leader.messages.hold()


async def refused_by_nats(leader: Replica) -> None:
    leader.messages.cut()


async def back(leader: Replica) -> None:
    """Let the old leader go on, if it can."""
    leader.process.send_signal(signal.SIGCONT)
    leader.stores.mend()
    leader.messages.mend()


@pytest.mark.parametrize("lost", [killed, stopped, cut_off, cut_off_from_nats, refused_by_nats])
async def test_the_successor_of_a_relay_publishes_within_five_seconds_and_no_event_twice(
    lost: Callable[[Replica], Awaitable[None]], pair: Pair, database_url: str, public_stream: Client
) -> None:
    leader, other = await pair.leader_and_other()
    for _ in range(5):
        await pair.published(await pair.register(other))

    await lost(leader)
    began = time.monotonic()
    # Accepted after the leader was lost: whoever publishes it is the successor.
    position = await pair.register(other)
    took = await pair.published(position) - began
    print(f"{lost.__name__}: the successor published after {took:.1f} s")
    assert took < SUCCESSION

    # What the old one still tries when it comes back, with what it had read before, must come to nothing.
    await back(leader)
    came_back = time.monotonic()
    for _ in range(20):
        last = await pair.register(other)
    await pair.published(last)
    if lost is not killed:
        new, _ = await pair.leader_and_other()
        print(f"the old one stood down {time.monotonic() - came_back:.1f} s after it came back")
        assert new is other
        await pair.published(await pair.register(leader))  # it serves again, and leads no more

    await all_is_published_once(pair, database_url, public_stream)


@pytest.mark.parametrize("lost", [cut_off_from_nats, refused_by_nats])
async def test_who_leads_goes_on_leading_when_nats_is_away_for_all_and_publishes_soon_after_it_is_back(
    lost: Callable[[Replica], Awaitable[None]], pair: Pair, database_url: str, public_stream: Client
) -> None:
    leader, other = await pair.leader_and_other()
    await pair.published(await pair.register(other))
    # Long enough that the other could take over.
    await eventually(lambda: time.monotonic() - pair.began > 2 * SILENCE)

    for replica in pair.replicas:
        await lost(replica)
    began = time.monotonic()
    position = await pair.register(other)
    await eventually(lambda: time.monotonic() - began > 3 * SILENCE)
    for replica in pair.replicas:
        await back(replica)
    mended = time.monotonic()
    took = await pair.published(position) - mended
    print(f"{lost.__name__}, all: published {took:.1f} s after NATS was back")
    assert took < SUCCESSION

    await pair.published(await pair.register(leader))
    assert (leader.led(), other.led()) == (1, 0)
    await all_is_published_once(pair, database_url, public_stream)


async def all_is_published_once(pair: Pair, database_url: str, public_stream: Client) -> None:
    """Assert that the stream holds every event of the store once, in order."""
    connection = await asyncpg.connect(database_url)
    stored = [(row["position"], str(row["event_id"])) for row in await connection.fetch("SELECT * FROM events")]
    await connection.close()
    messages = (await public_stream.jetstream().stream_info(STREAM)).state.messages
    found = [await public_stream.jetstream().get_msg(STREAM, place) for place in range(1, messages + 1)]
    published = [(int((each.headers or {})["ce-sequence"]), (each.headers or {})["ce-id"]) for each in found]
    assert published == sorted(stored)
    assert len(stored) == pair.registered
