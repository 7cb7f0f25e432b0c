"""A fold that ends the process: attempts are counted before, and the event that is to blame is found and parked."""

import asyncio
import sys
from pathlib import Path

import pytest
from conftest import Farm
from eventually import eventually
from poisoned import naive
from projecting import KEYS, MemoryFeed, Planted, message

from chassis.definitions import clock
from chassis.engine.projector import DEATHS
from chassis.storage.read_models import ReadModels


async def lives(database_url: str, events: int, deadly: int) -> list[str]:
    """Return how the lives of a service ended whose fold dies of one event."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("dying.py")),
        *(database_url, str(events), str(deadly)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return [line for line in output.decode().split() if line in ("died", "done")]


@pytest.mark.parametrize("deadly", [1, 7])
async def test_an_event_that_ends_the_process_is_parked_after_some_deaths_and_the_others_are_applied(
    farm: Farm, database_url: str, deadly: int
) -> None:
    ended = await lives(database_url, 8, deadly)
    # A process that has counted its first batch does not count the next; its death there is one more.
    assert ended in (["died"] * (2 * DEATHS) + ["done"], ["died"] * (2 * DEATHS + 1) + ["done"])
    farm.log += [message(Planted(what=f"{n}."), n, KEYS[n % 3], n) for n in range(1, 9)]
    poison, *behind = await farm.aside()
    assert (poison.parked.sequence, poison.parked.attempts) == (deadly, DEATHS)
    assert poison.parked.failure is not None
    assert poison.parked.failure.exception == "Handling it ended the process 3 times"
    assert [each.parked.sequence for each in behind] == [n for n in range(deadly + 1, 9) if n % 3 == deadly % 3]
    applied = [each for each in farm.log if int(each.headers["ce-sequence"]) not in await farm.sequences()]
    assert await farm.rows() == naive(farm.projection, applied)
    assert await farm.models.positions(farm.projection) == {"field": 8}
    # By code that survives it.
    released = await farm.queues.retry(poison.id)
    assert released.still_parked == 0
    assert await farm.rows() == naive(farm.projection, farm.log)


async def test_an_attempt_is_counted_once_a_process_and_forgotten_with_the_move(farm: Farm) -> None:
    model = farm.models.live(farm.projection)
    checkpoint = await model.checkpoint()
    assert [await model.begin(checkpoint) for _ in range(3)] == [1, 1, 1]
    others = [ReadModels(farm.database, clock.new_id()).live(farm.projection) for _ in range(2)]
    for count, other in enumerate(others, 2):
        await other.checkpoint()
        assert await other.begin(checkpoint) == count
    projector = farm.projector()
    checkpoint = await projector.apply([farm.publish(Planted(what="a"))], await projector.load(), "log")
    assert await model.begin(checkpoint) == 1


async def test_a_database_that_is_away_and_events_that_are_missing_are_nobodys_fault(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = MemoryFeed(farm.log)
    farm.publish(Planted(what="a"))
    projector = farm.projector(feed)

    async def away(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(projector.read_model, "write", away)
        for _ in range(3 * DEATHS):
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(projector.run(), 10)
    task = asyncio.create_task(projector.run())
    try:
        await eventually(lambda: projector.status.positions == {"field": 1})
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await farm.aside() == []
    assert await farm.rows() == naive(farm.projection, farm.log)


async def test_after_some_deaths_events_are_handled_one_by_one_and_soon_in_batches_again(farm: Farm) -> None:
    for _ in range(DEATHS):
        dead = ReadModels(farm.database, clock.new_id()).live(farm.projection)
        await dead.begin(await dead.checkpoint())
    projector = farm.projector()
    written: list[int] = []
    write = projector.read_model.write

    async def counted(before, after, *rest):  # type: ignore[no-untyped-def]
        written.append(after.positions["field"])
        await write(before, after, *rest)

    projector.read_model.write = counted  # type: ignore[method-assign]
    checkpoint = await projector.load()
    for batch in ("abc", "def"):
        checkpoint = await projector.apply([farm.publish(Planted(what=what)) for what in batch], checkpoint, "log")
    assert written == [1, 2, 3, 6]
    assert await farm.aside() == []
    assert await farm.database.pool.fetchval("SELECT attempts FROM generations") == 0
