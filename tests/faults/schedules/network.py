"""The wires between the parts of a system: each a proxy that carries, cuts, or holds back what is sent through it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

type Target = tuple[str, int] | Path
"""A TCP address, or a unix socket."""
BLOCK = 65_536


class Connection(Protocol):
    """What is between a process and a server, and can be broken."""

    def cut(self) -> None:
        """Reset every connection, and each new one, until mended."""

    def hold(self) -> None:
        """Carry nothing, and say nothing, until mended."""

    def mend(self) -> None:
        """Carry on."""


class Wire:
    """Listens on a loopback port of its own and carries every connection to `target`, while it is whole.

    Held back, it takes nothing any more from either side, and gives all of it when it is whole again: so does TCP over
    a network that loses every packet for a while. Cut, it resets every connection, and each new one.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.port = 0
        self.asked = 0
        """How many connections it was asked for."""
        self._whole = asyncio.Event()
        self._whole.set()
        self._cut = False
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        """Begin to carry."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End it, with every connection."""
        if self._server is not None:
            self._server.close()
        self._reset()
        self._whole.set()

    def cut(self) -> None:
        """Reset every connection, and each new one, until mended."""
        self._cut = True
        self._reset()

    def hold(self) -> None:
        """Carry nothing, and say nothing, until mended."""
        self._whole.clear()

    def mend(self) -> None:
        """Carry on."""
        self._cut = False
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        self._open.add(writer)
        try:
            if not self._whole.is_set():
                await self._whole.wait()
            if self._cut:
                _reset(writer)
                return
            await self._carry(reader, writer)
        except OSError:
            _reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self.target, Path):
            far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        else:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        self._open.add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open.discard(far_writer)
            far_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                # Looked at before and after: what was read when it is cut off must not get through.
                block = await source.read(BLOCK)
                await self._whole.wait()
                if not block:
                    break
                sink.write(block)
                await sink.drain()
        # Either end that goes takes the other with it.
        sink.close()

    def _reset(self) -> None:
        for writer in list(self._open):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset: an orderly end would be another fault."""
    ends = writer.get_extra_info("socket")
    if ends is not None and ends.fileno() >= 0 and ends.family != socket.AF_UNIX:
        ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def wired(*wires: Wire) -> AsyncIterator[None]:
    """Have wires listen."""
    try:
        for wire in wires:
            await wire.listen()
        yield
    finally:
        for wire in wires:
            await wire.close()
