"""Reading the stream: the fast replay against a bare nats-py fetch(1000) loop over the same stream."""

import gc
import os
import statistics
import time

import pytest
from filling import fill, publications
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from servers import Nats

from chassis.messaging.replay import replay
from contracts.envelope import STREAM

pytestmark = pytest.mark.benchmark

MESSAGES = int(os.environ.get("DINKOP_BENCH_MESSAGES", "200000"))
ROUNDS = 3
AT_LEAST = 8.0


async def test_a_replay_is_at_least_eight_times_a_bare_fetch_loop(nats: Nats, public_stream: Client) -> None:
    for start in range(0, MESSAGES, 50_000):
        await fill(public_stream, publications(min(50_000, MESSAGES - start), after=start))
    ratios: list[float] = []
    for _ in range(ROUNDS):
        gc.collect()
        replayed = await _replay(nats)
        fetched = await _fetch(public_stream)
        ratios.append(replayed / fetched)
        print(f"\nreplay {replayed:,.0f}/s, nats-py fetch(1000) {fetched:,.0f}/s, ratio {ratios[-1]:.1f}")
    assert statistics.median(ratios) >= AT_LEAST


async def _replay(nats: Nats) -> float:
    """Return messages per second of a loop that only reads."""
    began, count = time.perf_counter(), 0
    async for batch in replay(nats.url, STREAM, (), 0, MESSAGES):
        count += len(batch)
    assert count == MESSAGES
    return count / (time.perf_counter() - began)


async def _fetch(client: Client) -> float:
    """Return messages per second of the bare loop; a quarter of the stream is enough to tell."""
    subscription = await client.jetstream().pull_subscribe(
        "dinkop.v1.>", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    )
    wanted = max(1_000, MESSAGES // 4000 * 1000)
    began, count = time.perf_counter(), 0
    while count < wanted:
        count += len(await subscription.fetch(1_000))
    rate = count / (time.perf_counter() - began)
    await subscription.unsubscribe()
    return rate
