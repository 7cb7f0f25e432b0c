"""Two of the systems that are broken: `dinkop up` on one machine, and servers of one's own with two of each service.

Both answer to the same few words (`System`), and so does the third, which is made of containers.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import nats
import psutil
from eventually import eventually
from joserfc import jwt
from joserfc.jwk import ECKey
from ports import free_ports
from running import Installation

from contracts.envelope import STREAM
from dinkop.doors import Doors
from dinkop.embedded.accounts import Account
from dinkop.embedded.http_probe import page
from dinkop.embedded.nats import find_server
from dinkop.embedded.postgres import SUPERUSER, EmbeddedPostgres
from dinkop.home import Home
from dinkop.issuer import ALGORITHM, AUDIENCE, ISSUER, EmbeddedIssuer, environment_of
from dinkop.migrating import migrations
from dinkop.nats_accounts import OPERATOR
from dinkop.processes import end, spawn
from schedules import clocks, disk
from schedules.clocks import Clocks
from schedules.disk import Disk
from schedules.network import Connection, Wire

SERVICES = ("registry", "rat", "mentoring", "reporting")
TODAY = "2024-11-14"
PATIENCE = 120.0
"""Seconds for the whole to be ready; a crowded machine is no failure."""
DISK = 700
"""Megabytes of each disk."""
RESTART = 0.5
"""Seconds after which a process that died is started again, as an orchestrator would."""
LIVENESS = 5.0


class System(Protocol):
    """What a schedule breaks, and clients work on.

    `parts` are processes by name. `disks` and `clocks` are empty where this machine can't give any; `wires` are those
    between a process and a server; `nodes` the members of the NATS cluster, if it is one.
    """

    parts: Sequence[str]
    disks: Mapping[str, Disk]
    clocks: Clocks | None
    timed: Sequence[str]
    """Parts whose clock can be stepped."""
    wires: Mapping[str, Connection]
    nodes: Sequence[str]

    def urls(self, service: str) -> Sequence[str]:
        """Return the base URL of each process of a service."""

    def token(self) -> str:
        """Return a token of all roles that was signed a day ago: a clock that is set back a little still takes it."""

    async def start(self) -> None:
        """Start all of it, and return when it serves."""

    async def stop(self) -> None:
        """End all of it."""

    async def discard(self) -> None:
        """Throw its disks away."""

    async def kill(self, *parts: str) -> int:
        """kill -9; what is not started again by itself is started. Return how many processes it was."""

    async def pause(self, part: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT so many seconds later."""

    async def restart(self, part: str) -> None:
        """SIGTERM, and start it again."""

    async def lose_power(self, which: str) -> None:
        """Have a disk lose its power, and whoever works on it with it; start it again."""

    async def isolate(self, node: str, seconds: float) -> None:
        """Cut a node of the NATS cluster off from the others for so long."""

    async def leader(self) -> str | None:
        """Return the node that leads the stream."""

    @property
    def home(self) -> Home:
        """Return where keys and logs are."""

    def store_url(self, service: str) -> str:
        """Return the URL of the store of a service, as who may read everything."""

    async def nats_urls(self) -> list[str]:
        """Return addresses of NATS that no wire stands before, with a user who may read everything."""


def aged_token(home: Home) -> str:
    """Return a token of the home's issuer, of all roles, signed a day ago and good for a month."""
    key = ECKey.import_key(json.loads((home.issuer / "key.json").read_bytes()))
    now = int(time.time())
    claims: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "faults", "iat": now - 86_400}
    claims |= {"exp": now + 29 * 86_400, "jti": "faults", "roles": ["officer", "mentor", "head", "operator"]}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


async def unheeded(_: Exception) -> None:
    """Say nothing of a server that is down: it was told to be."""


async def serving(urls: Sequence[str]) -> None:
    """Wait until every one of these answers that it can serve."""

    async def all_ready() -> bool:
        answers = await asyncio.gather(*(page(f"{url}/readyz") for url in urls))
        return all(status == 200 for status, _ in answers)

    await eventually(all_ready, PATIENCE)


def users(place: Path) -> list[psutil.Process]:
    """Return the living processes that work on a disk."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            home = process.environ().get("DINKOP_HOME", "")
            works_there = f"{place}/" in f"{words} {home} {process.cwd()}/" and process.pid != os.getpid()
            if works_there and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def silenced(place: Path) -> None:
    """SIGSTOP whoever works on a disk."""
    for process in users(place):
        with suppress(psutil.NoSuchProcess):
            process.suspend()


async def emptied(place: Path) -> None:
    """kill -9 whoever works on a disk, as its machine's end does, until nobody is left."""

    def none_left() -> bool:
        left = users(place)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    await eventually(lambda: asyncio.to_thread(none_left), 20)


