"""The fast replay in a process beside: reading takes one core, and who folds what is read has another.

`python -m chassis.messaging.beside` is that process: it is told what to read on its standard input, as JSON, and writes
each batch to its standard output, as a length and what `marshal` makes of it.
"""

import asyncio
import marshal
import os
import struct
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any

import msgspec

from chassis.engine.ports import LogReplaced
from chassis.messaging.address import Address, Where
from chassis.messaging.replay import Batch, LogUnreadable, NoEvent, replay

FEWEST = 50_000
"""Messages below which starting a process takes longer than it saves."""
_LENGTH = struct.Struct("<I")
_HELD = 8 * 1024 * 1024
"""Bytes of batches that wait here to be taken; then the process beside waits."""


class _Order(msgspec.Struct):
    address: dict[str, Any]
    stream: str
    services: list[str]
    after: int
    until: int
    identity: str


async def replay_beside(
    where: Where, stream: str, services: Collection[str], after: int, until: int, *, identity: str = ""
) -> AsyncGenerator[Batch]:
    """Yield what `messaging.replay.replay` yields and raise what it raises, reading in a process beside where it pays.

    Should that process end before it is done, reading goes on in this one.
    """
    last = after
    if until - after >= FEWEST:
        order = _Order(asdict(Address.of(where)), stream, sorted(services), after, until, identity)
        async with aclosing(_read(order)) as batches:
            async for said in batches:
                if isinstance(said, list):
                    yield said
                    last = said[-1][0]
                elif said is None:
                    return
                else:
                    raise _failure(*said)
    async for batch in replay(where, stream, services, last, until, identity=identity):
        yield batch


async def _read(order: _Order) -> AsyncGenerator[Any]:
    """Yield what the process beside says, until it ends; it ends with the generator."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_HELD,
        start_new_session=True,  # Ctrl-C is for this process, which ends the other
    )
    assert process.stdin
    assert process.stdout
    try:
        # Not as arguments: everybody on the machine can see those, and the address holds a password.
        with suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(order, enc_hook=str) + b"\n")
            await process.stdin.drain()
        with suppress(asyncio.IncompleteReadError):
            while True:
                [length] = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
                yield marshal.loads(await process.stdout.readexactly(length))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _failure(kind: str, words: str, place: int) -> Exception:
    if kind == NoEvent.__name__:
        return NoEvent(words, place)
    return {each.__name__: each for each in (LogReplaced, LogUnreadable)}[kind](words)


async def _serve(order: _Order) -> None:
    """Read, and write what was read: batches, then None, or the kind, words and place of what was wrong."""
    said: tuple[str, str, int] | None = None
    where = msgspec.convert(order.address, Address, dec_hook=lambda kind, given: kind(given))
    try:
        async for batch in replay(
            where, order.stream, order.services, order.after, order.until, identity=order.identity
        ):
            _write(batch)
    except (LogReplaced, LogUnreadable) as failed:
        said = (type(failed).__name__, str(failed), 0)
    except NoEvent as found:
        said = (NoEvent.__name__, str(found), found.log_sequence)
    _write(said)


def _write(what: Batch | tuple[str, str, int] | None) -> None:
    # Waiting here while nobody reads is meant: nothing is asked of the server then.
    content = marshal.dumps(what)
    left = memoryview(_LENGTH.pack(len(content)) + content)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):  # who reads has gone
        asyncio.run(_serve(msgspec.json.decode(sys.stdin.buffer.readline(), type=_Order)))
