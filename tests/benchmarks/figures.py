"""How benchmarks measure: interleaved rounds, medians, a ratio to a limit taken in the same run."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

ROUNDS = 3


async def rate(work: Callable[[], Awaitable[int]]) -> float:
    """Return things a second: `work` returns how many it did."""
    begun = time.perf_counter()
    done = await work()
    return done / (time.perf_counter() - begun)


async def compare(
    what: str, ours: Callable[[], Awaitable[int]], limit: Callable[[], Awaitable[int]], of: str, rounds: int = ROUNDS
) -> float:
    """Measure both in turn, print the medians, and return the median of the ratios round by round."""
    pairs = []
    for _ in range(rounds):
        bare = await rate(limit)
        pairs.append((await rate(ours), bare))
    ratio = statistics.median(mine / bare for mine, bare in pairs)
    mine, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"\n{what}: {mine:,.0f}/s; {of}: {bare:,.0f}/s; ratio {ratio:.2f}")
    return ratio


async def together(clients: int, client: Callable[[int], Awaitable[None]]) -> None:
    """Run clients at once."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(client(number))


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
