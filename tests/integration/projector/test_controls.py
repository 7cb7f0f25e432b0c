"""Pausing a projection: recorded with who and when, and nothing is applied from the answer on."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from eventually import eventually
from projecting import plots

from chassis.engine.ports import Checkpoint, GenerationMoved
from chassis.storage.controls import Controls
from chassis.storage.database import Database
from chassis.storage.read_models import ReadModels

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def controls(service_database: Database) -> Controls:
    """The controls of a fresh database."""
    return Controls(service_database.pool)


async def test_who_paused_a_projection_and_since_when_is_kept_until_it_is_resumed(controls: Controls) -> None:
    assert await controls.paused() == {}
    assert await controls.pause("plots", "siti")
    pause = (await controls.paused())["plots"]
    assert pause.by == "siti"
    assert pause.since is not None
    assert timedelta(0) <= datetime.now(UTC) - pause.since < timedelta(minutes=1)
    assert not await controls.pause("plots", "budi"), "it was paused already"
    assert await controls.paused() == {"plots": pause}
    assert await controls.resume("plots", "budi")
    assert not await controls.resume("plots", "budi"), "it was going already"
    assert await controls.paused() == {}
    assert await controls.pause("plots", "budi"), "and again"
    assert (await controls.paused())["plots"].by == "budi"


async def test_resuming_what_was_never_paused_leaves_nothing_behind(
    controls: Controls, service_database: Database
) -> None:
    assert not await controls.resume("plots", "siti")
    assert await service_database.pool.fetchval("SELECT count(*) FROM projection_controls") == 0


async def test_a_batch_that_is_being_written_when_a_pause_comes_is_void(
    controls: Controls, service_database: Database
) -> None:
    model = ReadModels(service_database).live(plots)
    before = await model.checkpoint()

    async def waiting(count: int) -> bool:
        return await service_database.pool.fetchval(_WAITING) == count

    async with service_database.pool.acquire() as holder, holder.transaction():
        await holder.fetch("SELECT FROM generations FOR UPDATE")
        pause = asyncio.create_task(controls.pause("plots", "siti"))
        await eventually(lambda: waiting(1))
        # It has looked whether anybody paused the projection: nobody has, yet.
        write = asyncio.create_task(model.write(before, Checkpoint({"field": 1}), {}))
        await eventually(lambda: waiting(2))
    assert await pause
    with pytest.raises(GenerationMoved):
        await write
    assert (await model.checkpoint()).positions == {}
    await controls.resume("plots", "siti")
    await model.write(await model.checkpoint(), Checkpoint({"field": 1}), {})
