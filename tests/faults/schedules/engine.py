"""What an engine of containers runs, broken from outside: killed, paused, cut off from a server, its volume on a disk.

Processes and sockets of containers are reached as the host sees them, so it takes root on the engine's own machine.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil
from eventually import eventually

from schedules.disk import PATIENCE, Disk

ANSWER = 60.0
"""Seconds that the engine may take to do one thing; stopping a container takes it ten."""
RESTART = 0.5
"""Seconds within which the engine has begun to start again what died, unless it died often."""


@cache
def missing() -> str | None:
    """Return what keeps this machine from having containers to break; None when nothing does."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if docker("info", "--format", "{{.ServerVersion}}").returncode:
        return "no container engine answers (`docker info`)"
    if os.geteuid() != 0:
        return "only root can kill what the engine runs"
    return None


@cache
def unwired() -> str | None:
    """Return what keeps this machine from cutting containers off; None when nothing does."""
    absent = [tool for tool in ("nsenter", "iptables", "ss") if shutil.which(tool) is None]
    return f"{', '.join(absent)} is not installed" if absent else None


def docker(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the engine's commands to its end. It is for the caller to see whether it worked."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=ANSWER, check=False)


def done(*words: str | Path) -> str:
    """Run one of the engine's commands, and return what it said. Raises AssertionError when it fails."""
    ended = docker(*words)
    assert ended.returncode == 0, f"docker {' '.join(map(str, words))}: {ended.stderr}"
    return ended.stdout.strip()


class Container:
    """A container by its id or name, which the engine starts again when it dies."""

    def __init__(self, name: str) -> None:
        self.name = name

    def state(self) -> dict[str, object]:
        """Return what the engine says of it: `Status`, `Pid`, and more."""
        found: dict[str, object] = json.loads(done("inspect", "--format", "{{json .State}}", self.name))
        return found

    def pid(self) -> int | None:
        """Return the number that the host gives to its first process; None when it has none at the moment.

        Raises AssertionError where the engine's processes are not this machine's: its numbers mean others here.
        """
        identity, number = done("inspect", "--format", "{{.Id}} {{.State.Pid}}", self.name).split()
        if number == "0":
            return None
        with suppress(OSError):
            groups = Path(f"/proc/{number}/cgroup").read_text()
            assert identity in groups, f"the engine of {self.name} doesn't run on this machine"
            return int(number)
        return None  # it has just ended

    def processes(self) -> list[psutil.Process]:
        """Return its living processes, the first first."""
        with suppress(psutil.NoSuchProcess):
            pid = self.pid()
            if pid is not None:
                first = psutil.Process(pid)
                return [first, *first.children(recursive=True)]
        return []

    def kill(self) -> bool:
        """Have it die as by itself; return whether it ran.

        Not `docker kill`: to the engine that is somebody's wish, and it stays down.
        """
        pid = self.pid()
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def silence(self) -> None:
        """Stop every process it has: it answers nobody any more, and writes nothing."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def put_down(self) -> None:
        """kill -9 all of it, and let it stay down until it is started."""
        docker("kill", "--signal", "KILL", self.name)  # refused where it was down already


async def ended(containers: Sequence[Container]) -> None:
    """Wait until nothing of these runs any more."""

    def all_down() -> bool:
        return all(each.state()["Status"] == "exited" for each in containers)

    await eventually(all_down, ANSWER)


class Link:
    """What a container sends to a server and hears from it, told by the server's ports, in the container's own network.

    Rules that the container's restart took away with its network are not missed.
    """

    def __init__(self, container: Container, *ports: int) -> None:
        self._container = container
        self._ports = ports
        self._network: int | None = None

    def cut(self) -> None:
        """Reset every connection, and each new one, until mended."""
        # What resets the far end must get out; a reset that is itself answered by one would not.
        refused = "-j REJECT --reject-with tcp-reset"
        self._rule(*(f"OUTPUT -p tcp --dport {port} ! --tcp-flags RST RST {refused}" for port in self._ports))
        self._inside(f"ss -K -t '{' or '.join(f'dport = :{port}' for port in self._ports)}'")

    def hold(self) -> None:
        """Let nothing through, and say nothing, until mended."""
        self._rule(
            *(f"OUTPUT -p tcp --dport {port} -j DROP" for port in self._ports),
            *(f"INPUT -p tcp --sport {port} -j DROP" for port in self._ports),
        )

    def mend(self) -> None:
        """Carry on."""
        if self._network is not None and self._network == self._container.pid():
            self._inside("iptables -w -F OUTPUT; iptables -w -F INPUT")
        self._network = None

    def _rule(self, *rules: str) -> None:
        self._network = self._container.pid()
        self._inside("; ".join(["set -e", *(f"iptables -w -A {rule}" for rule in rules)]))

    def _inside(self, script: str) -> None:
        """Run a script in the container's network; where that has just ended there is nothing to be cut."""
        if self._network is None:
            return
        words = ["nsenter", "--target", str(self._network), "--net", "sh", "-c", script]
        tried = subprocess.run(words, capture_output=True, text=True, check=False, timeout=ANSWER)
        gone = not Path(f"/proc/{self._network}/ns").exists() or self._network != self._container.pid()
        assert tried.returncode == 0 or gone, f"{script}: {tried.stderr}"


class Volume(Disk):
    """A disk that the engine mounts as the volume of a container, for which it names the device.

    It is mounted at `place` too, so that it can be broken while no container runs. The kernel has one file system
    for both, and loses what it holds of it only once neither mount is left.
    """

    def __init__(self, image: Path, place: Path, megabytes: int) -> None:
        """Make and mount it. Raises CalledProcessError."""
        self.device: Path | None = None
        super().__init__(image, place, megabytes)
        # The engine gives a volume the owner that the image has there, if nothing is in it yet.
        (place / "lost+found").rmdir()

    @property
    def options(self) -> dict[str, str]:
        """Return the options of docker's local driver for such a volume."""
        return {"type": "ext4", "device": str(self.device)}

    def discard(self) -> None:
        super().discard()
        subprocess.run(["losetup", "--detach", str(self.device)], check=True)

    def _mount(self) -> None:
        if self.device is None:
            # One that stays the same: the engine was told its name.
            attached = ["losetup", "--find", "--show", self._image]
            self.device = Path(subprocess.run(attached, check=True, capture_output=True, text=True).stdout.strip())
        subprocess.run(["mount", "-t", "ext4", self.device, self.place], check=True, capture_output=True, text=True)

    def _unmount(self) -> None:
        super()._unmount()
        assert self.device
        until = time.monotonic() + PATIENCE
        while Path("/sys/fs/ext4", self.device.name).exists():
            assert time.monotonic() < until, f"{self.device} is still mounted by somebody else"
            time.sleep(0.02)
