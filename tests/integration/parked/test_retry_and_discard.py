"""Parked events tried again or given up; what waits behind them is applied in order, whoever projects meanwhile."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from conftest import Farm
from eventually import eventually
from poisoned import Mistakes, naive
from projecting import KEYS, MemoryFeed, Planted, Rained

from chassis.storage.database import Database
from chassis.storage.parked import NotParked, left_out
from chassis.storage.read_models import create_generation
from chassis.storage.releasing import NotFed, ProjectionQueues


async def _ids(farm: Farm) -> list[UUID]:
    return [each.id for each in await farm.aside()]


async def test_a_retry_applies_the_poison_and_what_waits_behind_it_in_order(farm: Farm) -> None:
    farm.publish(Planted(what="a"))
    farm.publish(Planted(what="b"), broken=True)
    farm.publish(Rained(millimetres=1))
    farm.publish(Planted(what="c"))
    await farm.project()
    farm.mistakes.mend()
    released = await farm.queues.retry((await _ids(farm))[0])
    assert (released.applied, released.still_parked, released.failed) == (3, 0, None)
    assert await farm.rows() == naive(farm.projection, farm.log)
    assert await farm.aside() == []


async def test_a_retry_that_fails_again_keeps_everything_and_counts(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    farm.publish(Planted(what="b"))
    await farm.project()
    for attempts in (2, 3):
        released = await farm.queues.retry((await _ids(farm))[0])
        assert (released.applied, released.still_parked) == (0, 2)
        assert released.failed is not None
        assert released.failed.failure is not None
        assert released.failed.failure.exception == "Broken: field 1"
        [poison, waiting] = await farm.aside()
        assert (poison.parked.attempts, waiting.parked.attempts) == (attempts, 0)
        assert poison.tried_at is not None
    assert await farm.rows() == {}


async def test_a_retry_stops_at_the_first_that_fails_and_that_is_the_poison_then(farm: Farm) -> None:
    for what in "abcd":
        farm.publish(Planted(what=what), broken=what in "ac")
    await farm.project()
    farm.mistakes.unfoldable.discard(("field", 1))
    released = await farm.queues.retry((await _ids(farm))[0])
    assert (released.applied, released.still_parked) == (2, 2)
    assert [(e.parked.sequence, e.is_poison, e.parked.attempts) for e in await farm.aside()] == [
        (3, True, 1),
        (4, False, 0),
    ]
    assert await farm.rows() == naive(farm.projection, farm.log[:2])


async def test_to_retry_what_waits_is_to_retry_what_it_waits_for(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    farm.publish(Planted(what="b"))
    await farm.project()
    farm.mistakes.mend()
    released = await farm.queues.retry((await _ids(farm))[1])
    assert released.applied == 2
    assert await farm.rows() == naive(farm.projection, farm.log)


async def test_an_attempt_is_counted_before_it_is_made_and_stays_counted_when_the_process_dies(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()

    class Death(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Death

    monkeypatch.setattr(type(farm.projection), "apply", dies)
    with pytest.raises(Death):
        await farm.queues.retry((await _ids(farm))[0])
    [poison] = await farm.aside()
    assert poison.parked.attempts == 2


async def test_a_row_that_the_database_refuses_again_stays_parked_and_what_came_before_is_applied(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    for what in ("b", "\0", "c"):
        farm.publish(Planted(what=what))
    await farm.project()
    farm.mistakes.mend()
    released = await farm.queues.retry((await _ids(farm))[0])
    assert (released.applied, released.still_parked) == (2, 2)
    assert [(e.parked.sequence, e.is_poison) for e in await farm.aside()] == [(3, True), (4, False)]
    assert (await farm.rows())[KEYS[0]].crops == "ab"


async def test_what_is_discarded_is_left_out_and_what_waits_behind_it_is_applied(farm: Farm) -> None:
    farm.publish(Planted(what="a"))
    poison = farm.publish(Planted(what="b"), broken=True)
    farm.publish(Planted(what="c"))
    await farm.project()
    [parked, _] = await farm.aside()
    released = await farm.queues.discard(parked.id, "siti", "recorded by mistake")
    assert (released.applied, released.still_parked) == (1, 0)
    assert await farm.rows() == naive(farm.projection, [farm.log[0], farm.log[2]])
    [kept] = await farm.parked.given_up_after(0, 10)
    assert (kept.id, kept.consumer, kept.service, kept.sequence) == (parked.id, "plots", "field", 2)
    assert (kept.discarded_by, kept.reason, kept.attempts) == ("siti", "recorded by mistake", 1)
    assert kept.exception == "Broken: field 2"
    assert kept.headers == poison.headers
    assert await left_out(farm.database.pool, "plots") == {("field", 2)}
    assert await left_out(farm.database.pool, "others") == frozenset()


async def test_to_discard_one_tries_no_other_poison(farm: Farm) -> None:
    farm.publish(Planted(what="a"), garbled=True)
    farm.publish(Planted(what="b"), garbled=True)
    farm.publish(Planted(what="c"))
    await farm.project()
    farm.mistakes.mend()
    first, *_ = await _ids(farm)
    released = await farm.queues.discard(first, "siti", "no")
    assert (released.applied, released.still_parked) == (0, 2)
    assert [(e.parked.sequence, e.parked.attempts) for e in await farm.aside()] == [(2, 1), (3, 0)]


async def test_what_waits_can_be_discarded_too(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    farm.publish(Planted(what="b"))
    farm.publish(Planted(what="c"))
    await farm.project()
    farm.mistakes.mend()
    ids = await _ids(farm)
    await farm.queues.discard(ids[1], "siti", "no")
    await farm.queues.retry(ids[0])
    assert (await farm.rows())[KEYS[0]].crops == "ac"


async def test_a_discarded_event_counts_for_every_generation_also_for_one_that_reads_it_later(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    farm.publish(Planted(what="b"))
    async with farm.database.engine.begin() as connection:
        await create_generation(connection, farm.projection, 1, "previous")
        await create_generation(connection, farm.projection, 2, "live")
        await create_generation(connection, farm.projection, 3, "retired")
    await farm.project()
    await farm.project("previous")
    live = next(each for each in await farm.aside() if each.generation == 2)
    await farm.queues.discard(live.id, "siti", "no")
    assert await farm.aside() == []
    for generation in (1, 2):
        async with farm.models.view(farm.projection, generation) as view:
            assert [row.crops for row in await view.rows(farm.projection, farm.projection.table.select())] == ["b"]
    # One that has not come so far yet leaves it out when it does, though the code could apply it now.
    farm.mistakes.mend()
    await farm.database.pool.execute("UPDATE generations SET status = 'retired' WHERE generation = 1")
    await farm.database.pool.execute("UPDATE generations SET status = 'previous' WHERE generation = 3")
    await farm.project("previous")
    async with farm.models.view(farm.projection, 3) as view:
        assert [row.crops for row in await view.rows(farm.projection, farm.projection.table.select())] == ["b"]


async def test_what_was_applied_meanwhile_is_not_parked_any_more(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()
    farm.mistakes.mend()
    [id] = await _ids(farm)
    outcomes: list[Any] = await asyncio.gather(
        farm.queues.retry(id), farm.queues.retry(id), farm.queues.discard(id, "siti", "no"), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NotParked", "NotParked", "Released"]
    given_up = await left_out(farm.database.pool, "plots")
    assert await farm.rows() == ({} if given_up else naive(farm.projection, farm.log))
    with pytest.raises(NotParked, match=str(id)):
        await farm.queues.retry(id)


async def test_what_other_code_made_is_left_as_it_is(farm: Farm, service_database: Database) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()
    await service_database.pool.execute("UPDATE generations SET version = 7")
    [id] = await _ids(farm)
    for attempt in (farm.queues.retry(id), farm.queues.discard(id, "siti", "no")):
        with pytest.raises(NotFed, match="Generation 1 of plots"):
            await attempt
    with pytest.raises(NotFed, match="no projection plots"):
        await ProjectionQueues(service_database, []).retry(id)
    assert await left_out(service_database.pool, "plots") == frozenset()


async def test_what_is_connected_only_by_subject_is_found_and_what_is_not_is_left(farm: Farm) -> None:
    def by_event(received: Any) -> UUID:
        return UUID(int=received.sequence)

    farm = Farm(farm.database, Mistakes(), key=by_event)
    farm.publish(Planted(what="a"), 0, garbled=True)
    farm.publish(Planted(what="b"), 0)
    farm.publish(Planted(what="c"), 1, garbled=True)
    farm.publish(Planted(what="d"), 1)
    await farm.project()
    farm.mistakes.mend()
    released = await farm.queues.retry((await _ids(farm))[0])
    assert (released.applied, released.still_parked) == (2, 0)
    assert await farm.sequences() == [3, 4]


async def test_retries_and_discards_while_two_projectors_run_lose_and_double_nothing(farm: Farm) -> None:
    feed = MemoryFeed(farm.log, batch=4)
    projectors = [farm.projector(feed) for _ in range(2)]
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    given_up: set[int] = set()
    try:
        for turn in range(30):
            for key in range(3):
                farm.publish(Planted(what=f"{turn}."), key, broken=turn % 7 == key)
            if turn % 5 == 4:
                [poison, *_] = await eventually(farm.aside)
                if turn % 10 == 9:
                    await farm.queues.discard(poison.id, "siti", "no")
                    given_up.add(poison.parked.sequence)
                else:
                    farm.mistakes.unfoldable.discard(("field", poison.parked.sequence))
                    await farm.queues.retry(poison.id)
        goal = {"field": len(farm.log)}
        await eventually(lambda: all(projector.status.positions == goal for projector in projectors))
        farm.mistakes.mend()
        for event in await farm.aside():
            if event.is_poison:
                await farm.queues.retry(event.id)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(given_up) == 3
    assert await farm.aside() == []
    kept = [each for each in farm.log if int(each.headers["ce-sequence"]) not in given_up]
    assert await farm.rows() == naive(farm.projection, kept)


async def test_a_projector_that_read_rows_before_a_retry_writes_none_of_them(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()
    farm.mistakes.mend()
    projector = farm.projector()
    before = await projector.load()
    later = farm.publish(Planted(what="b"))
    model = projector.read_model
    read = model.rows

    async def retried_after(keys: Any) -> Any:
        rows = await read(keys)
        await farm.queues.retry((await _ids(farm))[0])
        return rows

    model.rows = retried_after  # type: ignore[method-assign]
    with pytest.raises(Exception, match="plots") as moved:
        await projector.apply([later], before, "log")
    assert type(moved.value).__name__ == "GenerationMoved"
    assert await farm.aside() == []
    assert (await farm.rows())[KEYS[0]].crops == "a"
    model.rows = read  # type: ignore[method-assign]
    await projector.apply([later], await projector.load(), "log")
    assert await farm.rows() == naive(farm.projection, farm.log)


async def test_a_retry_waits_for_the_batch_that_is_being_written(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()
    farm.mistakes.mend()
    [id] = await _ids(farm)
    farm.publish(Planted(what="b"))
    pool = farm.database.pool
    async with pool.acquire() as projecting, projecting.transaction():
        await projecting.execute("SELECT FROM generations FOR UPDATE")
        retry = asyncio.create_task(farm.queues.retry(id))
        await eventually(
            lambda: pool.fetchval("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        )
        # What the batch parks behind it must not be missed.
        await projecting.execute(
            """INSERT INTO parked (consumer, generation, service, sequence, type, subject, key, headers, data, attempts)
               SELECT consumer, generation, service, 2, type, subject, key, $1::text::jsonb, $2, 0 FROM parked""",
            '{"ce-sequence": "2"}',
            b"{}",
        )
    released = await retry
    # Its headers are no envelope, so it is met, and fails.
    assert (released.applied, released.still_parked) == (1, 1)
