"""Waiting for something to become true, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually[T](question: Callable[[], Awaitable[T] | T], seconds: float = 15.0) -> T:
    """Ask until the answer is truthy and return it; errors count as no. Raises AssertionError after `seconds`."""
    until, problem = time.monotonic() + seconds, "never asked"
    while time.monotonic() < until:
        try:
            answer = question()
            if isinstance(answer, Awaitable):
                answer = await answer
            if answer:
                return answer
            problem = f"the last answer was {answer!r}"
        except Exception as error:
            problem = repr(error)
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {problem}")
