"""Rebuilds on PostgreSQL and NATS: the rows are those of the naive fold, and nobody notices but by reading them."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from eventually import eventually
from filling import fill
from histories import histories
from kept_running import kept_running
from projecting import Planted, Rained, message, plots
from rebuilding import rebuild_from
from replayed import NONE, PLOTS, World, a_log, heights, naive, on_the_wire, rain
from servers import Nats

from chassis.definitions.projection import Row
from chassis.engine.ports import LogMessage, LogReplaced
from chassis.engine.projector import BehindLive, SequenceGap
from chassis.engine.rebuild import MEMORY, Report, Unappliable
from chassis.messaging import stream
from chassis.replaying import Order, Outcome, accepted
from chassis.storage import generations
from chassis.storage.generations import (
    BuildingGeneration,
    CatchUp,
    RebuildReplaced,
    RebuildRunning,
    SwapBlocked,
    lease,
)
from chassis.storage.rebuilds import Rebuilds
from contracts.envelope import STREAM
from services.reporting.projections import health_status

REBUILDING = Path(__file__).parents[2] / "rebuilding.py"


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
    assert (report.events, report.total, report.state) == (4_000, 4_000, "live")
    assert report.compared is not None
    assert report.compared.same
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
    assert await world.generations() == [(1, "retired"), (2, "retired"), (3, "previous"), (4, "live")]
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
    swap = BuildingGeneration.swap

    async def meanwhile(self: BuildingGeneration, catch_up: CatchUp, record: Any) -> None:
        # Committed after the last catching up without a lock, and more while the lock is held.
        await self_written(10)
        async with kept_running(world.projector.run):

            async def with_more(positions: Mapping[str, int]) -> None:
                assert positions == heights(log)
                await self_written(10, wait=False)
                await eventually(lambda: _waiting(world))
                await catch_up(positions)

            await swap(self, with_more, record)
            await eventually(lambda: world.reached(heights(log)))

    async def self_written(count: int, *, wait: bool = True) -> None:
        more = rain(count, after=len(log))
        await world.publish(more)
        log.extend(more)
        if wait:
            await world.project(heights(log))

    monkeypatch.setattr(BuildingGeneration, "swap", meanwhile)
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
    assert await world.generations() == [(1, "retired"), (2, "previous"), (3, "live")]
    more = [message(Planted(what="a"), 1, PLOTS[0])]
    await world.publish(more)
    await world.project({"sky": 5, "field": 1})
    assert await world.rows() == naive(plots, log + more)


async def test_a_rebuild_killed_at_work_is_gone_on_with_by_the_next_one(world: World) -> None:
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

    async def again() -> Outcome:
        return await world.rebuild()  # refused for as long as the server has not noticed the death

    outcome = await eventually(again, 60)
    assert (outcome.events, outcome.state) == (8_000, "live")
    assert outcome.resumed_at > 0
    assert outcome.compared is not None
    assert outcome.compared.same
    assert await world.rows() == live
    assert await world.generations() == [(1, "previous"), (2, "live")]
    killed, done = reversed(await Rebuilds(world.database.pool).list())
    assert (killed.state, done.state, done.replaced) == ("interrupted", "live", 1)


async def test_a_process_that_rebuilds_gives_way_but_not_while_the_live_projection_waits_for_it(world: World) -> None:
    log = a_log(2_000)
    await world.publish(log)
    await world.project(heights(log))
    rebuilding = await asyncio.create_subprocess_exec(
        sys.executable, REBUILDING, world.nats.url, world.database_url, "plots", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await rebuilding.communicate()
    scheduled = json.loads(said.splitlines()[-1])["scheduled"]
    assert scheduled["replay"] == scheduled["indexes"] == scheduled["catch up"] == os.SCHED_IDLE
    # Not everybody may be scheduled as others again.
    may = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] != 0
    assert scheduled["verify"] == scheduled["swap"] == (os.SCHED_OTHER if may else os.SCHED_IDLE)


async def _written(world: World) -> bool:
    return bool(
        await world.database.pool.fetchval(
            "SELECT count(*) FROM generations WHERE status = 'building' AND log_sequence > 0"
        )
    )


async def test_a_second_rebuild_of_the_same_projection_is_refused_and_names_the_first(world: World) -> None:
    await world.publish(rain(5))
    at_work = asyncio.Event()

    async def hesitates(_: Outcome) -> bool:
        at_work.set()
        await asyncio.Event().wait()
        return True

    await world.project({"sky": 5})
    await world.database.pool.execute("UPDATE plots_g1.plots SET rain = '[7]'")
    first = asyncio.create_task(
        rebuild_from(world.nats.url, world.database_url, plots, order=Order(accept=hesitates, actor="siti"))
    )
    await at_work.wait()
    with pytest.raises(RebuildRunning, match=rf"plots is being worked on already \(rebuild by .*process {os.getpid()}"):
        await world.rebuild()
    assert await world.generations() == [(1, "live"), (2, "building")]
    await World(world.nats, world.client, world.database, world.database_url, health_status.projection).rebuild()
    first.cancel()
    await asyncio.wait([first])
    world.order = Order(accept=accepted)
    await world.rebuild()
    assert [status for name, status in await world.generations()] == ["previous", "live"] * 2


async def test_a_rebuild_that_lost_its_place_to_another_changes_nothing(world: World) -> None:
    log = rain(5)
    await world.publish(log)
    async with lease(world.database, plots):
        lost = await generations.start(world.database, plots, "building", "code")
        await world.database.pool.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
        )
        async with lease(world.database, plots):
            taken = await generations.resume(world.database, plots, "code")
            assert taken is not None
            assert taken.generation == lost.generation
            checkpoint = await world.models.live(plots).checkpoint()
            with pytest.raises(RebuildReplaced):
                await lost.write([naive(plots, log)[PLOTS[1]]], [], checkpoint)
            with pytest.raises(RebuildReplaced):
                await lost.swap(_nothing, _unrecorded)
            await lost.drop()
            assert await world.generations() == [(1, "live"), (2, "building")]
            assert await world.database.pool.fetchval("SELECT count(*) FROM plots_g2.plots") == 0


async def _unrecorded(*_: Any) -> None:
    """Nobody keeps a record."""


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


@pytest.mark.parametrize("phase", ["replay", "indexes", "verify", "catch up", "swap"])
async def test_an_interrupted_rebuild_leaves_nothing_half_done_and_goes_on_later(world: World, phase: str) -> None:
    log = rain(3_000)
    await world.publish(log)
    await world.project(heights(log))

    def interrupt(report: Report) -> None:
        if report.phase == phase:
            rebuilding.cancel()

    rebuilding = asyncio.create_task(world.rebuild(interrupt))
    with pytest.raises(asyncio.CancelledError):
        await rebuilding
    assert await world.generations() == [(1, "live"), (2, "building")]
    assert await world.rows() == naive(plots, log)
    outcome = await world.rebuild()
    assert (outcome.resumed_at > 0) == (phase != "replay")
    assert await world.generations() == [(1, "previous"), (2, "live")]
    assert await world.rows() == naive(plots, log)


async def test_what_other_code_began_is_not_gone_on_with(world: World) -> None:
    await world.publish(rain(5))
    async with lease(world.database, plots):
        await generations.start(world.database, plots, "building", "the code of yesterday")
    assert await world.generations() == [(1, "live"), (2, "building")]
    await world.rebuild()
    assert await world.generations() == [(1, "previous"), (2, "live")]
    assert await world.rows() == naive(plots, rain(5))


async def test_a_swap_waits_briefly_for_its_lock_and_tries_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish(rain(5))
    await world.project({"sky": 5})
    tries, limit = 0, generations._limit_waiting

    async def counted(connection: Any) -> None:
        nonlocal tries
        tries += 1
        await limit(connection)

    monkeypatch.setattr(generations, "_limit_waiting", counted)
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
        monkeypatch.setattr(generations, "RETIRED_SECONDS", 0.0)
        await generations.sweep(world.database, plots, 3600)
        assert await world.generations() == [(1, "retired"), (2, "previous"), (3, "live")]
        assert await view.rows(plots, sa.select(plots.table)) == rows
    await generations.sweep(world.database, plots, 3600)
    assert await world.generations() == [(2, "previous"), (3, "live")]
    await generations.sweep(world.database, plots, 0)
    await generations.sweep(world.database, plots, 0)
    assert await world.generations() == [(3, "live")]


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
