"""The NATS client protocol, as much of it as a reader needs that takes messages in by the block."""

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from chassis.messaging.address import Address, Where

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
BUFFER = 16 * 1024 * 1024
"""Bytes that may wait in memory: all that is on its way, so that a busy reader never blocks the server."""
_BLOCK = 1024 * 1024
_ANSWERS = "answer"


class WireError(Exception):
    """The server refused the connection, or said something that is not the NATS protocol."""


class Frame(NamedTuple):
    """One message off the wire: `end` is where the next one starts; `headers` is the raw block, or empty."""

    end: int
    subject: str
    reply: str
    headers: bytes
    payload: bytes


class Control(NamedTuple):
    """One line off the wire that is no message, such as PING; `end` is where the next one starts."""

    end: int
    line: bytes


def parse(buffer: bytes, at: int) -> Frame | Control | None:
    """Read what stands at `at`; None when it isn't complete yet. Raises WireError when it is no protocol."""
    line_end = buffer.find(b"\r\n", at)
    if line_end < 0:
        return None
    line, start = buffer[at:line_end], line_end + 2
    words = line.split()
    operation = words[0].upper() if words else b""
    if operation not in (b"MSG", b"HMSG"):
        return Control(start, line)
    try:
        sizes = words[-2:] if operation == b"HMSG" else [b"0", words[-1]]
        head, total = int(sizes[0]), int(sizes[1])
        reply = words[3] if len(words) - len(sizes) == (4 if operation == b"HMSG" else 3) else b""
        subject = words[1].decode()
    except (ValueError, IndexError) as error:
        raise WireError(f"not a message: {line!r}") from error
    end = start + total
    if len(buffer) < end + 2:
        return None
    return Frame(end + 2, subject, reply.decode(), buffer[start : start + head], buffer[start + head : end])


def parse_headers(block: bytes) -> dict[str, str]:
    """Read a header block, and an inline status as `Status` and `Description`. Names keep their case."""
    first, *lines = block.split(b"\r\n")
    headers: dict[str, str] = {}
    status, _, description = first.removeprefix(b"NATS/1.0").strip().partition(b" ")
    if status:
        headers["Status"] = status.decode("ascii", "replace")
        headers["Description"] = description.decode("utf-8", "replace")
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.strip()
        # A name that isn't a token is no header; so nats-py has it.
        if colon and key.isascii() and not any(c in b" \t\n\r\v\f" for c in key):
            headers[key.decode()] = value.strip().decode("utf-8", "replace")
    return headers


class _Greeting(msgspec.Struct):
    """What the server says first, as far as it matters."""

    tls_required: bool = False
    tls_available: bool = False

    @property
    def offers_tls(self) -> bool:
        return self.tls_required or self.tls_available


class Connection:
    """One connection to one server, for requests and one subscription; no reconnecting, that is the reader's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inbox: str) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = f"{inbox}.{_ANSWERS}"
        self.inbox = f"{inbox}.messages"
        self._rest = b""

    @classmethod
    async def open(cls, where: Where, inbox: str, attempt: int = 0) -> "Connection":
        """Connect to one server of an address: the next at every attempt. Raises OSError, TimeoutError or WireError."""
        address = Address.of(where)
        server = urlsplit(address.servers[attempt % len(address.servers)])
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(server.hostname, server.port, limit=BUFFER // 2)
        connection = cls(reader, writer, f"{address.inbox_prefix}.{inbox}")
        try:
            await connection._greet(address, server.hostname or "")
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _greet(self, address: Address, host: str) -> None:
        options: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "name": "replay",
        }
        if address.user:
            options |= {"user": address.user, "pass": address.password}
        async with asyncio.timeout(CONNECT_SECONDS):
            greeting = await self._reader.readline()
            if not greeting.startswith(b"INFO"):
                raise WireError("the server does not greet as NATS does")
            if tls := address.tls():
                # Before anything is said: who cuts TLS out of the greeting must not get the password.
                if not msgspec.json.decode(greeting[4:], type=_Greeting).offers_tls:
                    raise WireError("the server offers no TLS, and the address asks for it")
                await self._writer.start_tls(tls, server_hostname=host)
            self.send(b"CONNECT %b\r\nPING\r\n" % msgspec.json.encode(options))
            while (answer := await self._reader.readline()).strip() != b"PONG":
                if answer.startswith(b"-ERR") or not answer:
                    raise WireError(f"the server refuses the connection: {answer.decode().strip() or 'closed'}")
        self.send(b"SUB %b 1\r\nSUB %b 2\r\n" % (self._answers.encode(), self.inbox.encode()))

    def send(self, commands: bytes) -> None:
        """Send protocol lines."""
        self._writer.write(commands)

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Publish a message."""
        self.send(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload))

    async def ask(self, subject: str, payload: bytes) -> bytes:
        """Send a request and return the answer. Before or after all pulling: other messages are dropped."""
        self.publish(subject, payload, self._answers)
        while True:
            buffer, at = await self.read(ANSWER_SECONDS), 0
            while (part := parse(buffer, at)) is not None:
                at = part.end
                if isinstance(part, Control):
                    self.control(part.line)
                elif part.subject == self._answers:
                    self.keep(buffer[at:])
                    if not part.payload:
                        raise WireError(f"nobody answers at {subject}: {parse_headers(part.headers)}")
                    return part.payload
            self.keep(buffer[at:])

    async def read(self, seconds: float) -> bytes:
        """Return what was kept and the next block. Raises TimeoutError, or ConnectionError at the end."""
        async with asyncio.timeout(seconds):
            block = await self._reader.read(_BLOCK)
        if not block:
            raise ConnectionError("the server closed the connection")
        rest, self._rest = self._rest, b""
        return rest + block

    def keep(self, rest: bytes) -> None:
        """Put an incomplete end aside for the next read."""
        self._rest = rest

    def control(self, line: bytes) -> None:
        """Answer a line that is no message. Raises WireError on -ERR and on what is no protocol."""
        word = line[:4].upper()
        if word == b"PING":
            self.send(b"PONG\r\n")
        elif word not in (b"PONG", b"INFO", b"+OK"):
            raise WireError(f"the server says {line.decode(errors='replace')!r}")

    async def close(self) -> None:
        """Close, after what was sent has left if that takes no longer than a moment."""
        self._writer.close()
        try:
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()