class OneMachine:
    """`dinkop up`, on a disk of its own where there can be one."""

    def __init__(self, folder: Path, base: int) -> None:
        self.disks: dict[str, Disk] = {}
        place = folder / "disk"
        if disk.missing() is None:
            self.disks["machine"] = Disk(folder / "disk.img", place, DISK)
        self.clocks = Clocks(folder / "clocks") if clocks.missing() is None else None
        self.timed = ("services",) if self.clocks else ()
        environment = {"DINKOP_TODAY": TODAY} | (self.clocks.environment("services") if self.clocks else {})
        # Everyday commands go through the installation too; they are not what is tried here.
        self._installation = Installation(place / "home", base, **environment)
        self.home = Home(place / "home")
        self.postgres = EmbeddedPostgres(self.home.postgres, passwords=self.home.passwords)
        self.parts = (*SERVICES, "nats", "postgres", "supervisor")
        self.wires: dict[str, Wire] = {}
        self.nodes = ()

    def urls(self, service: str) -> Sequence[str]:
        return (self._installation.url(service),)

    def token(self) -> str:
        return aged_token(self.home)

    async def start(self) -> None:
        await asyncio.to_thread(self._installation.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._installation.close)

    async def discard(self) -> None:
        for each in self.disks.values():
            await asyncio.to_thread(each.discard)

    def dinkop(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands to its end."""
        return self._installation.tried(*words)

    async def kill(self, *parts: str) -> int:
        pids = {part: pid for part in parts if (pid := self._pid(part))}
        for pid in pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if "supervisor" in parts:
            await self._again()
        else:
            # The supervisor does it. Whether it did, the clients will tell.
            await asyncio.sleep(0.5)
        return len(pids)

    async def pause(self, part: str, seconds: float) -> None:
        pid = self._pid(part)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(pid, signal.SIGCONT)

    async def restart(self, part: str) -> None:
        pid = self._pid(part)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        if part == "supervisor":
            await self._again()

    async def lose_power(self, which: str) -> None:
        # Nobody may answer anybody from here on, nor write: a machine without power does neither.
        await asyncio.to_thread(silenced, self.disks[which].place)
        await asyncio.to_thread(self.disks[which].lose_power)
        await emptied(self.disks[which].place)
        await asyncio.to_thread(self.disks[which].come_back)
        await self._again()

    async def isolate(self, node: str, seconds: float) -> None:
        raise NotImplementedError("one NATS server has no others")

    async def leader(self) -> str | None:
        return None

    def store_url(self, service: str) -> str:
        return self.postgres.url(service, SUPERUSER)

    async def nats_urls(self) -> list[str]:
        return [Doors(self.home.doors).url(OPERATOR, f"nats://127.0.0.1:{self._installation.base + 5}")]

    async def _again(self) -> None:
        process = self._installation.process
        assert process is not None
        await asyncio.to_thread(process.wait, PATIENCE)
        await self.start()

    def _pid(self, part: str) -> int | None:
        # A record that is being replaced, or a part that just died, has none.
        with suppress(OSError, ValueError, KeyError):
            return self._installation.pid_of(part)
        return None


class Kept:
    """A process that is started again whenever it dies, unless it is held down.

    One that is no longer `alive` for LIVENESS seconds, though it runs, is ended, as Kubernetes does.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[subprocess.Popen[bytes]]],
        alive: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.name = name
        self._alive = alive
        self.process: subprocess.Popen[bytes] | None = None
        self._run = run
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Begin."""
        self._up.set()
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await self._up.wait()
            try:
                self.process = await self._run()
            except Exception:  # such as a server whose disk is full, or one killed while starting: again
                await asyncio.sleep(RESTART)
                continue
            await self._ended(self.process)
            await asyncio.sleep(RESTART)

    async def _ended(self, process: subprocess.Popen[bytes]) -> None:
        looked = dead_since = time.monotonic()
        while process.poll() is None:
            await asyncio.sleep(0.05)
            if self._alive is not None and time.monotonic() - looked > 1.0:
                dead_since = time.monotonic() if await self._alive() else dead_since
                looked = time.monotonic()
                if looked - dead_since > LIVENESS:
                    process.kill()

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; return whether there was a process to get it."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    def hold_down(self) -> None:
        """Let it stay down when it dies, until `release`."""
        self._up.clear()

    def release(self) -> None:
        """Start it again when it is down."""
        self._up.set()

    async def end(self) -> None:
        """End it for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.process is not None:
            await end(self.process, (signal.SIGTERM, 0.1))


