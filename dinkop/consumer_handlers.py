"""An agency's handler as `dinkop consumer-test` talks to it, in JSON: a command by lines, or a URL by POST."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx

from dinkop.system import Misused, Unreachable

LINE = 1_000_000
"""Bytes an answer may have."""


class Silent(Exception):
    """The handler gave no answer, or one that is no JSON object; the text says which."""


class Handler(Protocol):
    """Something that takes one event after another."""

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON object and return the one that answers it. Raises Silent."""

    async def kill(self) -> bool:
        """End it as a loss of power would, and begin it anew; False when that isn't ours to do."""


class CommandHandler:
    """A process that answers each line on its standard input with a line on its standard output."""

    def __init__(self, words: Sequence[str], patience: float) -> None:
        self._words, self._patience = words, patience
        self._process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it. Raises Misused when there is no such command."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=LINE
            )
        except OSError as problem:
            raise Misused(f"{self._words[0]} can't be run: {problem.strerror}") from problem

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Write a line, read a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question, ensure_ascii=False).encode() + b"\n")
            await self._process.stdin.drain()
            line = await asyncio.wait_for(self._process.stdout.readline(), self._patience)
        except TimeoutError:
            raise Silent(f"gave no answer within {self._patience:g} s") from None
        except ValueError:
            raise Silent(f"answered more than {LINE:,} bytes without an end of line") from None
        except OSError:
            line = b""
        if not line:
            raise Silent(f"ended, with exit code {await self._process.wait()}")
        return _object(line.decode(errors="replace"))

    async def kill(self) -> bool:
        """kill -9, and begin anew."""
        await self.stop()
        await self.start()
        return True

    async def stop(self) -> None:
        """kill -9."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class HttpHandler:
    """An endpoint that gets each question by POST."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """POST it. Raises Unreachable when nobody listens."""
        try:
            answer = await self._client.post(self._url, json=question)
        except httpx.ConnectError as problem:
            raise Unreachable(f"{self._url} can't be reached ({problem}).") from problem
        except httpx.HTTPError as problem:
            raise Silent(f"gave no answer ({problem!r})") from problem
        if answer.status_code != 200:
            raise Silent(f"answered with status {answer.status_code}")
        return _object(answer.text)

    async def kill(self) -> bool:
        """It is somebody else's."""
        return False


@asynccontextmanager
async def started(words: Sequence[str], patience: float) -> AsyncIterator[Handler]:
    """Start the command, or use the URL, that a command line names. Raises Misused."""
    if words[0].startswith(("http://", "https://")):
        if len(words) > 1:
            raise Misused("One URL is enough.")
        async with httpx.AsyncClient(timeout=patience) as client:
            yield HttpHandler(words[0], client)
        return
    command = CommandHandler(words, patience)
    await command.start()
    try:
        yield command
    finally:
        await command.stop()


def _object(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Silent(f"answered {text.strip()[:80]!r}, which is no JSON object")
    return answer
