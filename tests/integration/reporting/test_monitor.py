"""The health monitor announces every change of health once, whatever happens to it in between."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date
from uuid import UUID

import pytest
from behind import Behind
from monitored import ANGGREK, MELATI, TODAY, TUMPANG, WAGIR, Monitored, healthy, held, registered
from swapping import put_in_place

from chassis.engine.handling import Order
from chassis.engine.ports import Checkpoint, Commit, Outcome, StoredEvent
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from contracts import rat, registry
from services.reporting import monitor as monitoring
from services.reporting.domain.announced_health import AnnounceHealth, HealthStatusChanged, decider
from services.reporting.domain.health import Status
from services.reporting.projections.health_status import projection


@pytest.fixture
async def world(service_database: Database) -> Monitored:
    """A new system."""
    world = Monitored.on(service_database)
    await world.apply()
    return world


async def probe(world: Monitored, number: int = 0) -> tuple[UUID, None, str]:
    """Tell of one more cooperative. When it is announced, the monitor has been through all that was before."""
    cooperative_id = UUID(int=1_000 + number)
    await world.tell(registered(cooperative_id))
    return cooperative_id, None, "lapsed"


async def test_a_change_of_health_is_announced_with_what_led_to_it(world: Monitored) -> None:
    async with world.watched():
        await world.tell(registered(MELATI))
        await world.has_told((MELATI, None, "lapsed"))
        await world.tell(held(MELATI, 2023))
        await world.has_told((MELATI, None, "lapsed"), (MELATI, "lapsed", "inconsistent"))
    last = (await world.events())[-1]
    assert last == HealthStatusChanged(
        before="lapsed", after="inconsistent", kecamatan_code=WAGIR, as_of=TODAY, policy="rat-3y-2024"
    )
    cause = world.feed.messages[-1].headers
    assert (await world.stored())[-1].metadata == {
        "actor": "health-monitor",
        "correlation_id": cause["ce-correlationid"],
        "causation_id": cause["ce-id"],
    }


async def test_what_changes_no_status_is_not_announced(world: Monitored) -> None:
    async with world.watched():
        await world.tell(registered(MELATI), *healthy(MELATI))
        await world.has_told((MELATI, None, "healthy"))
        await world.tell(
            registry.CooperativeRelocated(
                cooperative_id=MELATI, kecamatan_code=TUMPANG, address="x", effective_on=date(2024, 8, 1)
            ),
            rat.RATVerified(cooperative_id=MELATI, kecamatan_code=TUMPANG, book_year=2023, verified_on=TODAY),
        )
        await world.has_told((MELATI, None, "healthy"), await probe(world))


async def test_a_deadline_that_passes_is_announced_though_nothing_happened(service_database: Database) -> None:
    world = Monitored.on(service_database, today=date(2024, 6, 30))
    await world.tell(registered(MELATI), *(held(MELATI, year) for year in (2020, 2021, 2022)))
    async with world.watched():
        await world.has_told((MELATI, None, "healthy"))
        world.runtime.today = date(2024, 7, 1)
        await world.has_told((MELATI, None, "healthy"), (MELATI, "healthy", "inconsistent"))
    assert (await world.events())[-1].as_of == date(2024, 7, 1)
    assert (await world.stored())[-1].metadata == {"actor": "health-monitor"}


async def test_a_deadline_that_passed_while_nobody_watched_is_announced_at_the_start(
    service_database: Database,
) -> None:
    world = Monitored.on(service_database, today=date(2024, 6, 30))
    await world.tell(registered(MELATI), *(held(MELATI, year) for year in (2020, 2021, 2022)))
    async with world.watched():
        await world.has_told((MELATI, None, "healthy"))
    world.runtime.today = date(2024, 7, 1)
    async with world.watched():
        await world.has_told((MELATI, None, "healthy"), (MELATI, "healthy", "inconsistent"))


async def test_a_new_policy_is_announced_though_nothing_happened(
    world: Monitored, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reporting.tables.policies.FRESH", 0.0)
    await world.tell(registered(MELATI), *(held(MELATI, year) for year in (2022, 2023)))
    async with world.watched():
        await world.has_told((MELATI, None, "inconsistent"))
        await behind(
            """UPDATE policies SET valid_to = '2023-12-31';
               INSERT INTO policies
               VALUES ('rat-2y-2024', '2024-01-01', NULL, 2, '06-30', '03-31', '06-30', '12-31')"""
        )
        await world.has_told((MELATI, None, "inconsistent"), (MELATI, "inconsistent", "healthy"))
    assert (await world.events())[-1].policy == "rat-2y-2024"


async def test_a_dissolved_cooperative_is_announced_as_counting_no_more_where_it_last_was(world: Monitored) -> None:
    async with world.watched():
        await world.tell(registered(MELATI))
        await world.has_told((MELATI, None, "lapsed"))
        await world.tell(
            registry.CooperativeRelocated(
                cooperative_id=MELATI, kecamatan_code=TUMPANG, address="x", effective_on=date(2024, 8, 1)
            ),
            registry.RemovalApproved(
                cooperative_id=MELATI, kecamatan_code=TUMPANG, decree_number="1", decided_on=TODAY, authority="x"
            ),
        )
        await world.has_told((MELATI, None, "lapsed"), (MELATI, "lapsed", None))
        await world.has_told((MELATI, None, "lapsed"), (MELATI, "lapsed", None), await probe(world))
    assert (await world.events())[1].kecamatan_code == TUMPANG


async def test_a_restart_announces_nothing_twice(world: Monitored) -> None:
    await world.tell(registered(MELATI), *healthy(MELATI), registered(ANGGREK))
    once = [(MELATI, None, "healthy"), (ANGGREK, None, "lapsed")]
    async with world.watched():
        await world.has_told(*once)
    for number in range(3):
        async with world.watched():
            once.append(await probe(world, number))
            await world.has_told(*once)


async def test_killed_at_any_moment_it_misses_nothing_and_repeats_nothing(
    world: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "BATCH", 3)
    ids = [UUID(int=100 + number) for number in range(40)]
    await world.tell(*(registered(each) for each in ids))
    for moment in range(12):
        async with world.watched():
            await asyncio.sleep(moment * 0.01)
    async with world.watched():
        await world.has_told(*((each, None, "lapsed") for each in ids))


async def test_a_rebuild_announces_nothing(world: Monitored) -> None:
    await world.tell(registered(MELATI), *healthy(MELATI))
    once = [(MELATI, None, "healthy")]
    async with world.watched():
        await world.has_told(*once)
        live = world.runtime.read_models.live(projection)
        at, rows = await live.checkpoint(), await live.rows([MELATI])
        await put_in_place(world.database, projection, rows, at)
        once.append(await probe(world))
        await world.has_told(*once)
    async with world.watched():
        once.append(await probe(world, 1))
        await world.has_told(*once)


async def test_it_waits_for_the_read_model_rather_than_announce_a_past(world: Monitored) -> None:
    await world.tell(registered(MELATI), held(MELATI, 2022), held(MELATI, 2023))
    # Another generation in the place of the live one, which has read nothing yet.
    await put_in_place(world.database, projection, {}, Checkpoint())
    world.runtime.note(projection.name, {})
    async with world.watched():
        await asyncio.sleep(0.2)
        assert await world.told() == []
        world.applied = 0
        await world.apply()
        await world.has_told((MELATI, None, "inconsistent"))


async def test_a_log_that_was_made_anew_announces_nothing_twice(world: Monitored) -> None:
    await world.tell(registered(MELATI), *healthy(MELATI))
    once = [(MELATI, None, "healthy")]
    watching = asyncio.create_task(monitoring.watch(world.runtime, world.feed))
    await world.has_told(*once)
    world.feed.incarnation = "second"
    once.append(await probe(world))
    await world.has_told(*once)
    watching.cancel()


async def test_many_changes_at_once_are_all_announced(world: Monitored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "BATCH", 7)
    monkeypatch.setattr(monitoring, "MOST", 20)
    ids = [UUID(int=100 + number) for number in range(100)]
    async with world.watched() as monitor:
        once = [await probe(world)]
        await world.has_told(*once)
        monitor.calm = 60.0
        world.feed.batch = 9
        await world.tell(*(registered(each) for each in ids))
        await world.has_told(*once, *((each, None, "lapsed") for each in ids))


class Overtaken(PostgresEventStore):
    """A store that another process uses too: once, before this one reads from it or appends to it."""

    def __init__(self, database: Database, when: str, other: Callable[[], Awaitable[None]]) -> None:
        super().__init__(database.pool)
        self._others = {when: other}

    async def _let_go_first(self, when: str) -> None:
        if other := self._others.pop(when, None):
            await other()

    async def load_many(self, kind: str, ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        await self._let_go_first("load")
        return await super().load_many(kind, ids)

    async def append_many(self, commits: Sequence[Commit]) -> list[Outcome]:
        await self._let_go_first("append")
        return await super().append_many(commits)


async def announce(world: Monitored, status: Status) -> None:
    """Announce something of MELATI as another process would that thinks it leads."""
    command = AnnounceHealth(status=status, kecamatan_code=WAGIR, as_of=TODAY, policy="rat-3y-2024")
    await Monitored.on(world.database).runtime.handler(decider).handle(Order(MELATI, command))


async def test_who_was_overtaken_is_refused_by_the_version_and_compares_again(world: Monitored) -> None:
    await world.tell(registered(MELATI), *healthy(MELATI))
    world.runtime.store = Overtaken(world.database, "append", lambda: announce(world, "lapsed"))
    async with world.watched():
        # Not: healthy on top of what the other one said, without having read it.
        await world.has_told((MELATI, None, "lapsed"), (MELATI, "lapsed", "healthy"))


async def test_nothing_older_is_announced_after_something_newer(world: Monitored) -> None:
    await world.tell(registered(MELATI))

    async def go_on() -> None:
        await world.tell(*healthy(MELATI))
        await announce(world, "healthy")

    world.runtime.store = Overtaken(world.database, "load", go_on)
    async with world.watched():
        await world.has_told((MELATI, None, "healthy"))
        await world.has_told((MELATI, None, "healthy"), await probe(world))
