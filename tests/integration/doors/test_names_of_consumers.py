"""A user's readers share the names that are his, and each reads by itself."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from guarded import Guarded

from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.pulling import NAMES, Interrupted, make_consumer, removal
from contracts.envelope import STREAM

pytestmark = pytest.mark.embedded


async def test_as_many_readers_as_there_are_names_read_everything_each(server: Guarded) -> None:
    async with asyncio.timeout(30), connection.connect(server.address("registry"), "test") as broker:
        client = connection.client(broker)

        async def read() -> list[int]:
            seen: list[int] = []
            async with aclosing(JetStreamFeed(client).follow(["registry"], 0)) as batches:
                async for batch in batches:
                    seen += [message.log_sequence for message in batch]
                    if len(seen) == 10:
                        break
            return seen

        assert await asyncio.gather(*(read() for _ in range(NAMES))) == [list(range(1, 11))] * NAMES


async def test_who_finds_no_free_name_is_told_and_finds_one_later(server: Guarded) -> None:
    async with connection.connect(server.address("rat"), "test") as broker, AsyncExitStack() as made:
        client = connection.client(broker)

        async def ask(subject: str, payload: bytes) -> bytes:
            return (await client.request(subject, payload, timeout=5)).data

        names = []
        for _ in range(NAMES):
            name, _ = await make_consumer(ask, STREAM, "rat", 0, None)
            made.push_async_callback(ask, removal(STREAM, name), b"")
            names.append(name)
        assert sorted(names) == [f"rat-{number:02}" for number in range(NAMES)]
        with pytest.raises(Interrupted, match="all 32 consumers of rat are in use"):
            await make_consumer(ask, STREAM, "rat", 0, None)
        await ask(removal(STREAM, "rat-07"), b"")
        assert (await make_consumer(ask, STREAM, "rat", 0, None))[0] == "rat-07"
