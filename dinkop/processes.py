"""Child processes: started in a session of their own, recognised again by a later run, and ended for certain."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

LOG_KEPT = 16 * 1024 * 1024  # bytes; a longer log is set aside, replacing the one set aside before
POLL = 0.05  # seconds between two looks at a process


class CannotStart(Exception):
    """Something keeps the system from starting; the message says what, and what to do about it."""


class Patience:
    """A deadline in seconds, for loops that wait."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def exhausted(self) -> bool:
        """Whether the seconds have passed."""
        return time.monotonic() >= self._until


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process as written down: its id, and the epoch second it was created in, since ids are used again."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord | None":
        """Return the record of the living process `pid`, or None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """Return the recorded process if it still runs, None if it ended or its id went to another program."""
        try:
            process = psutil.Process(self.pid)
            # The kernel counts from boot: a corrected wall clock shifts every creation time a little.
            same = abs(process.create_time() - self.created) < 2.0
            return process if same and runs(process) else None
        except psutil.NoSuchProcess:
            return None


def runs(process: psutil.Process) -> bool:
    """Whether `process` is alive: a dead one that nobody has reaped isn't, and in a container nobody might."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_strangers(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes that are no children of ours have ended; return those still alive after that. Blocks."""
    patience, alive = Patience(seconds), list(processes)
    while (alive := [process for process in alive if runs(process)]) and not patience.exhausted:
        time.sleep(POLL)
    return alive


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None,
    told: str = "",
) -> subprocess.Popen[bytes]:
    """Start `command` with its output appended to `log`, in a session of its own so that no Ctrl-C reaches it.

    It finds `told`, a line or two, on its standard input. Raises CannotStart when the program isn't there or may not be
    run.
    """
    if log.exists() and log.stat().st_size > LOG_KEPT:
        log.replace(log.with_name(log.name + ".1"))
    with open(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        try:
            process = subprocess.Popen(
                [os.fspath(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart(f"{command[0]} can't be run: {error.strerror}. Install dinkop again.") from error
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:  # one that has ended already tells why by its status
        process.stdin.write(told.encode())
    return process


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until `process` has ended; return its exit status, or minus the signal that killed it."""
    while (status := process.poll()) is None:  # noqa: ASYNC110 (no event tells of it, and any loop may ask)
        await asyncio.sleep(POLL)
    return status


async def end(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """End a child: send each signal and wait its seconds, then kill what remains of its session."""
    for number, seconds in steps:
        if process.poll() is None:
            process.send_signal(number)
            try:
                async with asyncio.timeout(seconds):
                    await ended(process)
            except TimeoutError:
                continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing remains; some systems answer so for a group of zombies
    await ended(process)


def end_strangers(processes: Iterable[psutil.Process], *steps: tuple[signal.Signals, float]) -> None:
    """End processes that are no children of ours: each signal with its seconds, then SIGKILL. Blocks."""
    alive = list(processes)
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        for process in alive:
            try:
                process.send_signal(number)  # psutil makes sure that the id wasn't used again meanwhile
            except psutil.NoSuchProcess:
                pass
        alive = wait_for_strangers(alive, seconds)


def explain(status: int) -> str:
    """Put an exit status of `ended` into words."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def last_lines(log: Path, count: int = 8) -> str:
    """Return the last `count` lines of a log, indented for a message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in lines)