class TimedPostgres(EmbeddedPostgres):
    """A PostgreSQL whose clock a test can step."""

    preloaded: Mapping[str, str] = {}

    def _spawn(self, account: Account, *command: str | Path, told: str = "") -> subprocess.Popen[bytes]:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **self.preloaded}
        words = [*account.prefix, *command]
        return spawn(words, log=self.log, environment=environment, directory=self.directory, told=told)


NODE = """\
server_name: {name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitoring}"
max_payload: 4MB
jetstream {{
  store_dir: "{store}"
  sync_interval: {sync}
  max_memory_store: 64MB
  max_file_store: 1TB
}}
cluster {{
  name: faults
  listen: "127.0.0.1:{routed}"
  advertise: "127.0.0.1:{advertised}"
  no_advertise: true
  routes: [{routes}]
}}
include "{accounts}"
"""


class Servers:
    """Servers of one's own: PostgreSQL, a NATS cluster of three, and of each service two processes.

    Every process reaches every server through a wire of its own, and so do the nodes of the cluster each other.
    """

    def __init__(self, folder: Path, *, services: Sequence[str] = SERVICES, each: int = 2) -> None:
        self._folder = folder
        self.home = Home(folder / "home")
        self.home.prepare()
        self._services, self._each = services, each
        self.disks: dict[str, Disk] = {}
        self.nodes = ("n1", "n2", "n3")
        places = {name: folder / name for name in ("postgres", *self.nodes)}
        for name, place in places.items():
            if disk.missing() is None:
                self.disks[name] = Disk(folder / f"{name}.img", place, DISK if name == "postgres" else DISK // 2)
            else:
                place.mkdir()
        self._places = places
        self.clocks = Clocks(folder / "clocks") if clocks.missing() is None else None
        self.postgres = TimedPostgres(
            places["postgres"] / "server", log=self.home.log("postgres"), passwords=self.home.passwords
        )
        if self.clocks:
            self.postgres.preloaded = self.clocks.environment("postgres")
        self.processes = [f"{service}-{number}" for service in services for number in range(1, each + 1)]
        self.parts = (*self.processes, *self.nodes, "postgres")
        self.timed = (*self.processes, "postgres") if self.clocks else ()
        ports = free_ports(len(self.processes) + 3 * len(self.nodes))
        self._ports = {name: ports.pop() for name in self.processes}
        self._client = {name: ports.pop() for name in self.nodes}
        self._monitoring = {name: ports.pop() for name in self.nodes}
        self._routed = {name: ports.pop() for name in self.nodes}
        stores = self.postgres.sockets / ".s.PGSQL.5432"
        self.wires = {f"{process} postgres": Wire(stores) for process in self.processes}
        self.wires |= {
            f"{process} {node}": Wire(("127.0.0.1", self._client[node]))
            for process in self.processes
            for node in self.nodes
        }
        self._routes = {
            (one, other): Wire(("127.0.0.1", self._routed[other]))
            for one in (*self.nodes, "anybody")
            for other in self.nodes
            if one != other
        }
        self._doors = Doors(self.home.doors)
        self._kept: dict[str, Kept] = {}

    def urls(self, service: str) -> Sequence[str]:
        return [f"http://127.0.0.1:{self._ports[name]}" for name in self.processes if name.startswith(f"{service}-")]

    def token(self) -> str:
        return aged_token(self.home)

    async def start(self) -> None:
        for wire in (*self.wires.values(), *self._routes.values()):
            await wire.listen()
        EmbeddedIssuer.of(self.home).ensure()
        await asyncio.to_thread(self._doors.prepare)
        for node in self.nodes:
            self._configure(node)
        self._kept = {
            "postgres": Kept("postgres", self._run_postgres),
            **{node: Kept(node, self._runner(self._node(node), node), self._has_streams(node)) for node in self.nodes},
        }
        for kept in self._kept.values():
            kept.keep()

        async def answers() -> bool:
            return self._kept["postgres"].process is not None and await self._healthy()

        await eventually(answers, PATIENCE)
        migrate = migrations(self.postgres)
        for service in self._services:
            await migrate(service)
        for name in self.processes:
            self._kept[name] = Kept(name, self._runner(self._service(name), name, self._environment(name)))
            self._kept[name].keep()
        await serving([url for service in self._services for url in self.urls(service)])

    async def stop(self) -> None:
        await asyncio.gather(*(self._kept[name].end() for name in self.processes if name in self._kept))
        await asyncio.gather(*(kept.end() for kept in self._kept.values()))
        if self.postgres.process is not None:
            await self.postgres.stop()
        for wire in (*self.wires.values(), *self._routes.values()):
            await wire.close()

    async def discard(self) -> None:
        for each in self.disks.values():
            await asyncio.to_thread(each.discard)

    async def kill(self, *parts: str) -> int:
        return sum(self._kept[part].signal(signal.SIGKILL) for part in parts)

    async def take_down(self, part: str) -> None:
        """Kill a part, and let it stay down until `bring_up`."""
        self._kept[part].hold_down()
        await self.kill(part)

    def bring_up(self, part: str) -> None:
        """Start a part again that was taken down."""
        self._kept[part].release()

    async def pause(self, part: str, seconds: float) -> None:
        if self._kept[part].signal(signal.SIGSTOP):
            await asyncio.sleep(seconds)
            self._kept[part].signal(signal.SIGCONT)

    async def restart(self, part: str) -> None:
        self._kept[part].signal(signal.SIGINT if part == "postgres" else signal.SIGTERM)

    async def lose_power(self, which: str) -> None:
        lost = list(self.disks) if which == "everything" else [which]
        for name in lost:
            self._kept[name].hold_down()
        # At one moment, as well as several can; and nobody answers anybody from here on.
        for name in lost:
            await asyncio.to_thread(silenced, self.disks[name].place)
        await asyncio.gather(*(asyncio.to_thread(self.disks[name].lose_power) for name in lost))
        for name in lost:
            await emptied(self.disks[name].place)
        await asyncio.gather(*(asyncio.to_thread(self.disks[name].come_back) for name in lost))
        for name in lost:
            self._kept[name].release()

    async def isolate(self, node: str, seconds: float) -> None:
        touched = [wire for pair, wire in self._routes.items() if node in pair]
        for wire in touched:
            wire.hold()
        await asyncio.sleep(seconds)
        for wire in touched:
            wire.mend()

    async def leader(self) -> str | None:
        with suppress(Exception):
            async with asyncio.timeout(3):
                client = await nats.connect(
                    await self.nats_urls(), inbox_prefix=f"_INBOX.{OPERATOR}", error_cb=unheeded
                )
                try:
                    found = await client.jetstream().stream_info(STREAM)
                    return found.cluster.leader if found.cluster else None
                finally:
                    await client.close()
        return None

    async def leading(self, service: str) -> str | None:
        """Return the process of a service that leads, as it says itself."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            for name in self.processes:
                if name.startswith(f"{service}-"):
                    with suppress(httpx.HTTPError):
                        url = f"http://127.0.0.1:{self._ports[name]}/v1/projections"
                        answer = await http.get(url, headers={"Authorization": f"Bearer {self.token()}"})
                        if answer.status_code == 200 and answer.json()["leading"]:
                            return name
        return None

    def store_url(self, service: str) -> str:
        return self.postgres.url(service, SUPERUSER)

    async def nats_urls(self) -> list[str]:
        return [self._doors.url(OPERATOR, f"nats://127.0.0.1:{port}") for port in self._client.values()]

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of a command of a service, which no wire stands before."""
        urls = [self._doors.url(service, f"nats://127.0.0.1:{port}") for port in self._client.values()]
        return self._common(service) | {
            "DINKOP_DATABASE_URL": self.postgres.url(service),
            "DINKOP_NATS_URL": ",".join(urls),
        }

    async def elsewhere(self) -> dict[str, str]:
        """Return the environment of the command `dinkop`, which is told where everything is."""
        named = {f"DINKOP_{service.upper()}_DATABASE_URL": self.postgres.url(service) for service in self._services}
        return (
            self._common("")
            | named
            | {
                "DINKOP_HOME": str(self.home.directory),
                "DINKOP_SERVICES": " ".join(f"{service}={self.urls(service)[0]}" for service in self._services),
                "DINKOP_NATS_URL": ",".join(await self.nats_urls()),
            }
        )

    # ------------------------------------------------------------ how each is run

    def _runner(
        self, command: Sequence[str | Path], name: str, environment: Mapping[str, str] | None = None
    ) -> Callable[[], Awaitable[subprocess.Popen[bytes]]]:
        async def run() -> subprocess.Popen[bytes]:
            # The logs on none of the disks, so that a full one tries the server and not its log.
            directory = self._places.get(name, self.home.logs)
            return spawn(command, log=self.home.log(name), environment=environment, directory=directory)

        return run

    async def _run_postgres(self) -> subprocess.Popen[bytes]:
        self._places["postgres"].joinpath("keys").mkdir(mode=0o700, exist_ok=True)
        await self.postgres.start()
        assert self.postgres.process is not None
        return self.postgres.process

    def _node(self, node: str) -> list[str | Path]:
        return [find_server(), "--config", self._folder / f"{node}.conf"]

    def _configure(self, node: str, sync: str = "always") -> None:
        routes = ", ".join(
            f'"nats-route://127.0.0.1:{wire.port}"' for (one, _), wire in self._routes.items() if one == node
        )
        text = NODE.format(
            name=node,
            port=self._client[node],
            monitoring=self._monitoring[node],
            store=self._places[node] / "store",
            sync=sync,
            routed=self._routed[node],
            advertised=self._routes["anybody", node].port,
            routes=routes,
            accounts=os.path.relpath(self._doors.accounts, self._folder),
        )
        (self._folder / f"{node}.conf").write_text(text)

    def _has_streams(self, node: str) -> Callable[[], Awaitable[bool]]:
        """Return a liveness probe: a server whose disk was full keeps nothing more, until it is started again."""
        url = f"http://127.0.0.1:{self._monitoring[node]}"

        async def alive() -> bool:
            # One that is paused says nothing, and one that catches up is not current; neither is to be ended for that.
            async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
                with suppress(httpx.HTTPError):
                    enabled = await http.get(f"{url}/healthz?js-enabled-only=true")
                    return enabled.status_code != 503 and "write error" not in (await http.get(f"{url}/healthz")).text
            return True

        return alive

    async def _healthy(self) -> bool:
        urls = [f"http://127.0.0.1:{port}/healthz" for port in self._monitoring.values()]
        answers = await asyncio.gather(*(page(url) for url in urls))
        return all(status == 200 and b'"ok"' in body for status, body in answers)

    def _service(self, name: str) -> list[str]:
        return [sys.executable, "-P", "-m", f"services.{name.rpartition('-')[0]}"]

    def _environment(self, name: str) -> dict[str, str]:
        service = name.rpartition("-")[0]
        secret = quote(self._doors.secret(service), safe="")
        urls = [f"nats://{service}:{secret}@127.0.0.1:{self.wires[f'{name} {node}'].port}" for node in self.nodes]
        passfile = quote(str(self.home.passwords / service), safe="/")
        port = self.wires[f"{name} postgres"].port
        return (
            self._common(service)
            | {
                "DINKOP_DATABASE_URL": f"postgresql://{service}@127.0.0.1:{port}/{service}?passfile={passfile}"
                "&sslmode=disable",
                "DINKOP_NATS_URL": ",".join(urls),
                "DINKOP_PORT": str(self._ports[name]),
            }
            | (self.clocks.environment(name) if self.clocks else {})
        )

    def _common(self, service: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DINKOP_", "PG"))}
        monitoring = ",".join(f"http://127.0.0.1:{port}" for port in self._monitoring.values())
        keeper = {"DINKOP_MASTER_KEY": self.home.master_key(), "DINKOP_KEYS": str(self._places["postgres"] / "keys")}
        return (
            inherited
            | environment_of(self.home)
            | {
                "DINKOP_NATS_MONITORING_URL": monitoring,
                "DINKOP_NATS_REPLICAS": "3",
                "DINKOP_TODAY": TODAY,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": str(Path(__file__).parents[3]),
            }
            | (keeper if service == "mentoring" else {})
        )


@asynccontextmanager
async def running[S: System](system: S, folder: Path) -> AsyncIterator[S]:
    """Run a system meanwhile; leave nothing behind but its logs, which are kept in `folder`."""
    try:
        await system.start()
        yield system
    finally:
        for each in system.disks.values():
            with suppress(OSError):
                each.thaw()
        try:
            await system.stop()
        finally:
            shutil.copytree(system.home.logs, folder / "logs", dirs_exist_ok=True)
            await system.discard()
