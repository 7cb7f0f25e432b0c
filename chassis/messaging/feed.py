"""The live feed: what the stream delivers, in order, the moment it is delivered."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from chassis.engine.ports import LogMessage
from chassis.messaging.connection import owner
from chassis.messaging.pulling import (
    HEARTBEAT,
    Ask,
    Interrupted,
    Pulls,
    delivered,
    kind,
    look,
    make_consumer,
    removal,
    server_filter,
)
from contracts.envelope import STREAM

BATCH = 1_000
"""The most messages in one batch."""
IDLE = 1.0
"""Seconds after which an empty batch says that nothing came."""
ANSWER = 5.0
"""Seconds the server has to answer a request."""
_SILENCE = 2.5 * HEARTBEAT
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_UNREACHABLE = (Interrupted, nats.errors.Error, TimeoutError, OSError)


class JetStreamFeed:
    """The stream as projectors read it (engine.ports.Feed), over a connection that reconnects by itself."""

    def __init__(self, client: Client, stream: str = STREAM) -> None:
        self._client = client
        self._stream = stream
        self._identity = ""

    async def identity(self) -> str:
        """Return when the stream was made. Raises Interrupted when there is none, or a NATS error."""
        self._identity = (await look(self._ask, self._stream)).identity
        return self._identity

    async def head(self) -> int:
        """Return the stream's last sequence. Raises Interrupted when there is none, or a NATS error."""
        return (await look(self._ask, self._stream)).last

    async def follow(self, services: Collection[str], after: int) -> AsyncGenerator[list[LogMessage]]:
        """Yield batches of the messages of `services` (none named: of all) after a sequence, for ever.

        Every message once, in order, through restarts of the server; about once a second without messages an
        empty batch. Raises LogReplaced when the stream is not the one that `identity` told of (or the
        first one seen), or ends before what was read; ConnectionClosedError when the connection was closed for good.
        """
        identity, pause = self._identity, _FIRST_PAUSE
        while True:
            reading = _Reading(self._client, self._stream, frozenset(services), after)
            try:
                incarnation = await look(self._ask, self._stream)
                incarnation.check(identity, after)
                identity = incarnation.identity
                await reading.open(self._ask)
                while True:
                    batch = await reading.take()
                    after, pause = reading.last, _FIRST_PAUSE
                    yield batch
            except _UNREACHABLE:
                if self._client.is_closed:
                    raise
            finally:
                after = reading.last
                await reading.close(self._ask)
            yield []
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask(self, subject: str, payload: bytes) -> bytes:
        return (await self._client.request(subject, payload, timeout=ANSWER)).data


class _Reading:
    """One consumer: what it has delivered and nobody has taken yet. `last` is the last sequence taken."""

    def __init__(self, client: Client, stream: str, services: frozenset[str], after: int) -> None:
        self.last = after
        self._client = client
        self._stream = stream
        self._services = services
        self._inbox = client.new_inbox()
        self._reconnects = client.stats["reconnects"]
        self._subscription: Subscription | None = None
        self._consumer = ""
        self._pulls = Pulls(stream, "", BATCH)
        self._taken = 0
        self._number = 0
        self._arrived: deque[Msg] = deque()
        self._something = asyncio.Event()
        self._heard = time.monotonic()

    async def open(self, ask: Ask) -> None:
        """Make the consumer."""
        self._subscription = await self._client.subscribe(self._inbox, cb=self._receive)
        self._consumer, _ = await make_consumer(
            ask, self._stream, owner(self._client), self.last, server_filter(self._services)
        )
        self._pulls = Pulls(self._stream, self._consumer, BATCH)
        self._heard = time.monotonic()

    async def close(self, ask: Ask) -> None:
        """Stop delivery and remove the consumer; where that can't be, the server forgets it by itself."""
        with suppress(*_UNREACHABLE):
            if self._subscription:
                await self._subscription.unsubscribe()
            if self._consumer and self._client.is_connected:
                await ask(removal(self._stream, self._consumer), b"")

    async def take(self) -> list[LogMessage]:
        """Return what has arrived, up to a batch, as soon as there is something; empty after a while.

        More is asked for only here, so that a slow caller is never sent more than it can take.
        """
        until = time.monotonic() + IDLE
        await self._pull()
        while True:
            messages = self._drain()
            if messages or time.monotonic() >= until:
                return messages
            await self._pull()
            await self._wait(until)

    async def _receive(self, message: Msg) -> None:
        self._arrived.append(message)
        self._heard = time.monotonic()
        self._something.set()

    async def _wait(self, until: float) -> None:
        if self._arrived:
            return
        if self._client.stats["reconnects"] != self._reconnects:
            raise Interrupted("the connection was lost in between")
        self._something.clear()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await self._something.wait()
        except TimeoutError:
            if time.monotonic() - self._heard > _SILENCE:
                raise Interrupted(f"nothing heard for {_SILENCE} s") from None

    def _drain(self) -> list[LogMessage]:
        messages: list[LogMessage] = []
        while self._arrived and len(messages) < BATCH:
            try:
                message = self._accept(self._arrived[0])
            except Interrupted:
                # What came before the interruption counts; the next call meets the interruption again.
                if messages:
                    break
                raise
            self._arrived.popleft()
            if message:
                messages.append(message)
        return messages

    def _accept(self, arrived: Msg) -> LogMessage | None:
        """Return the message if it is wanted. Raises Interrupted, and has then changed nothing."""
        if arrived.subject == self._inbox:
            self._pulls.status(arrived.headers or {})
            return None
        sequence, number = delivered(arrived.reply)
        if number != self._number + 1:
            raise Interrupted(f"the consumer's message {self._number + 1} is missing, {number} came")
        self.last, self._number = sequence, number
        self._taken += 1
        service, type_ = kind(arrived.subject)
        if self._services and service not in self._services:
            return None
        return LogMessage(sequence, service, type_, arrived.headers or {}, arrived.data)

    async def _pull(self) -> None:
        taken, self._taken = self._taken, 0
        for _ in range(self._pulls.taken(taken)):
            await self._client.publish(self._pulls.subject, self._pulls.request, reply=self._inbox)
