"""Rebuilds on PostgreSQL and NATS: the rows are those of the naive fold, and nobody notices but by reading them."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from eventually import eventually
from filling import Publication, fill
from histories import histories
from kept_running import kept_running
from nats.aio.client import Client
from projecting import Harvested, Planted, Rained, Thundered, message, plots
from servers import Nats

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import LogMessage, LogReplaced
from chassis.engine.projector import Projector, SequenceGap, receive
from chassis.engine.rebuild import MEMORY, BehindLive, Report, Unappliable
from chassis.messaging import stream
from chassis.messaging.feed import JetStreamFeed
from chassis.storage import generations
from chassis.storage.database import Database
from chassis.storage.generations import BuildingGeneration, RebuildReplaced, RebuildRunning, SwapBlocked, building
from chassis.storage.read_models import Generation, ReadModels
from contracts.envelope import STREAM, PublicEvent, nats_subject
from dinkop.replays import rebuild_from
from services.reporting.projections import health_status

NONE = -(10**12)
"""No memory for rows at all: they are written out after every batch."""
PLOTS = [UUID(int=number) for number in range(1, 201)]
REBUILDING = Path(__file__).parents[2] / "rebuilding.py"


def a_log(length: int, seed: int = 1) -> list[LogMessage]:
    """Return a log of two services about 200 plots; now and then something is on it twice."""
    chance, sequences, log = random.Random(seed), {"field": 0, "sky": 0}, []
    for place in range(1, length + 1):
        if log and chance.random() < 0.05:
            log.append(chance.choice(log[-300:]))
            continue
        event = chance.choice(
            [Planted(what=chance.choice("abc")), Harvested(), Rained(millimetres=chance.randint(0, 9)), Thundered()]
        )
        log.append(numbered(event, sequences, chance.choice(PLOTS), place))
    return log


def numbered(event: PublicEvent, sequences: dict[str, int], key: UUID, place: int = 0) -> LogMessage:
    sequences[event.service] = sequences.get(event.service, 0) + 1
    return message(event, sequences[event.service], key, place)


def rain(count: int, after: int = 0) -> list[LogMessage]:
    """Return so many events of one service, one millimetre each."""
    return [message(Rained(millimetres=1), number, PLOTS[number % 7]) for number in range(after + 1, after + count + 1)]


def on_the_wire(log: Iterable[LogMessage]) -> list[Publication]:
    """Return a log as it is published; without the message ids by which the server would drop what comes twice."""
    return [
        (
            nats_subject(each.service, each.type, None),
            {name: value for name, value in each.headers.items() if name != "Nats-Msg-Id"},
            each.data,
        )
        for each in log
    ]


def distinct(log: Iterable[LogMessage]) -> list[LogMessage]:
    """Return a log without what stands on it twice, in order."""
    seen: dict[tuple[str, int], LogMessage] = {}
    for each in log:
        seen.setdefault((each.service, int(each.headers["ce-sequence"])), each)
    return list(seen.values())


def naive[R: Row](projection: Projection[R], log: Iterable[LogMessage]) -> dict[Hashable, R]:
    return projection.fold(r for r in (receive(projection, each) for each in distinct(log)) if r)


def heights(log: Iterable[LogMessage]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for each in distinct(log):
        positions[each.service] = positions.get(each.service, 0) + 1
    return positions


class World:
    """A stream, a database, and one projection between them."""

    def __init__(
        self, nats: Nats, client: Client, database: Database, database_url: str, projection: Projection[Any] = plots
    ) -> None:
        self.nats, self.client, self.database, self.database_url = nats, client, database, database_url
        self.projection = projection
        self.models = ReadModels(database)
        self.projector = Projector(projection, self.models.live(projection), JetStreamFeed(client))

    async def publish(self, log: Iterable[LogMessage]) -> None:
        await fill(self.client, on_the_wire(log))

    async def rows(self) -> dict[Hashable, Row]:
        async with self.models.view(self.projection) as view:
            rows = await view.rows(self.projection, sa.select(self.projection.table))
        return {getattr(row, row.__struct_fields__[0]): row for row in rows}

    async def positions(self) -> Mapping[str, int]:
        return await self.models.positions(self.projection)

    async def reached(self, positions: Mapping[str, int]) -> bool:
        return await self.positions() == positions

    async def project(self, positions: Mapping[str, int]) -> None:
        """Bring the live generation to these positions, as the service does."""
        async with kept_running(self.projector.run):
            await eventually(lambda: self.reached(positions), 30)

    async def rebuild(self, progress: Callable[[Report], None] = lambda report: None, memory: int = MEMORY) -> Report:
        return await rebuild_from(self.nats.url, self.database_url, self.projection, progress, memory)

    async def generations(self) -> list[tuple[int, str]]:
        """Return what is kept; nothing else may be there, by any name."""
        kept: list[Generation] = await self.models.list()
        schemas = await self.database.pool.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '_g[0-9]+$' ORDER BY nspname"
        )
        assert [s[0] for s in schemas] == sorted(f"{each.projection}_g{each.generation}" for each in kept)
        return [(each.generation, each.status) for each in kept]


@pytest.fixture
def world(nats: Nats, public_stream: Client, service_database: Database, database_url: str) -> World:
    """The projection of plots."""
    return World(nats, public_stream, service_database, database_url)


@pytest.fixture
def health(nats: Nats, public_stream: Client, service_database: Database, database_url: str) -> World:
    """The projection behind every verdict."""
    return World(nats, public_stream, service_database, database_url, health_status.projection)


@pytest.mark.parametrize("memory", [MEMORY, NONE], ids=["in memory", "written out after every batch"])
async def test_the_rows_are_those_of_the_live_generation_and_of_the_naive_fold(world: World, memory: int) -> None:
    log = a_log(4_000)
    await world.publish(log)
    await world.project(heights(log))
    live = await world.rows()
    report = await world.rebuild(memory=memory)
    assert await world.rows() == live == naive(plots, log)
    assert await world.positions() == heights(log)
    assert await world.generations() == [(1, "previous"), (2, "live")]
    assert (report.events, report.total, report.phase) == (4_000, 4_000, "done")
    assert (report.rows > len(live) + 200) == (memory == NONE)


@pytest.mark.parametrize("memory", [MEMORY, NONE], ids=["in memory", "written out after every batch"])
async def test_health_is_rebuilt_from_real_histories_as_the_naive_fold_has_it(health: World, memory: int) -> None:
    published = list(histories(3_000))
    await fill(health.client, published)
    log = [LogMessage(0, *subject.split(".")[2:4], headers, data) for subject, headers, data in published]
    await health.rebuild(memory=memory)
    rebuilt = await health.rows()
    assert {key: _compact(row) for key, row in rebuilt.items()} == naive(health_status.projection, log)
    await health.database.pool.execute("UPDATE generations SET positions = '{}', log = '', log_sequence = 0")
    await health.database.pool.execute("TRUNCATE health_status_g2.health_status")
    await health.project(heights(log))
    assert await health.rows() == rebuilt


def _compact(row: Any) -> Row:
    """PostgreSQL prints its jsonb with spaces, which mean nothing."""
    facts = {
        service: msgspec.json.encode(msgspec.json.decode(getattr(row, service))).decode()
        for service in ("registry", "rat", "mentoring")
    }
    compact: Row = msgspec.structs.replace(row, **facts)
    return compact


async def test_reads_and_writes_go_on_through_rebuild_after_rebuild(world: World) -> None:
    log = rain(1_000)
    await world.publish(log)
    await world.project(heights(log))
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            more = rain(1, after=len(log))
            await world.publish(more)
            log.extend(more)
            await asyncio.sleep(0.02)

    seen: list[tuple[int, int, int]] = []

    async def read() -> None:
        while not stop.is_set():
            async with world.models.view(plots) as view:
                rows = await view.rows(plots, sa.select(plots.table))
                seen.append((view.positions["sky"], view.generation, sum(len(row.rain) for row in rows)))

    async with kept_running(world.projector.run), asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(read())
        for _ in range(3):
            await world.rebuild()
            at = len(log)
            await eventually(lambda at=at: _read_up_to(world, at + 5))
        stop.set()
    assert await world.generations() == [(3, "previous"), (4, "live")]
    assert {generation for _, generation, _ in seen} == {1, 2, 3, 4}
    assert all(before <= after for before, after in pairwise(position for position, *_ in seen))
    assert all(position == counted for position, _, counted in seen)
    await world.project(heights(log))
    assert await world.rows() == naive(plots, log)


async def _read_up_to(world: World, position: int) -> bool:
    return (await world.positions()).get("sky", 0) >= position


async def test_what_the_live_projector_commits_last_is_not_lost_in_the_swap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rain(100)
    await world.publish(log)
    await world.project(heights(log))
    swap = BuildingGeneration._swap

    async def meanwhile(self: BuildingGeneration, catch_up: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        # Committed after the last catching up without a lock, and more while the lock is held.
        await self_written(10)
        async with kept_running(world.projector.run):

            async def with_more(positions: Mapping[str, int]) -> None:
                assert positions == heights(log)
                await self_written(10, wait=False)
                await eventually(lambda: _waiting(world))
                await catch_up(positions)

            await swap(self, with_more)
            await eventually(lambda: world.reached(heights(log)))

    async def self_written(count: int, *, wait: bool = True) -> None:
        more = rain(count, after=len(log))
        await world.publish(more)
        log.extend(more)
        if wait:
            await world.project(heights(log))

    monkeypatch.setattr(BuildingGeneration, "_swap", meanwhile)
    await world.rebuild()
    assert await world.rows() == naive(plots, log)
    assert await world.generations() == [(1, "previous"), (2, "live")]


async def _waiting(world: World) -> bool:
    return bool(
        await world.database.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_an_event_that_the_fold_cannot_apply_fails_the_whole_rebuild_by_name(world: World) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    before = await world.rows()
    [(subject, headers, _)] = on_the_wire(rain(1, after=50))
    await fill(world.client, [(subject, headers, b'{"millimetres":"much"}')])
    await world.publish(rain(10, after=51))
    with pytest.raises(Unappliable) as refusal:
        await world.rebuild()
    for part in ("plots", "event 51 of sky", "Rained", headers["ce-id"], "ValidationError", "millimetres"):
        assert part in str(refusal.value)
    assert await world.generations() == [(1, "live")]
    assert (await world.rows(), await world.positions()) == (before, {"sky": 50})


async def test_an_error_in_a_handler_fails_the_whole_rebuild_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_rained(row: Row | None, received: Any) -> Row | None:
        raise ZeroDivisionError("by zero")

    await world.publish(rain(3))
    monkeypatch.setitem(plots.by_type, ("sky", "Rained"), (Rained, on_rained))
    with pytest.raises(Unappliable, match=r"event 1 of sky \(Rained, id .*ZeroDivisionError: by zero"):
        await world.rebuild()
    assert await world.generations() == [(1, "live")]


@pytest.mark.parametrize("memory", [MEMORY, NONE], ids=["in memory", "written out after every batch"])
async def test_a_gap_fails_the_rebuild(world: World, memory: int) -> None:
    log = rain(40)
    await world.publish(log[:20] + log[21:])
    with pytest.raises(SequenceGap, match="sky events 21 to 21 are missing"):
        await world.rebuild(memory=memory)
    assert await world.generations() == [(1, "live")]
    assert (await world.rows(), await world.positions()) == ({}, {})


async def test_services_that_have_said_nothing_have_no_position(world: World) -> None:
    await world.rebuild()
    assert (await world.rows(), await world.positions()) == ({}, {})
    log = rain(5)
    await world.publish(log)
    await world.rebuild()
    assert await world.positions() == {"sky": 5}
    assert await world.generations() == [(2, "previous"), (3, "live")]
    more = [message(Planted(what="a"), 1, PLOTS[0])]
    await world.publish(more)
    await world.project({"sky": 5, "field": 1})
    assert await world.rows() == naive(plots, log + more)


async def test_a_rebuild_killed_at_work_leaves_nothing_to_the_next_one(world: World) -> None:
    log = a_log(8_000)
    await world.publish(log)
    await world.project(heights(log))
    live = await world.rows()
    async with world.database.pool.acquire() as somebody, somebody.transaction():
        # So that it can't be done before it is killed.
        await somebody.execute("SELECT FROM generations WHERE status = 'live' FOR SHARE")
        rebuilding = await asyncio.create_subprocess_exec(
            sys.executable, REBUILDING, world.nats.url, world.database_url, "plots", str(NONE)
        )
        await eventually(lambda: _written(world), 60)
        os.kill(rebuilding.pid, signal.SIGKILL)
        assert await rebuilding.wait() == -signal.SIGKILL
    assert await world.generations() == [(1, "live"), (2, "building")]
    assert await world.rows() == live

    async def again() -> Report:
        return await world.rebuild()  # refused for as long as the server has not noticed the death

    assert (await eventually(again)).events == 8_000
    assert await world.rows() == live
    assert [status for _, status in await world.generations()] == ["previous", "live"]


async def _written(world: World) -> bool:
    return bool(
        await world.database.pool.fetchval(
            "SELECT count(*) FROM generations WHERE status = 'building' AND log_sequence > 0"
        )
    )


async def test_a_second_rebuild_of_the_same_projection_is_refused(world: World) -> None:
    await world.publish(rain(5))
    async with building(world.database, plots):
        with pytest.raises(RebuildRunning, match="rebuild of plots is running"):
            await world.rebuild()
        assert await world.generations() == [(1, "live"), (2, "building")]
        await World(world.nats, world.client, world.database, world.database_url, health_status.projection).rebuild()
    await world.rebuild()
    assert [status for name, status in await world.generations()] == ["previous", "live"] * 2


async def test_a_rebuild_that_lost_its_place_to_another_changes_nothing(world: World) -> None:
    log = rain(5)
    await world.publish(log)
    lost = building(world.database, plots)
    generation = await lost.__aenter__()
    await world.database.pool.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
    )
    async with building(world.database, plots) as taken:
        assert taken.generation == generation.generation
        with pytest.raises(RebuildReplaced):
            await generation.write({PLOTS[0]: naive(plots, log)[PLOTS[1]]}, await world.models.live(plots).checkpoint())
        with pytest.raises(RebuildReplaced):
            await generation.swap(_nothing)
        await lost.__aexit__(None, None, None)
        assert await world.generations() == [(1, "live"), (2, "building")]
        assert await world.database.pool.fetchval("SELECT count(*) FROM plots_g2.plots") == 0


async def _nothing(_: Mapping[str, int]) -> None:
    """There is nothing to catch up with."""


async def test_a_nats_server_killed_in_the_replay_costs_nothing(world: World, nats: Nats) -> None:
    log = a_log(8_000)
    await world.publish(log)
    begun = asyncio.Event()
    rebuilding = asyncio.create_task(world.rebuild(lambda report: begun.set(), NONE))
    await begun.wait()
    await nats.kill()
    assert not rebuilding.done()
    await nats.start()
    report = await rebuilding
    assert report.events == 8_000
    assert await world.rows() == naive(plots, log)
    assert await world.positions() == heights(log)


@pytest.mark.parametrize("phase", ["replay", "indexes", "catch up", "swap"])
async def test_an_interrupted_rebuild_leaves_nothing_half_done(world: World, phase: str) -> None:
    log = rain(3_000)
    await world.publish(log)
    await world.project(heights(log))

    def interrupt(report: Report) -> None:
        if report.phase == phase:
            rebuilding.cancel()

    rebuilding = asyncio.create_task(world.rebuild(interrupt))
    with pytest.raises(asyncio.CancelledError):
        await rebuilding
    assert await world.generations() == [(1, "live")]
    assert await world.rows() == naive(plots, log)
    await world.rebuild()
    assert await world.generations() == [(1, "previous"), (2, "live")]


async def test_a_swap_waits_briefly_for_its_lock_and_tries_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    tries, swap = 0, BuildingGeneration._swap

    async def counted(self: BuildingGeneration, catch_up: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        nonlocal tries
        tries += 1
        await swap(self, catch_up)

    monkeypatch.setattr(BuildingGeneration, "_swap", counted)
    monkeypatch.setattr(generations, "LOCK_SECONDS", 0.05)
    async with world.database.pool.acquire() as somebody:
        transaction = somebody.transaction()
        await transaction.start()
        await somebody.execute("SELECT FROM generations WHERE status = 'live' FOR SHARE")
        rebuilding = asyncio.create_task(world.rebuild())
        await eventually(lambda: tries >= 3)
        assert await world.positions() == {"sky": 5}  # readers notice nothing
        await transaction.rollback()
    await rebuilding
    assert await world.generations() == [(1, "previous"), (2, "live")]


async def test_a_swap_that_never_gets_its_lock_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    monkeypatch.setattr(generations, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(generations, "SWAP_SECONDS", 0.3)
    async with world.database.pool.acquire() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM generations WHERE status = 'live' FOR SHARE")
        with pytest.raises(SwapBlocked, match="plots locked"):
            await world.rebuild()
    assert await world.generations() == [(1, "live")]
    assert await world.positions() == {"sky": 5}


async def test_a_generation_that_somebody_still_reads_is_dropped_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    monkeypatch.setattr(generations, "LOCK_SECONDS", 0.05)
    async with world.models.view(plots) as view:
        rows = await view.rows(plots, sa.select(plots.table))
        await world.rebuild()
        await world.rebuild()
        assert await world.generations() == [(1, "retired"), (2, "previous"), (3, "live")]
        assert await view.rows(plots, sa.select(plots.table)) == rows
    await world.rebuild()
    assert await world.generations() == [(3, "previous"), (4, "live")]


async def replaced_before_the_swap(world: World, log: list[LogMessage], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the stream made anew with `log` on it while a rebuild makes its indexes."""
    finish = BuildingGeneration.finish

    async def replace_the_stream(self: BuildingGeneration) -> None:
        await finish(self)
        await world.client.jetstream().delete_stream(STREAM)
        await stream.ensure(world.client.jetstream())
        await world.publish(log)

    monkeypatch.setattr(BuildingGeneration, "finish", replace_the_stream)


