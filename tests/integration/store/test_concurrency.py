"""The event store in PostgreSQL under many hands, and under servers and connections that die."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import msgspec
import pytest
import sqlalchemy
from eventually import eventually
from ledger import commit
from servers import Postgres

from chassis.definitions import clock
from chassis.definitions.decider import Claim
from chassis.engine.ports import AlreadyClaimed, Appended, Key, StoredEvent, Stream, WrongVersion
from chassis.storage import database
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore, _as_json
from chassis.storage.migrations import HERE, migrate


@pytest.fixture
def store(service_database: Database) -> PostgresEventStore:
    """The event store of a fresh database."""
    return PostgresEventStore(service_database.pool)


@pytest.fixture
async def slow_client(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of its own."""
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


async def follow(store: PostgresEventStore, upto: int) -> list[StoredEvent]:
    """Read as a relay does: always what comes after the last position seen, in small pages."""
    seen: list[StoredEvent] = []
    while len(seen) < upto:
        seen += await store.read(seen[-1].position if seen else 0, 7)
        await asyncio.sleep(0)
    return seen


async def append_as(connection: "asyncpg.Connection[asyncpg.Record]", *commits: object) -> None:
    await connection.fetch("SELECT * FROM append($1::jsonb)", msgspec.json.encode(commits).decode())


