"""The projector on PostgreSQL: rows and positions in one transaction, and one projector at a time."""

import asyncio
import random
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from eventually import eventually
from projecting import KEYS, Harvested, MemoryFeed, Planted, Rained, Thundered, message, naive, plots

from chassis.definitions.projection import Row
from chassis.engine.ports import Checkpoint, GenerationMoved, LogMessage
from chassis.engine.projector import Projector, SequenceGap
from chassis.storage.database import UNREACHABLE, Database
from chassis.storage.read_models import ReadModels, create_generation


@pytest.fixture
def models(service_database: Database) -> ReadModels:
    """The read models of a fresh database."""
    return ReadModels(service_database)


async def rows_and_positions(models: ReadModels) -> tuple[dict[Hashable, Row], Mapping[str, int]]:
    """Return what readers see."""
    async with models.view(plots) as view:
        rows = await view.rows(plots, sa.select(plots.table))
        return {row.plot: row for row in rows}, view.positions


@asynccontextmanager
async def running(*projectors: Projector[Any]) -> AsyncIterator[None]:
    """Run projectors in the background; the failure of one is the test's."""
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def a_log(seed: int, length: int = 60) -> list[LogMessage]:
    """Return a log of two services, interleaved at random."""
    chance, sequences, log = random.Random(seed), {"field": 0, "sky": 0}, []
    for place in range(1, length + 1):
        event = chance.choice(
            [Planted(what=chance.choice("abc")), Harvested(), Rained(millimetres=chance.randint(0, 9)), Thundered()]
        )
        sequences[event.service] += 1
        log.append(message(event, sequences[event.service], chance.choice(KEYS), place))
    return log


@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_and_any_repeats_give_the_rows_and_positions_of_the_naive_fold(
    models: ReadModels, seed: int
) -> None:
    log, chance = a_log(seed), random.Random(seed)
    model = models.live(plots)
    projector = Projector(plots, model, MemoryFeed())
    checkpoint, at = await model.checkpoint(), 0
    while at < len(log):
        at = chance.randint(max(0, at - 5), at)  # some of it again
        size = chance.randint(1, 15)
        checkpoint = await projector.apply(log[at : at + size], checkpoint, "log")
        at += size
    rows, positions = await rows_and_positions(models)
    assert rows == naive(log)
    assert positions == {service: sum(m.service == service for m in log) for service in ("field", "sky")}
    assert await models.live(plots).checkpoint() == replace(checkpoint, positions=positions)


async def test_a_gap_leaves_rows_and_positions_untouched(models: ReadModels) -> None:
    feed = MemoryFeed(batch=2)
    for sequence in (1, 2, 3, 5, 6):
        feed.add(Rained(millimetres=sequence), sequence)
    with pytest.raises(SequenceGap, match="sky events 4 to 4"):
        await asyncio.wait_for(Projector(plots, models.live(plots), feed).run(), 10)
    rows, positions = await rows_and_positions(models)
    assert rows == naive(feed.messages[:2])
    assert positions == {"sky": 2}


async def test_a_connection_killed_between_rows_and_commit_leaves_neither(
    models: ReadModels, service_database: Database
) -> None:
    model = models.live(plots)
    await model.checkpoint()
    # What a sequence counts stays counted when the transaction is lost.
    await service_database.pool.execute("""
        CREATE SEQUENCE plots_g1.deaths;
        CREATE FUNCTION plots_g1.die_twice() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('plots_g1.deaths') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER die AFTER INSERT ON plots_g1.plots EXECUTE FUNCTION plots_g1.die_twice();
    """)
    feed = MemoryFeed()
    for sequence in range(1, 4):
        feed.add(Planted(what="a"), sequence)
    projector = Projector(plots, model, feed)
    for _ in range(2):
        with pytest.raises(UNREACHABLE):
            await asyncio.wait_for(projector.run(), 10)
        assert await rows_and_positions(models) == ({}, {})
    async with running(projector):
        await eventually(lambda: projector.status.positions == {"field": 3})
    assert await rows_and_positions(models) == (naive(feed.messages), {"field": 3})