async def test_a_log_made_anew_meanwhile_fails_the_rebuild(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await replaced_before_the_swap(world, rain(60), monkeypatch)
    with pytest.raises(LogReplaced):
        await world.rebuild()
    assert await world.generations() == [(1, "live")]
    monkeypatch.undo()
    await world.rebuild()
    await world.project({"sky": 60})
    assert await world.rows() == naive(plots, rain(60))


async def test_a_log_made_anew_with_less_does_not_take_readers_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await world.client.jetstream().delete_stream(STREAM)
    await stream.ensure(world.client.jetstream())
    await world.publish(rain(40))
    with pytest.raises(BehindLive, match=r"sky events up to 40; plots has read up to 50"):
        await world.rebuild()
    assert await world.generations() == [(1, "live")]
    assert await world.positions() == {"sky": 50}
    await world.publish(rain(10, after=40))
    await world.rebuild()
    assert await world.positions() == {"sky": 50}


async def test_a_log_made_anew_with_the_same_on_it_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rain(50)
    await world.publish(log)
    await world.project(heights(log))
    await replaced_before_the_swap(world, log, monkeypatch)
    await world.rebuild()
    await world.publish(rain(10, after=50))
    await world.project({"sky": 60})
    assert await world.rows() == naive(plots, rain(60))
