"""Commands pass only while the store is proven to have what the world was told, and know why not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from eventually import eventually

from chassis.definitions import clock
from chassis.engine import gate as module
from chassis.engine.gate import Gate, NotProven, StoreBehindLog, keep_proving, prove
from chassis.engine.ports import LastPublished


class FakeSession:
    """A connection to a store with one event at each of its positions."""

    def __init__(self, events: list[UUID]) -> None:
        self.ended = asyncio.Event()
        self._events = events

    async def event_at(self, position: int) -> UUID | None:
        return self._events[position - 1] if 0 < position <= len(self._events) else None


@dataclass
class World:
    """A store and a public log, each of which may be away."""

    stored: list[UUID]
    told: list[UUID]
    nats_is_away: bool = False
    database_is_away: bool = False
    looks: int = 0
    _end: list[Callable[[], None]] = field(default_factory=list)

    async def last(self, service: str) -> LastPublished:
        self.looks += 1
        if self.nats_is_away:
            raise TimeoutError
        return LastPublished(len(self.told), self.told[-1] if self.told else None, 0)

    async def publish(self, *_: object) -> LastPublished:
        raise AssertionError("the gate never publishes")

    @asynccontextmanager
    async def session(self, ended: Callable[[], None]) -> AsyncIterator[FakeSession]:
        if self.database_is_away:
            raise OSError("no database")
        session = FakeSession(self.stored)

        def end() -> None:
            session.ended.set()
            ended()

        self._end.append(end)
        yield session

    def disconnect(self) -> None:
        """End the connection to the database."""
        self._end.pop()()


@asynccontextmanager
async def proving(world: World) -> AsyncIterator[Gate]:
    gate = Gate()
    task = asyncio.create_task(keep_proving("ledger", world.session, world, gate))
    try:
        yield gate
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(module, "_PAUSE", 0.02)


def ids(count: int) -> list[UUID]:
    return [clock.new_id() for _ in range(count)]


@pytest.mark.parametrize("published", [0, 2, 3])
async def test_commands_pass_once_the_store_is_proven_to_have_the_logs_last_event(published: int) -> None:
    stored = ids(3)
    async with proving(World(stored, stored[:published])) as gate:
        with pytest.raises(NotProven):  # not before, and without waiting where nobody proves
            await asyncio.wait_for(Gate().passed(), 1)
        await gate.passed()
        assert gate.refusal is None


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_store_that_lacks_what_the_world_was_told_takes_no_command(lost: int) -> None:
    told = ids(3)
    async with proving(World(told[:-lost], told)) as gate:
        await eventually(lambda: gate.refusal and "restore the newest backup" in gate.refusal)
        with pytest.raises(StoreBehindLog, match=r"number 3 .* none there"):
            await gate.passed()


async def test_a_store_that_has_another_event_there_takes_no_command() -> None:
    told = ids(3)
    async with proving(World([*told[:2], *ids(5)], told)) as gate:
        await eventually(lambda: gate.refusal and "but this database has event" in gate.refusal)


async def test_a_command_waits_for_a_proof_that_is_under_way() -> None:
    world = World([], [], nats_is_away=True)
    async with proving(world) as gate:
        waiting = asyncio.create_task(gate.passed())
        await eventually(lambda: world.looks)
        world.nats_is_away = False
        await waiting


async def test_without_nats_a_process_that_starts_takes_no_command_until_nats_answers() -> None:
    world = World([], [], nats_is_away=True)
    async with proving(world) as gate:
        await eventually(lambda: world.looks > 2)
        with pytest.raises(NotProven, match="see that NATS and PostgreSQL run"):
            await gate.passed()
        world.nats_is_away = False
        await eventually(lambda: gate.refusal is None)


async def test_nats_going_away_changes_nothing_for_what_was_proven() -> None:
    world = World([], [])
    async with proving(world) as gate:
        await gate.passed()
        world.nats_is_away, looked = True, world.looks
        await eventually(lambda: world.looks > looked + 2)
        assert gate.refusal is None


async def test_the_gate_closes_the_moment_the_database_connection_ends_and_opens_with_a_new_proof() -> None:
    world = World([], [])
    async with proving(world) as gate:
        await gate.passed()
        world.database_is_away = True
        world.disconnect()
        assert gate.refusal  # at once: nobody else has had a turn since
        with pytest.raises(NotProven):
            await gate.passed()
        world.database_is_away = False
        await eventually(lambda: gate.refusal is None)


async def test_a_proof_through_a_connection_that_ended_meanwhile_opens_nothing() -> None:
    world = World([], [], database_is_away=True)
    ended = asyncio.Event()

    class Ending(FakeSession):
        async def event_at(self, position: int) -> UUID | None:
            self.ended.set()
            ended.set()
            return None

    @asynccontextmanager
    async def once(_: Callable[[], None]) -> AsyncIterator[FakeSession]:
        if ended.is_set():
            raise OSError("no database")
        yield Ending([])

    gate = Gate()
    task = asyncio.create_task(keep_proving("ledger", once, world, gate))
    await ended.wait()
    with pytest.raises(NotProven):
        await gate.passed()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_with_the_database_and_nats_both_restarted_the_proof_is_needed_again() -> None:
    world = World([], [])
    async with proving(world) as gate:
        await gate.passed()
        world.nats_is_away = True
        world.disconnect()
        looked = world.looks
        await eventually(lambda: world.looks > looked + 2)
        assert gate.refusal


async def test_a_store_replaced_without_a_connection_lost_is_noticed() -> None:
    stored = ids(3)
    world = World(stored, list(stored))
    async with proving(world) as gate:
        await gate.passed()
        stored.pop()
        await eventually(lambda: gate.refusal)
        with pytest.raises(StoreBehindLog):
            await gate.passed()


def test_a_log_that_was_lost_contradicts_no_store() -> None:
    prove("ledger", LastPublished(0, None, 0), clock.new_id())