async def test_two_projectors_at_once_apply_everything_exactly_once(models: ReadModels) -> None:
    feed = MemoryFeed(a_log(seed=9, length=120), batch=5)
    projectors = [Projector(plots, models.live(plots), feed) for _ in range(2)]
    goal = {service: sum(m.service == service for m in feed.messages) for service in ("field", "sky")}
    async with running(*projectors):
        await eventually(lambda: all(projector.status.positions == goal for projector in projectors), 30)
    assert await rows_and_positions(models) == (naive(feed.messages), goal)


async def test_of_two_writes_from_one_checkpoint_the_second_changes_nothing(
    models: ReadModels, service_database: Database
) -> None:
    first, second = models.live(plots), models.live(plots)
    before = await first.checkpoint()
    assert await second.checkpoint() == before
    after = Checkpoint({"field": 1}, "log", 1)
    rows = {key: row for key in KEYS[:2] for row in naive([message(Planted(what="a"), 1, key)]).values()}
    async with service_database.pool.acquire() as somebody:
        # Both have begun, and see the old checkpoint, when the first may go on.
        async with somebody.transaction():
            await somebody.execute("SELECT FROM generations WHERE projection = 'plots' FOR UPDATE")
            writes = [
                asyncio.create_task(model.write(before, after, {key: rows[key]}))
                for model, key in zip((first, second), KEYS, strict=False)
            ]
            waiting = (
                "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH moved%'"
            )
            await eventually(lambda: service_database.pool.fetchval(waiting))
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["GenerationMoved", "NoneType"]
    won = KEYS[[type(outcome) for outcome in outcomes].index(type(None))]
    assert await rows_and_positions(models) == ({won: rows[won]}, {"field": 1})


async def test_a_write_into_a_generation_that_is_gone_says_so(models: ReadModels, service_database: Database) -> None:
    model = models.live(plots)
    before = await model.checkpoint()
    await service_database.pool.execute("DROP SCHEMA plots_g1 CASCADE; DELETE FROM generations")
    with pytest.raises(GenerationMoved):
        await model.rows(KEYS)
    with pytest.raises(GenerationMoved):
        await model.write(before, Checkpoint({"field": 1}), {})


async def test_projectors_that_start_together_make_one_generation(models: ReadModels) -> None:
    checkpoints = await asyncio.gather(*(models.live(plots).checkpoint() for _ in range(4)))
    assert checkpoints == [Checkpoint()] * 4
    [generation] = await models.list()
    assert (generation.projection, generation.generation, generation.status) == ("plots", 1, "live")


async def test_a_paused_projection_stands_still_until_it_is_resumed(
    models: ReadModels, service_database: Database
) -> None:
    feed = MemoryFeed()
    feed.add(Planted(what="a"), 1)
    projector = Projector(plots, models.live(plots), feed, poll=0.05)
    async with running(projector):
        await eventually(lambda: projector.status.positions == {"field": 1})
        await service_database.pool.execute("INSERT INTO projection_controls VALUES ('plots', true)")
        feed.add(Planted(what="b"), 2)
        await eventually(lambda: projector.status.paused)
        assert (await rows_and_positions(models))[1] == {"field": 1}
        [generation] = await models.list()
        with pytest.raises(GenerationMoved):
            await models.live(plots).write(generation.checkpoint, Checkpoint({"field": 2}), {})
        await service_database.pool.execute("UPDATE projection_controls SET paused = false")
        await eventually(lambda: projector.status.positions == {"field": 2})
    assert await rows_and_positions(models) == (naive(feed.messages), {"field": 2})


