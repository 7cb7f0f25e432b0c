"""How much one caller may ask of this process: commands a second, and tokens that fail a minute."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from chassis.http.refusals import Refusal

WINDOW = 10
"""Seconds over which commands are averaged: a burst is no flood."""


class TooManyRequests(Refusal):
    """This is more than one caller may ask for in so short a time; wait as long as Retry-After says."""

    status = 429


class Limits:
    """The limits of one process; replicas count for themselves."""

    def __init__(self, writes_per_second: int, failed_tokens_per_minute: int) -> None:
        """Count from nothing."""
        self._writes = _Limit(RateLimitItemPerSecond(writes_per_second * WINDOW, WINDOW))
        self._failures = _Limit(RateLimitItemPerMinute(failed_tokens_per_minute))

    async def count_write(self, actor: str) -> None:
        """Count a command. Raises TooManyRequests."""
        await self._writes.count(actor)

    async def count_failure(self, address: str) -> None:
        """Count a token that failed. Raises TooManyRequests; tokens that are good go on from the same address."""
        await self._failures.count(address)


class _Limit:
    def __init__(self, item: RateLimitItem) -> None:
        self._item = item
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, who: str) -> None:
        if await self._limiter.hit(self._item, who):
            return
        over = (await self._limiter.get_window_stats(self._item, who)).reset_time
        raise TooManyRequests(headers={"Retry-After": str(max(1, math.ceil(over - time.time())))})
