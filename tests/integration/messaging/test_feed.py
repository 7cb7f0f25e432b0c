"""The live feed delivers everything once, in order and at once, through restarts, and says when the log is another."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from eventually import eventually
from filling import fill, publication, publications
from nats.aio.client import Client
from nats.aio.msg import Msg
from servers import Nats

from chassis.engine.ports import LogMessage, LogReplaced
from chassis.messaging import stream
from chassis.messaging.feed import BATCH, JetStreamFeed, _Reading
from contracts.envelope import STREAM

type Batches = AsyncGenerator[list[LogMessage]]


async def places(batches: Batches, until: int) -> list[int]:
    """Return the log sequences that come, up to the one given."""
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for batch in batches:
            seen += [message.log_sequence for message in batch]
            if seen and seen[-1] >= until:
                return seen
    raise AssertionError("a feed never ends")


async def consumers(client: Client) -> list[str]:
    return [consumer.name for consumer in await client.jetstream().consumers_info(STREAM)]


async def test_a_message_comes_as_it_was_published(public_stream: Client) -> None:
    subject, headers, payload = publication(3, "rat", "RATHeld")
    await public_stream.jetstream().publish(subject, payload, headers=headers)
    async with aclosing(JetStreamFeed(public_stream).follow(["rat"], 0)) as batches:
        [message] = await anext(batches)
    assert message == LogMessage(1, "rat", "RATHeld", headers, payload)


async def test_a_burst_comes_in_batches_and_in_order(public_stream: Client) -> None:
    await fill(public_stream, publications(5_000))
    sizes: list[int] = []
    seen: list[int] = []
    async with aclosing(JetStreamFeed(public_stream).follow([], 0)) as batches:
        async for batch in batches:
            sizes.append(len(batch))
            seen += [message.log_sequence for message in batch]
            if len(seen) >= 5_000:
                break
    assert seen == list(range(1, 5_001))
    assert max(sizes) <= BATCH
    assert len(sizes) < 500


async def test_a_single_message_is_yielded_at_once(public_stream: Client) -> None:
    jetstream = public_stream.jetstream()
    seconds: list[float] = []
    async with aclosing(JetStreamFeed(public_stream).follow(["rat"], 0)) as batches:
        for number in range(1, 51):
            subject, headers, payload = publication(number)
            await jetstream.publish(subject, payload, headers=headers)
            acknowledged = time.monotonic()
            assert await places(batches, number) == [number]
            seconds.append(time.monotonic() - acknowledged)
    # Under a millisecond on an idle machine; a reader that polls would need tens.
    assert statistics.median(seconds) < 0.02, seconds


async def test_an_idle_log_yields_empty_batches(public_stream: Client) -> None:
    async with asyncio.timeout(10), aclosing(JetStreamFeed(public_stream).follow(["rat"], 0)) as batches:
        assert [await anext(batches), await anext(batches)] == [[], []]


async def test_only_the_services_asked_for_are_delivered(public_stream: Client) -> None:
    await fill(public_stream, publications(2_000))
    async with aclosing(JetStreamFeed(public_stream).follow(["rat", "registry"], 500)) as batches:
        seen = await places(batches, 1_998)
    assert seen == [place for place in range(501, 2_001) if place % 5 in (1, 2, 3)]


async def test_a_slow_reader_is_sent_two_pulls_and_no_more(public_stream: Client) -> None:
    await fill(public_stream, publications(10_000))
    async with aclosing(JetStreamFeed(public_stream).follow([], 0)) as batches:
        await anext(batches)
        [consumer] = await public_stream.jetstream().consumers_info(STREAM)
        assert consumer.num_pending is not None
        assert consumer.num_pending >= 10_000 - 3 * BATCH


async def test_closing_removes_the_consumer(public_stream: Client) -> None:
    batches = JetStreamFeed(public_stream).follow(["rat"], 0)
    await anext(batches)
    assert len(await consumers(public_stream)) == 1
    await batches.aclose()
    assert await consumers(public_stream) == []


async def test_cancelling_removes_the_consumer(public_stream: Client) -> None:
    async def read() -> None:
        async with aclosing(JetStreamFeed(public_stream).follow(["rat"], 0)) as batches:
            async for _ in batches:
                pass

    reading = asyncio.create_task(read())
    await eventually(lambda: consumers(public_stream))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await consumers(public_stream) == []


@pytest.mark.parametrize("services", [[], ["rat"]])
async def test_nothing_is_lost_or_repeated_when_the_server_is_killed(
    nats: Nats, public_stream: Client, services: list[str]
) -> None:
    await fill(public_stream, (publication(number) for number in range(1, 3_001)))
    async with aclosing(JetStreamFeed(public_stream).follow(services, 0)) as batches:
        seen = [message.log_sequence for message in await anext(batches)]
        await nats.kill()
        await nats.start()
        seen += await places(batches, 3_000)
        await nats.kill()
        await nats.start()
        await eventually(lambda: public_stream.is_connected)
        await fill(public_stream, (publication(number) for number in range(3_001, 3_101)))
        seen += await places(batches, 3_100)
    assert seen == list(range(1, 3_101))


async def test_a_consumer_that_is_gone_is_made_anew(public_stream: Client) -> None:
    await fill(public_stream, publications(10))
    async with aclosing(JetStreamFeed(public_stream).follow([], 0)) as batches:
        seen = await places(batches, 10)
        [name] = await consumers(public_stream)
        await public_stream.jetstream().delete_consumer(STREAM, name)
        await fill(public_stream, publications(10, after=10))
        seen += await places(batches, 20)
    assert seen == list(range(1, 21))


async def test_a_message_lost_on_its_way_is_read_again(public_stream: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(public_stream, publications(10))
    receive = _Reading._receive
    lost: list[str] = []

    async def lose_the_fifth(self: _Reading, message: Msg) -> None:
        if message.reply.split(".")[5:7] == ["5", "5"] and not lost:
            lost.append(message.reply)
        else:
            await receive(self, message)

    monkeypatch.setattr(_Reading, "_receive", lose_the_fifth)
    async with aclosing(JetStreamFeed(public_stream).follow([], 0)) as batches:
        assert await places(batches, 10) == list(range(1, 11))
    assert lost


async def test_a_stream_made_anew_is_told(public_stream: Client) -> None:
    feed = JetStreamFeed(public_stream)
    before = await feed.identity()
    await fill(public_stream, publications(10))
    assert await feed.head() == 10
    async with aclosing(feed.follow([], 0)) as batches:
        await places(batches, 10)
        await public_stream.jetstream().delete_stream(STREAM)
        await stream.ensure(public_stream.jetstream())
        await fill(public_stream, publications(20))
        with pytest.raises(LogReplaced):
            await places(batches, 20)
    with pytest.raises(LogReplaced):
        await anext(feed.follow([], 0))
    assert await feed.identity() != before
    async with aclosing(feed.follow([], 0)) as batches:
        assert await places(batches, 20) == list(range(1, 21))


async def test_a_stream_that_ends_before_what_was_read_is_told(public_stream: Client) -> None:
    await fill(public_stream, publications(10))
    with pytest.raises(LogReplaced, match="ends at 10"):
        await anext(JetStreamFeed(public_stream).follow([], 11))


async def test_a_stream_that_does_not_exist_yet_is_waited_for(nats_client: Client) -> None:
    async with aclosing(JetStreamFeed(nats_client).follow([], 0)) as batches:
        assert await anext(batches) == []
        await stream.ensure(nats_client.jetstream())
        await fill(nats_client, publications(3))
        assert await places(batches, 3) == [1, 2, 3]