async def test_a_generation_swapped_meanwhile_is_what_is_written_from_then_on(
    models: ReadModels, service_database: Database
) -> None:
    feed = MemoryFeed()
    for sequence in range(1, 4):
        feed.add(Planted(what="a"), sequence)
    projector = Projector(plots, models.live(plots), feed)
    async with running(projector):
        await eventually(lambda: projector.status.positions == {"field": 3})
        async with service_database.engine.begin() as connection:
            # Rebuilt only up to the first event, so what follows shows who wrote where.
            await create_generation(connection, plots, 2, "building")
            await connection.execute(sa.text("UPDATE generations SET status = 'previous' WHERE generation = 1"))
            await connection.execute(sa.text("UPDATE generations SET status = 'live' WHERE generation = 2"))
        feed.add(Planted(what="b"), 4)
        await eventually(lambda: _reached(models, {"field": 4}))
    async with models.view(plots) as view:
        assert view.generation == 2
    assert await rows_and_positions(models) == (naive(feed.messages), {"field": 4})
    old = await service_database.pool.fetchval("SELECT crops FROM plots_g1.plots")
    assert old == "aaa"


async def _reached(models: ReadModels, positions: dict[str, int]) -> bool:
    return await models.positions(plots) == positions


async def test_a_reader_sees_rows_and_positions_of_one_moment(models: ReadModels) -> None:
    feed = MemoryFeed(batch=1)
    for sequence in range(1, 101):
        feed.add(Rained(millimetres=1), sequence)
    projector = Projector(plots, models.live(plots), feed)
    await models.live(plots).checkpoint()
    seen = set()
    async with running(projector):
        while (positions := (await rows_and_positions(models))[1]) != {"sky": 100}:
            async with models.view(plots) as view:
                [*rows] = await view.rows(plots, sa.select(plots.table))
                assert sum(len(row.rain) for row in rows) == view.positions.get("sky", 0)
                seen.add(view.positions.get("sky", 0))
            assert positions.get("sky", 0) <= 100
    assert len(seen) > 3


async def test_a_view_writes_nothing(models: ReadModels) -> None:
    await models.live(plots).checkpoint()
    async with models.view(plots) as view:
        with pytest.raises(sa.exc.DBAPIError, match="read-only"):
            await view.connection.execute(
                sa.delete(plots.table), execution_options={"schema_translate_map": {None: view.schema}}
            )


async def test_a_projection_without_a_generation_cannot_be_read(models: ReadModels) -> None:
    with pytest.raises(LookupError, match="plots"):
        await rows_and_positions(models)
    assert await models.positions(plots) == {}


async def test_the_table_and_indexes_of_a_generation_are_those_of_the_projection(
    models: ReadModels, service_database: Database
) -> None:
    await models.live(plots).checkpoint()
    found: list[asyncpg.Record] = await service_database.pool.fetch(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'plots_g1'"
    )
    assert {row[0].rsplit("(", 1)[1] for row in found} == {"plot)", "crops)"}


async def test_a_row_asked_for_while_its_generation_is_swapped_and_dropped_comes_from_the_next_one(
    models: ReadModels, service_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = MemoryFeed()
    feed.add(Planted(what="a"), 1)
    async with running(Projector(plots, models.live(plots), feed)):
        await eventually(lambda: _reached(models, {"field": 1}))
    pool, fetchval = service_database.pool, service_database.pool.fetchval
    asked = 0

    async def swapped_after(*arguments: Any) -> Any:
        nonlocal asked
        number = await fetchval(*arguments)
        asked += 1
        if asked == 1:
            async with service_database.engine.begin() as connection:
                await create_generation(connection, plots, 2, "building")
            await pool.execute("""
                INSERT INTO plots_g2.plots SELECT plot, crops || '!', rain FROM plots_g1.plots;
                DELETE FROM generations WHERE generation = 1;
                UPDATE generations SET status = 'live';
                DROP SCHEMA plots_g1 CASCADE""")
        return number

    monkeypatch.setattr(pool, "fetchval", swapped_after)
    row = await models.row(plots, KEYS[0])
    assert row is not None
    assert (row.crops, asked) == ("a!", 2)
    assert await models.row(plots, KEYS[1]) is None


async def test_a_row_of_a_projection_without_a_generation_cannot_be_read(models: ReadModels) -> None:
    with pytest.raises(LookupError, match="plots"):
        await models.row(plots, KEYS[0])
