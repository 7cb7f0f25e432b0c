"""Generations beside each other: who is fed, who can come back, and who goes."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from eventually import eventually
from kept_running import kept_running
from projecting import plots
from replayed import World, heights, naive, rain

from chassis.engine.ports import Checkpoint
from chassis.engine.projector import Projector
from chassis.engine.rebuild import Report
from chassis.messaging.feed import JetStreamFeed
from chassis.replaying import AfterLive, Kind, Order, Outcome
from chassis.storage import generations
from chassis.storage.generations import NothingToPutBack, lease
from chassis.storage.rebuilds import Rebuilds


async def roll_back(world: World) -> Outcome:
    world.order = Order(kind=Kind.ROLLBACK, actor="siti", reason="the numbers are wrong")
    return await world.rebuild()


async def rebuild(world: World) -> Outcome:
    world.order = Order()
    return await world.rebuild()


def previous(world: World) -> Projector[Any]:
    """Return the projector of the generation before the live one, as the service runs it."""
    model = world.models.previous(world.projection)
    return Projector(world.projection, model, JetStreamFeed(world.client), poll=0.05)


async def positions(world: World, status: str) -> Mapping[str, int]:
    [found] = [each for each in await world.models.list() if each.status == status]
    return found.checkpoint.positions


@asynccontextmanager
async def read_and_written(world: World, log: list[Any]) -> AsyncIterator[list[tuple[int, int, int]]]:
    """Read and write without a pause; yield what was seen: position, generation, and events that the rows stand for."""
    stop = asyncio.Event()
    seen: list[tuple[int, int, int]] = []

    async def write() -> None:
        while not stop.is_set():
            more = rain(1, after=len(log))
            await world.publish(more)
            log.extend(more)
            await asyncio.sleep(0.02)

    async def read() -> None:
        while not stop.is_set():
            async with world.models.view(plots) as view:
                rows = await view.rows(plots, sa.select(plots.table))
                seen.append((view.positions["sky"], view.generation, sum(len(row.rain) for row in rows)))

    async with kept_running(world.projector.run, previous(world).run), asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(read())
        yield seen
        stop.set()


# ---------------------------------------------------------------- rolling back


async def test_the_generation_before_is_kept_fed_and_comes_back_with_nothing_lost_under_reads_and_writes(
    world: World,
) -> None:
    log = rain(300)
    await world.publish(log)
    await world.project(heights(log))
    await rebuild(world)
    async with read_and_written(world, log) as seen:
        for live in (1, 2, 1):
            at = len(log)
            await eventually(partial(_fed, world, "previous", at))
            await roll_back(world)
            await eventually(partial(_fed, world, "live", at + 5))
            assert [number for number, status in await world.generations() if status == "live"] == [live]
    assert {generation for _, generation, _ in seen} == {1, 2}
    assert all(before <= after for before, after in pairwise(position for position, *_ in seen))
    assert all(position == counted for position, _, counted in seen)
    await world.project(heights(log))
    assert await world.rows() == naive(plots, log)
    found = [(each.kind, each.state) for each in reversed(await Rebuilds(world.database.pool).list())]
    assert found == [("rebuild", "live"), *[("rollback", "live")] * 3]


async def _fed(world: World, status: str, position: int) -> bool:
    return (await positions(world, status)).get("sky", 0) >= position


async def test_there_is_nothing_to_put_back_before_the_first_rebuild(world: World) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    with pytest.raises(NothingToPutBack, match="plots has no generation before the live one"):
        await roll_back(world)
    assert await world.generations() == [(1, "live")]


async def test_a_generation_of_another_version_comes_back_as_it_is_and_stands_still(world: World) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    world.projection = replace(plots, version=2)
    await rebuild(world)
    kept = previous(world)
    await world.publish(rain(10, after=50))
    async with kept_running(kept.run):
        await eventually(lambda: "generation 1 was made by version 1" in (kept.status.error or ""))
    assert await positions(world, "previous") == {"sky": 50}

    outcome = await roll_back(world)
    assert (outcome.version, outcome.replaced_version, outcome.generation) == (1, 2, 1)
    assert await world.generations() == [(1, "live"), (2, "previous")]
    assert await world.rows() == naive(plots, log)
    await world.project({"sky": 60})  # by the code that made it
    assert await world.rows() == naive(plots, rain(60))


async def test_a_live_generation_of_an_older_version_is_read_as_it_is_until_a_rebuild_replaces_it(
    world: World,
) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    newer = replace(plots, version=2)
    projector = Projector(newer, world.models.live(newer), JetStreamFeed(world.client), poll=0.05)
    await world.publish(rain(10, after=50))
    async with kept_running(projector.run):
        await eventually(lambda: "run `dinkop rebuild plots`" in (projector.status.error or ""))
        assert await world.rows() == naive(plots, log)
        assert await world.positions() == heights(log)
        world.projection = newer
        await rebuild(world)
        await eventually(partial(world.reached, {"sky": 60}))
        await eventually(lambda: projector.status.error is None)
    assert await world.rows() == naive(plots, rain(60))
    assert await world.generations() == [(1, "previous"), (2, "live")]


@pytest.mark.parametrize("then", ["rolled back again", "rebuilt"])
async def test_a_rollback_killed_before_the_swap_costs_nothing(world: World, then: str) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await rebuild(world)
    async with lease(world.database, plots):
        await generations.take_back(world.database, plots)
    assert await world.generations() == [(1, "returning"), (2, "live")]
    assert await world.rows() == naive(plots, log)
    if then == "rebuilt":
        await rebuild(world)
        assert await world.generations() == [(1, "retired"), (2, "previous"), (3, "live")]
    await roll_back(world)
    assert await world.generations() == (
        [(1, "live"), (2, "previous")]
        if then == "rolled back again"
        else [(1, "retired"), (2, "live"), (3, "previous")]
    )
    assert await world.rows() == naive(plots, log)


async def test_a_rollback_that_is_stopped_leaves_the_generation_before_fed(world: World) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await rebuild(world)

    def stop(report: Report) -> None:
        if report.phase == "swap":
            rolling.cancel()

    world.order = Order(kind=Kind.ROLLBACK)
    rolling = asyncio.create_task(world.rebuild(stop))
    with pytest.raises(asyncio.CancelledError):
        await rolling
    assert await world.generations() == [(1, "previous"), (2, "live")]
    await world.publish(rain(10, after=50))
    async with kept_running(previous(world).run):
        await eventually(partial(_fed, world, "previous", 60))


# ---------------------------------------------------------------- going


async def test_the_generation_before_is_kept_for_its_grace_and_a_minute_more(world: World) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    await rebuild(world)

    async def later(**ago: float) -> list[tuple[int, str]]:
        await world.database.pool.execute(
            "UPDATE generations SET replaced_at = replaced_at - $1::interval", timedelta(**ago)
        )
        await generations.sweep(world.database, plots, 3600)
        return await world.generations()

    assert await later(minutes=59) == [(1, "previous"), (2, "live")]
    assert await later(minutes=2) == [(1, "retired"), (2, "live")]
    assert await later(seconds=30) == [(1, "retired"), (2, "live")]
    assert await later(seconds=31) == [(2, "live")]


# ---------------------------------------------------------------- courtesy


class Behind:
    """A live projection so many events behind, one number a look."""

    def __init__(self, *lags: int, moves: bool = True) -> None:
        self.lags, self.moves, self.looks = [*lags], moves, 0

    async def heads(self, services: Collection[str]) -> dict[str, int]:
        self.looks += 1
        at = self.looks if self.moves else 0
        return dict.fromkeys(services, at + self.lags[min(self.looks, len(self.lags)) - 1])

    async def live(self) -> Checkpoint:
        return Checkpoint({"sky": self.looks if self.moves else 0})


@pytest.mark.parametrize(
    ("behind", "looks", "lag"),
    [
        (Behind(0), 1, 0),
        (Behind(90), 1, 90),
        (Behind(200, 300, 250), 3, 250),
        (Behind(200, 300, moves=False), 2, 300),
    ],
    ids=["reads along", "a little behind", "falls behind and then catches up", "stands still"],
)
async def test_a_rebuild_rests_while_the_live_projection_moves_and_yet_falls_behind(
    behind: Behind, looks: int, lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AfterLive, "REST", 0.0)
    courtesy = AfterLive(behind.live, behind, ["sky"])  # type: ignore[arg-type]
    assert await courtesy() == lag
    assert behind.looks == looks
    assert await courtesy() == lag
    assert behind.looks == looks, "it looks twice a second"
