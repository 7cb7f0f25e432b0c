"""Replays that a service has carried out for it: each in a process of its own, which has its own memory and core."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import structlog

from chassis.definitions.decider import Rejection

log = structlog.get_logger()

LOOK = 0.1
"""Seconds between two looks whether a replay has begun."""
STOP_SECONDS = 2.0
"""Seconds that one is given to end by itself."""
REFUSED, UNREACHABLE = 1, 3
"""Exit codes of a replay (chassis.cli)."""


class ReplayRefused(Rejection):
    """This can't be done with the projection as it stands."""


class ReplayUnreachable(Rejection):
    """The database or the stream can't be reached right now."""

    status: ClassVar[int] = 503


@dataclass
class Children:
    """The replays that this process has started. They end with it, and go on when they are asked for again.

    `environment` are the service's settings.
    """

    service: str
    environment: Mapping[str, str]
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, words: Sequence[str], begun: Callable[[], Awaitable[bool]]) -> None:
        """Start a replay and return when it has begun. Raises ReplayRefused or ReplayUnreachable when it can't."""
        child = self._spawned(words)
        child.add_done_callback(_tell)
        while not await begun():
            if child.done():
                child.result()
                return
            await asyncio.wait({child}, timeout=LOOK)

    async def finish(self, words: Sequence[str]) -> None:
        """Carry out what is quick. Raises ReplayRefused or ReplayUnreachable."""
        await asyncio.shield(self._spawned(words))

    def _spawned(self, words: Sequence[str]) -> asyncio.Task[None]:
        child = asyncio.create_task(self._run(words))
        self._running.add(child)
        child.add_done_callback(self._running.discard)
        return child

    async def stop(self) -> None:
        """End them all: what a rebuild has written is kept, and the next one goes on from there."""
        children = list(self._running)
        for child in children:
            child.cancel()
        await asyncio.gather(*children, return_exceptions=True)

    async def _run(self, words: Sequence[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            f"services.{self.service}",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,  # its log lines go with those of the service
            env={**os.environ, **self.environment},
        )
        log.info("replay.started", words=words, process=process.pid)
        try:
            answer, _ = await process.communicate()
        except asyncio.CancelledError:
            await _end(process)
            raise
        code = process.returncode
        log.info("replay.ended", words=words, process=process.pid, code=code)
        if code in (REFUSED, UNREACHABLE):
            problem = msgspec.json.decode(answer)["problem"]
            raise ReplayRefused(problem) if code == REFUSED else ReplayUnreachable(problem)
        if code:
            raise RuntimeError(f"{' '.join(words)} ended with {code}")


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()


def _tell(child: asyncio.Task[None]) -> None:
    if not child.cancelled() and (failed := child.exception()):
        # Its record says so too; here for those who read logs.
        log.warning("replay.failed", reason=str(failed))
