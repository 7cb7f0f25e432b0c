"""Reading the stream: the fast replay against a bare nats-py fetch(1000) loop over the same stream."""

import gc
import os
import statistics
import time

import pytest
from fetching import fetch_rate
from filling import fill, publications
from nats.aio.client import Client
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
        fetched = await fetch_rate(public_stream, max(1_000, MESSAGES // 4_000 * 1_000))  # enough to tell
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