async def test_a_reader_skips_no_event_of_a_transaction_that_commits_late(
    store: PostgresEventStore,
    service_database: Database,
    slow_client: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    others, each = 4, 10
    reader = asyncio.create_task(follow(store, upto=others * each + 3))
    slow = slow_client.transaction()
    await slow.start()
    await append_as(slow_client, _as_json(late := commit(events=3)))

    async def append_one_after_another() -> None:
        for _ in range(each):
            await store.append(commit())

    appends = [asyncio.create_task(append_one_after_another()) for _ in range(others)]
    # Whether the others wait for the slow one or overtake it is the store's affair; give them the chance.
    await eventually(lambda: _others_are_waiting_or_done(service_database, appends))
    await slow.commit()
    await asyncio.gather(*appends)
    seen = await asyncio.wait_for(reader, 20)
    assert [event.position for event in seen] == list(range(1, others * each + 4))
    assert {event.id for event in late.events} <= {event.id for event in seen}


async def _others_are_waiting_or_done(service_database: Database, appends: list[asyncio.Task[None]]) -> bool:
    waiting = await service_database.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(waiting == len(appends)) or all(task.done() for task in appends)


async def test_positions_stay_dense_when_a_transaction_is_rolled_back(
    store: PostgresEventStore, slow_client: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    slow = slow_client.transaction()
    await slow.start()
    await append_as(slow_client, _as_json(commit(events=3)))
    appending = asyncio.create_task(store.append(commit()))
    await slow.rollback()
    assert (await appending).position == 1


async def test_eight_clients_on_different_streams_get_dense_positions(store: PostgresEventStore) -> None:
    async def client() -> list[int]:
        stream_id = clock.new_id()
        return [(await store.append(commit(stream_id, version))).position for version in range(25)]

    reader = asyncio.create_task(follow(store, upto=8 * 25))
    positions = [position for each in await asyncio.gather(*(client() for _ in range(8))) for position in each]
    assert sorted(positions) == list(range(1, 201))
    assert [event.position for event in await asyncio.wait_for(reader, 20)] == list(range(1, 201))


async def test_eight_clients_on_one_stream_lose_no_update(store: PostgresEventStore) -> None:
    stream_id, refused = clock.new_id(), 0

    async def client() -> None:
        nonlocal refused
        for _ in range(10):
            while True:
                version = len(await store.load(Stream("account", stream_id)))
                try:
                    appended = await store.append(commit(stream_id, version))
                except WrongVersion:
                    refused += 1
                else:
                    assert appended.version == version + 1
                    break

    await asyncio.gather(*(client() for _ in range(8)))
    events = await store.read(0, 1000)
    assert [(event.position, event.version) for event in events] == [(n, n) for n in range(1, 81)]
    assert refused, "nobody was ever refused: the clients did not meet"


async def test_of_eight_clients_that_want_one_key_exactly_one_gets_it(store: PostgresEventStore) -> None:
    commits = [commit(take=(Claim("number", "1"),)) for _ in range(8)]
    outcomes = await asyncio.gather(*(store.append(each) for each in commits), return_exceptions=True)
    assert Counter(type(outcome) for outcome in outcomes) == {Appended: 1, AlreadyClaimed: 7}


async def test_of_eight_clients_with_one_idempotency_key_one_appends_and_all_get_its_answer(
    store: PostgresEventStore,
) -> None:
    outcomes = await asyncio.gather(*(store.append(commit(key=Key("k", "f"), by=n)) for n in range(8)))
    assert len({outcome.answer["by"] for outcome in outcomes}) == 1
    assert Counter(outcome.repeated for outcome in outcomes) == {True: 7, False: 1}
    assert await store.head() == 1


async def test_an_import_and_a_commit_that_race_for_one_idempotency_key_agree(store: PostgresEventStore) -> None:
    for number in range(20):
        key = Key(f"k{number}", "f")
        appended, _ = await asyncio.gather(store.append(commit(key=key, by="commit")), store.remember(key, {"by": "i"}))
        remembered = await store.recall(key)
        assert remembered is not None
        assert remembered.answer == appended.answer


class Load:
    """Clients that append without pause and keep what was acknowledged: event id -> position."""

    def __init__(self, store: PostgresEventStore, clients: int = 4) -> None:
        self.acknowledged: dict[UUID, int] = {}
        self.attempted: set[UUID] = set()
        self._store = store
        self._tasks = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def _client(self) -> None:
        stream_id, version = clock.new_id(), 0
        while True:
            made = commit(stream_id, version, random.choice([1, 2]))
            self.attempted |= {event.id for event in made.events}
            appended = await self._store.append(made)
            assert appended.version == version + len(made.events)
            version = appended.version
            first = appended.position - len(made.events) + 1
            self.acknowledged |= {event.id: first + n for n, event in enumerate(made.events)}

    async def grow(self, count: int) -> None:
        """Wait until `count` more events are acknowledged."""
        goal = len(self.acknowledged) + count

        def there() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return len(self.acknowledged) >= goal

        await eventually(there, 30)

    async def stop(self) -> None:
        """Stop in the middle of whatever is going on; a client that has failed fails the test."""
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome

    async def prove(self) -> None:
        """Every acknowledged event is there, once, where it was said to be; nothing else is but attempts."""
        events = await self._store.read(0, 1_000_000)
        assert [event.position for event in events] == list(range(1, len(events) + 1))
        stored = {event.id: event.position for event in events}
        assert len(stored) == len(events)
        assert {key: stored.get(key) for key in self.acknowledged} == self.acknowledged
        assert stored.keys() <= self.attempted
        versions: dict[Stream, int] = {}
        for event in events:
            versions[event.stream] = versions.get(event.stream, 0) + 1
            assert event.version == versions[event.stream]


async def test_connections_killed_during_appends_lose_and_double_nothing(
    store: PostgresEventStore, slow_client: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    load = Load(store)
    for _ in range(12):
        await load.grow(10)
        await slow_client.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
        )
    await load.grow(10)
    await load.stop()
    await load.prove()


async def test_an_append_whose_answer_was_lost_is_not_appended_again(
    service_database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = service_database.pool.fetch
    lost: list[str] = []

    async def lose_the_first_answer(query: str, *arguments: object) -> object:
        answer = await fetch(query, *arguments)
        if not lost:
            lost.append(query)
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    monkeypatch.setattr(type(service_database.pool), "fetch", lambda _, *a: lose_the_first_answer(*a))
    store = PostgresEventStore(service_database.pool)
    made = commit(events=2, take=(Claim("number", "1"),), key=Key("k", "f"), id="x")
    appended = await store.append(made)
    assert lost
    assert (appended.version, appended.position, appended.answer, appended.repeated) == (2, 2, {"id": "x"}, False)
    assert [event.id for event in await store.read(0, 10)] == [event.id for event in made.events]


async def test_a_server_killed_under_load_comes_back_with_all_it_acknowledged(
    store: PostgresEventStore, killable_postgres: Postgres
) -> None:
    load = Load(store)
    for _ in range(2):
        await load.grow(60)
        await killable_postgres.kill()
        await killable_postgres.start()
    await load.grow(60)
    await load.stop()
    await load.prove()


async def test_a_server_that_stays_away_is_not_waited_for_for_ever(
    service_database: Database, killable_postgres: Postgres
) -> None:
    store = PostgresEventStore(service_database.pool, patience=0.5)
    await store.append(commit())
    await killable_postgres.kill()
    with pytest.raises(database.LOST):
        await asyncio.wait_for(store.append(commit()), 5)
    assert not await service_database.reachable()


async def test_invalid_input_is_told_at_once_and_not_tried_again(store: PostgresEventStore) -> None:
    with pytest.raises(asyncpg.DataError):
        await asyncio.wait_for(store.load(Stream("account", "no uuid")), 2)  # type: ignore[arg-type]


async def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    async with database.connect(empty_database_url) as opened:
        await PostgresEventStore(opened.pool).append(commit(events=2))
        before = await _schema(opened)
        await migrate(empty_database_url)
        assert await _schema(opened) == before
        assert await PostgresEventStore(opened.pool).head() == 2


async def test_migrating_from_many_places_at_once_makes_one_schema(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    async with database.connect(empty_database_url) as opened:
        assert await PostgresEventStore(opened.pool).append(commit())
        newest = max(script.stem[:4] for script in (HERE / "versions").glob("0*.sql"))
        assert [row[0] for row in await opened.pool.fetch("SELECT version_num FROM alembic_version")] == [newest]


async def _schema(opened: Database) -> list[tuple[object, ...]]:
    async with opened.engine.connect() as connection:
        query = """SELECT table_name, column_name, data_type FROM information_schema.columns
                   WHERE table_schema = 'public' ORDER BY 1, 2"""
        return [tuple(row) for row in await connection.execute(sqlalchemy.text(query))]
