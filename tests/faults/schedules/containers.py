"""The system as docker-compose.yml runs it, with two of each service, broken through the engine of containers."""

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from ports import free_ports
from running import REPOSITORY

from dinkop.home import Home
from schedules import disk, engine
from schedules.engine import Container, Link, Volume
from schedules.machines import DISK, PATIENCE, SERVICES, TODAY, aged_token
from schedules.network import Connection

REPLICAS = 2
SERVERS: Mapping[str, tuple[int, ...]] = {"postgres": (5432,), "nats": (4222, 8222)}
"""The servers, and on which ports services come to them."""
VERSION = os.environ.get("DINKOP_VERSION", "faults")
COMPOSE = os.environ.get("COMPOSE", "docker-compose").split()


def missing() -> str | None:
    """Return what keeps this machine from running the stack; None when nothing does."""
    absent = engine.missing()
    if absent is None and subprocess.run([*COMPOSE, "version"], capture_output=True, check=False).returncode:
        absent = f"{' '.join(COMPOSE)} is not installed (COMPOSE names another)"
    return absent


@cache
def build() -> None:
    """Build the images of this checkout, once in a process, unless DINKOP_BUILT says that they are. Takes minutes."""
    if not os.environ.get("DINKOP_BUILT"):
        print(f"builds the images dinkop-*:{VERSION}", flush=True)
        words = [*COMPOSE, "--file", REPOSITORY / "docker-compose.yml", "build", "--quiet"]
        built = subprocess.run(
            words, env=os.environ | {"DINKOP_VERSION": VERSION}, capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, f"the images can't be built:\n{built.stdout[-2000:]}\n{built.stderr[-2000:]}"


class Containers:
    """The project's own stack, brought up as an operator does, with a name, secrets, ports and volumes of its own.

    What it is given beside the project's file: PostgreSQL's port on loopback, for who judges; and volumes of PostgreSQL
    and NATS on disks that can be broken, where this machine can have any.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = Home(folder / "home")
        """Holds the issuer's key and the logs, once there are any."""
        self.home.logs.mkdir(parents=True)
        self.home.issuer.mkdir()
        self._secrets = folder / "secrets"
        self._volumes: dict[str, Volume] = {}
        if disk.missing() is None:
            for name in SERVERS:
                self._volumes[name] = Volume(folder / f"{name}.img", folder / name, DISK)
        self.disks = self._volumes
        self.clocks = None
        self.timed = ()
        self.nodes = ()
        self._processes = [f"{service}-{number}" for service in SERVICES for number in range(1, REPLICAS + 1)]
        self.parts = (*self._processes, *SERVERS)
        self._containers: dict[str, Container] = {}
        self.wires: dict[str, Connection] = {}
        ports = free_ports(len(self.parts))
        self._ports = {name: [ports.pop(0) for _ in range(REPLICAS)] for name in SERVICES}
        self._postgres, self._nats = ports
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("DINKOP_")} | {
            "COMPOSE_FILE": f"{REPOSITORY / 'docker-compose.yml'}:{folder / 'faults.yml'}",
            "COMPOSE_PATH_SEPARATOR": ":",
            "COMPOSE_PROJECT_NAME": f"dinkop-{folder.name.lower()}",
            "DINKOP_BUILT": "1",
            "DINKOP_NATS_PORT": str(self._nats),
            "DINKOP_PATIENCE": str(int(PATIENCE)),
            "DINKOP_SECRETS_FOLDER": str(self._secrets),
            "DINKOP_TODAY": TODAY,
            "DINKOP_VERSION": VERSION,
        }
        for service, (first, *_, last) in self._ports.items():
            self._environment[f"DINKOP_{service.upper()}_PORT"] = f"{first}-{last}"
            self._environment[f"DINKOP_{service.upper()}_REPLICAS"] = str(REPLICAS)

    def urls(self, service: str) -> Sequence[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports[service]]

    def token(self) -> str:
        return aged_token(self.home)

    def store_url(self, service: str) -> str:
        password = quote((self._secrets / "passwords" / "postgres").read_text().strip(), safe="")
        return f"postgresql://postgres:{password}@127.0.0.1:{self._postgres}/{service}?sslmode=disable"

    async def nats_urls(self) -> list[str]:
        written = (self._secrets / "dinkop_nats_url").read_text().strip()
        return [written.replace("@nats:4222", f"@127.0.0.1:{self._nats}")]

    async def start(self) -> None:
        await asyncio.to_thread(build)
        beside = {
            "services": {"postgres": {"ports": [f"127.0.0.1:{self._postgres}:5432"]}},
            "volumes": {name: {"driver": "local", "driver_opts": each.options} for name, each in self._volumes.items()},
        }
        (self._folder / "faults.yml").write_text(json.dumps(beside, indent=1))  # JSON is YAML
        await self._run(REPOSITORY / "deploy" / "compose-up")
        shown = await self._run(*COMPOSE, "run", "--rm", "-T", "--entrypoint", "cat", "cli", "issuer/key.json")
        (self.home.issuer / "key.json").write_text(shown.stdout)
        self._containers = await asyncio.to_thread(self._found)
        if engine.unwired() is None:
            self.wires = {
                f"{process} {server}": Link(self._containers[process], *ports)
                for process in self._processes
                for server, ports in SERVERS.items()
            }

    async def stop(self) -> None:
        for name, container in (await asyncio.to_thread(self._found)).items():
            told = await asyncio.to_thread(engine.docker, "logs", "--timestamps", container.name)
            self.home.log(name).write_text(told.stdout + told.stderr)
        await self._run(*COMPOSE, "down", "--volumes", "--timeout", "5")

    async def discard(self) -> None:
        for each in self._volumes.values():
            await asyncio.to_thread(each.discard)

    def dinkop(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands to its end, as an operator of the stack does."""
        return self._ran(*COMPOSE, "run", "--rm", "-T", "cli", *words)

    async def kill(self, *parts: str) -> int:
        killed = sum([await asyncio.to_thread(self._containers[part].kill) for part in parts])
        # The engine starts them again. Whether it did, the clients will tell.
        await asyncio.sleep(engine.RESTART)
        return killed

    async def pause(self, part: str, seconds: float) -> None:
        name = self._containers[part].name
        if (await asyncio.to_thread(engine.docker, "pause", name)).returncode:
            return  # it doesn't run at the moment
        await asyncio.sleep(seconds)
        await asyncio.to_thread(engine.done, "unpause", name)

    async def restart(self, part: str) -> None:
        await asyncio.to_thread(engine.done, "restart", self._containers[part].name)

    async def lose_power(self, which: str) -> None:
        # All of it is one machine: with all disks everything else ends too, and comes back in no order.
        disks = list(self._volumes) if which == "everything" else [which]
        lost = [self._containers[name] for name in (self.parts if which == "everything" else disks)]
        await asyncio.gather(*(asyncio.to_thread(each.silence) for each in lost))
        await asyncio.gather(*(asyncio.to_thread(self._volumes[name].lose_power) for name in disks))
        await asyncio.gather(*(asyncio.to_thread(each.put_down) for each in lost))
        await engine.ended(lost)
        await asyncio.gather(*(asyncio.to_thread(self._volumes[name].come_back) for name in disks))
        await asyncio.gather(*(asyncio.to_thread(engine.done, "start", each.name) for each in lost))

    async def isolate(self, node: str, seconds: float) -> None:
        raise NotImplementedError("one NATS server has no others")

    async def leader(self) -> str | None:
        return None

    async def _run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        ended = await asyncio.to_thread(self._ran, *words)
        said = f"{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        assert ended.returncode == 0, f"{' '.join(map(str, words))}: exit {ended.returncode}\n{said}"
        return ended

    def _ran(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=REPOSITORY, env=self._environment, capture_output=True, text=True, check=False)

    def _found(self) -> dict[str, Container]:
        """Return the containers that there are, by the names of parts: not those of jobs."""
        project = f"label=com.docker.compose.project={self._environment['COMPOSE_PROJECT_NAME']}"
        label = '{{.Label "com.docker.compose.%s"}}'
        form = " ".join(["{{.ID}}", *(label % name for name in ("oneoff", "service", "container-number"))])
        found = {}
        for line in engine.done("ps", "--all", "--no-trunc", "--filter", project, "--format", form).splitlines():
            identity, oneoff, service, number = line.split()
            name = service if service in SERVERS else f"{service}-{number}"
            if oneoff == "False" and name in self.parts:
                found[name] = Container(identity)
        return found
