"""Two processes of every service on one PostgreSQL and one NATS, as on Kubernetes, and what stands before them."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import issuing
import nats as nats_py
from eventually import eventually
from ports import free_ports
from servers import Nats

from contracts.envelope import SERVICES, STREAM

REPOSITORY = Path(__file__).parents[3]
DRAIN = 2.0
"""Seconds a replica goes on serving after SIGTERM; longer than Front needs to hear that it stops."""
STARTS = 60.0
"""Seconds that a process may take to serve: all of them start on two cores."""


class Replica:
    """One process of a service, always at the same address."""

    def __init__(self, service: str, port: int, environment: Mapping[str, str], log: Path) -> None:
        self.service, self.log = service, log
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**environment, "DINKOP_PORT": str(port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.service}"],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def terminate(self) -> None:
        """Tell it to stop, as Kubernetes does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float = 20) -> None:
        """Wait until it has ended."""
        assert self._process is not None
        await asyncio.to_thread(self._process.wait, seconds)

    def kill(self) -> None:
        """End it for certain."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def client(self) -> httpx.AsyncClient:
        """Return a client of this process and no other."""
        return httpx.AsyncClient(base_url=self.url, headers=issuing.everything(), timeout=30, trust_env=False)

    async def ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            return (await client.get(f"{self.url}/readyz")).status_code == 200

    async def state(self) -> dict[str, Any]:
        """Return what it says of its relay and projections."""
        async with self.client() as client:
            said: dict[str, Any] = (await client.get("/v1/projections")).raise_for_status().json()
            return said

    async def leads(self) -> bool:
        """Whether it relays and projects."""
        return bool((await self.state())["leading"])


@dataclass
class Replicas:
    """All processes, by service."""

    of: dict[str, list[Replica]]

    @classmethod
    def made(cls, databases: Mapping[str, str], nats: Nats, folder: Path, count: int = 2) -> "Replicas":
        """Return so many of each service, not started."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DINKOP_")}
        environment = {
            **inherited,
            **issuing.ENVIRONMENT,
            "DINKOP_NATS_URL": nats.url,
            "DINKOP_NATS_MONITORING_URL": nats.monitoring_url,
            "DINKOP_TODAY": "2024-11-14",
            "DINKOP_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
            "DINKOP_KEYS": str(folder / "keys"),
            "DINKOP_CONNECTIONS": "2",
            "DINKOP_DRAIN_SECONDS": str(DRAIN),
        }
        ports = iter(free_ports(count * len(SERVICES)))
        return cls(
            {
                service: [
                    Replica(
                        service,
                        next(ports),
                        {**environment, "DINKOP_DATABASE_URL": databases[service]},
                        folder / f"{service}-{number}.log",
                    )
                    for number in range(count)
                ]
                for service in SERVICES
            }
        )

    @property
    def all(self) -> list[Replica]:
        """Return every process."""
        return [each for replicas in self.of.values() for each in replicas]

    async def serving(self) -> None:
        """Wait until all serve, and one of each service leads without an error."""

        async def led() -> bool:
            states = {name: [await each.state() for each in replicas] for name, replicas in self.of.items()}
            leading = {name: [each for each in found if each["leading"]] for name, found in states.items()}
            return all(len(each) == 1 and each[0]["relay"]["last_error"] is None for each in leading.values())

        for each in self.all:
            await eventually(each.ready, STARTS)
        await eventually(led, STARTS)

    async def leader(self, service: str) -> Replica:
        """Return the one that leads. Raises AssertionError unless it is exactly one."""
        leading = [each for each in self.of[service] if await each.leads()]
        assert len(leading) == 1, f"{len(leading)} lead {service}"
        return leading[0]

    async def follower(self, service: str) -> Replica:
        """Return one that does not lead."""
        leader = await self.leader(service)
        return next(each for each in self.of[service] if each is not leader)


@dataclass
class Truth:
    """What the stores and the stream hold, asked directly."""

    databases: Mapping[str, str]
    nats_url: str

    async def stored(self, service: str) -> list[str]:
        """Return the ids of a service's events, in order."""
        connection = await asyncpg.connect(self.databases[service])
        try:
            return [str(id_) for (id_,) in await connection.fetch("SELECT event_id FROM events ORDER BY position")]
        finally:
            await connection.close()

    async def published(self, service: str) -> list[str]:
        """Return the ids of a service's events on the stream, in order."""
        client = await nats_py.connect(self.nats_url)
        try:
            last = (await client.jetstream().stream_info(STREAM)).state.last_seq
            messages = [await client.jetstream().get_msg(STREAM, number + 1) for number in range(last)]
        finally:
            await client.close()
        found = [each.headers or {} for each in messages]
        return [each["ce-id"] for each in found if each["ce-source"] == f"/dinkop/{service}"]


@dataclass
class Front:
    """Sends calls to replicas that are ready, in turn, as a Kubernetes Service does: it learns of a stop a little late.

    A replica that refuses the connection has not begun with the call, so another one gets it; anything else that goes
    wrong is written down.
    """

    replicas: Replicas
    ready: dict[str, list[Replica]] = field(default_factory=dict)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)

    LOOK = 0.2

    async def follow(self) -> None:
        """Keep the list of those that are ready, until cancelled."""
        while True:
            # All at once: one that answers late must not keep it from hearing of another that stops.
            all_ready = dict(zip(self.replicas.all, await asyncio.gather(*map(_ready, self.replicas.all)), strict=True))
            for service, replicas in self.replicas.of.items():
                self.ready[service] = [each for each in replicas if all_ready[each]]
            await asyncio.sleep(self.LOOK)

    async def send(self, service: str, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a call to one of those that are ready, and return its answer."""
        for _ in range(100):
            replica = self._next(service)
            if replica is not None:
                client = self._clients.setdefault(replica.url, replica.client())
                try:
                    answer = await client.request(method, path, **given)
                except httpx.ConnectError:
                    self.refused += 1
                except httpx.TransportError as failed:
                    self.wrong.append(f"{method} {path} at {replica.url}: {failed!r}")
                    raise
                else:
                    if answer.is_error:
                        self.wrong.append(f"{method} {path} at {replica.url}: {answer.status_code} {answer.text}")
                    return answer
            await asyncio.sleep(0.05)
        raise AssertionError(f"nobody serves {service}")

    def _next(self, service: str) -> Replica | None:
        ready: Sequence[Replica] = self.ready.get(service, ())
        self._turns[service] = turn = self._turns.get(service, 0) + 1
        return ready[turn % len(ready)] if ready else None

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()


async def _ready(replica: Replica) -> bool:
    try:
        return await replica.ready()
    except httpx.TransportError:
        return False


async def seconds_until(question: Callable[[], Awaitable[bool]], patience: float) -> float:
    """Return how long it takes until the answer is yes."""
    begun = time.monotonic()
    await eventually(question, patience)
    return time.monotonic() - begun
