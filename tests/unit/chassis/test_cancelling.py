"""A cancelled task ends, also when a library raises something else in the place of CancelledError."""

import asyncio

from chassis.engine.cancelling import heed_cancellation


async def test_background_work_that_tries_again_after_failures_can_be_cancelled_in_the_midst_of_one() -> None:
    waiting = asyncio.Event()

    async def lets_go_badly() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection broke meanwhile")

    async def kept() -> None:
        for _ in range(2):  # a test must end also when this does not
            try:
                await lets_go_badly()
            except OSError as failed:
                heed_cancellation(failed)

    task = asyncio.create_task(kept())
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task], timeout=1)
    heeded = task.cancelled()
    task.cancel()
    assert heeded


async def test_a_failure_of_a_task_that_nobody_cancelled_stays_a_failure() -> None:
    heed_cancellation(OSError("weather"))
