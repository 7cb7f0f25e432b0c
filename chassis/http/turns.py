"""Taking turns: attempts at one command, which come under one idempotency key, are made one after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """The keys under which this process is at work just now.

    A caller who gave up waiting sends the command again while the first attempt is still under way. Made side by side,
    the second could be refused, and the first accepted a moment later, when what it needs has come: the caller was told
    that nothing was done, and it was.
    """

    def __init__(self) -> None:
        """Start with nobody at work."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, key: str) -> AsyncIterator[None]:
        """Wait until no other attempt under this key is under way, and keep the next ones waiting meanwhile."""
        lock = self._locks.setdefault(key, asyncio.Lock())  # kept by those who hold it or wait for it, and no longer
        async with lock:
            yield
