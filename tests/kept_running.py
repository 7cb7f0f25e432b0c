"""Parts of a service, kept running as a service keeps them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def kept_running(*parts: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run parts of a service; one that fails is started again, as the service does."""

    async def keep(part: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await part()
            except Exception:
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(keep(part)) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
