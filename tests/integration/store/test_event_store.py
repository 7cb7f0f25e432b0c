"""What every event store promises, proven of the one in memory and the one in PostgreSQL alike."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from behind import Behind
from ledger import commit

from chassis.definitions import clock
from chassis.definitions.decider import Claim
from chassis.engine.ports import (
    AlreadyClaimed,
    Appended,
    Commit,
    EventStore,
    Key,
    KeyReused,
    NewEvent,
    StoredEvent,
    Stream,
    WrongVersion,
)
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.memory import InMemoryEventStore


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> EventStore:
    """A fresh event store of either kind."""
    if request.param == "memory":
        return InMemoryEventStore()
    return PostgresEventStore(request.getfixturevalue("service_database").pool)


async def everything(store: EventStore) -> tuple[list[StoredEvent], dict[str, list[object]]]:
    """Return all that a refusal must leave as it was."""
    return await store.read(0, 1000), dict(await store.holders("number", ["1", "2", "3"]))


def events_of(made: Commit) -> list[tuple[object, ...]]:
    return [(e.id, e.type, e.schema_version, json.loads(e.data)) for e in made.events]


async def test_an_appended_event_is_read_back_whole(store: EventStore) -> None:
    before = clock.now() - timedelta(seconds=5)
    made = Commit(
        stream=Stream("account", clock.new_id()),
        expected=0,
        events=[NewEvent(clock.new_id(), "Opened", 3, '{"number": "Ünï ☂ \\" \\\\", "nested": {"list": [1, null]}}')],
        metadata={"actor": "somebody", "correlation_id": "c", "nothing": None},
    )
    appended = await store.append(made)
    [event] = await store.load(made.stream)
    assert (event.position, event.version, event.stream) == (1, 1, made.stream)
    assert (event.id, event.type, event.schema_version) == (made.events[0].id, "Opened", 3)
    assert json.loads(event.data) == json.loads(made.events[0].data)
    assert event.metadata == made.metadata
    assert before < event.recorded_at < clock.now() + timedelta(seconds=5)
    assert event.recorded_at.tzinfo is not None
    assert event.recorded_at.astimezone(UTC) == appended.recorded_at


async def test_an_append_answers_the_new_version_the_last_position_and_the_time(store: EventStore) -> None:
    first = await store.append(commit(events=2))
    second = await store.append(made := commit(events=3, colour="red"))
    assert (first.version, first.position, first.repeated) == (2, 2, False)
    assert (second.version, second.position, second.answer) == (3, 5, {"colour": "red"})
    assert {event.recorded_at for event in await store.load(made.stream)} == {second.recorded_at}


async def test_versions_are_dense_in_a_stream_and_positions_in_the_store(store: EventStore) -> None:
    one, two = clock.new_id(), clock.new_id()
    for number in range(4):
        await store.append(commit(one, number))
        await store.append(commit(two, 2 * number, 2))
    events = await store.read(0, 100)
    assert [event.position for event in events] == list(range(1, 13))
    assert [event.version for event in events if event.stream.id == one] == [1, 2, 3, 4]
    assert [event.version for event in events if event.stream.id == two] == list(range(1, 9))


async def test_streams_of_two_kinds_under_one_id_are_two_streams(store: EventStore) -> None:
    made = commit()
    await store.append(made)
    other = Stream("other", made.stream.id)
    assert await store.load(other) == []
    await store.append(Commit(other, 0, commit().events, {}))
    assert [len(await store.load(stream)) for stream in (made.stream, other)] == [1, 1]
    assert list(await store.load_many("other", [made.stream.id])) == [made.stream.id]


async def test_recorded_times_never_decrease(store: EventStore) -> None:
    outcomes = [await store.append(commit()) for _ in range(5)]
    times = [outcome.recorded_at for outcome in outcomes]
    assert times == sorted(times)


async def test_a_clock_that_steps_back_does_not_reorder_recorded_times() -> None:
    times = iter([datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])
    store = InMemoryEventStore(lambda: next(times))
    first, second = await store.append(commit()), await store.append(commit())
    assert first.recorded_at == second.recorded_at


async def test_a_clock_that_steps_back_does_not_reorder_recorded_times_in_postgresql(
    service_database: Database, behind: Behind
) -> None:
    store = PostgresEventStore(service_database.pool)
    await store.append(commit())
    await behind("UPDATE events SET recorded_at = recorded_at + interval '1 hour'")
    second = await store.append(commit())
    [first] = await store.read(0, 1)
    assert second.recorded_at == first.recorded_at


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
async def test_an_append_on_another_version_is_refused_and_changes_nothing(store: EventStore, expected: int) -> None:
    made = commit(events=2)
    await store.append(made)
    before = await everything(store)
    late = commit(made.stream.id, expected, take=(Claim("number", "1"),), key=Key("k", "f"))
    with pytest.raises(WrongVersion) as refused:
        await store.append(late)
    assert (refused.value.expected, refused.value.actual) == (expected, 2)
    assert await everything(store) == before
    assert await store.recall(Key("k", "f")) is None
    assert await store.event(late.events[0].id) is None


async def test_the_same_event_ids_again_give_the_first_outcome(store: EventStore) -> None:
    made = commit(events=3, take=(Claim("number", "1"),), key=Key("k", "f"), id="x")
    first = await store.append(made)
    await store.append(commit(made.stream.id, 3))
    before = await everything(store)
    again = await store.append(made)
    assert again == first
    assert await everything(store) == before


async def test_a_key_held_by_another_stream_is_refused_naming_the_holder(store: EventStore) -> None:
    holder = commit(take=(Claim("number", "1"),))
    await store.append(holder)
    before = await everything(store)
    rival = commit(take=(Claim("number", "2"), Claim("number", "1")), key=Key("k", "f"))
    with pytest.raises(AlreadyClaimed) as refused:
        await store.append(rival)
    assert (refused.value.claim, refused.value.holder) == (Claim("number", "1"), holder.stream.id)
    assert await everything(store) == before
    assert await store.recall(Key("k", "f")) is None


@pytest.mark.parametrize(
    ("held", "wanted", "granted"),
    [(None, None, False), ("a", None, False), (None, "a", False), ("a", "a", False), ("a", "b", True)],
)
async def test_two_streams_hold_one_key_only_under_qualifiers_that_differ(
    store: EventStore, held: str | None, wanted: str | None, granted: bool
) -> None:
    first, second = commit(take=(Claim("number", "1", held),)), commit(take=(Claim("number", "1", wanted),))
    await store.append(first)
    [outcome] = await store.append_many([second])
    assert isinstance(outcome, Appended if granted else AlreadyClaimed)
    holders = [(held, first.stream.id)] + [(wanted, second.stream.id)] * granted
    assert sorted((await store.holders("number", ["1"]))["1"], key=str) == sorted(holders, key=str)


async def test_a_third_stream_is_refused_when_any_holder_has_its_qualifier(store: EventStore) -> None:
    await store.append(commit(take=(Claim("number", "1", "a"),)))
    await store.append(second := commit(take=(Claim("number", "1", "b"),)))
    with pytest.raises(AlreadyClaimed) as refused:
        await store.append(commit(take=(Claim("number", "1", "b"),)))
    assert refused.value.holder == second.stream.id


async def test_the_same_key_in_another_space_is_another_key(store: EventStore) -> None:
    await store.append(commit(take=(Claim("number", "1"),)))
    await store.append(other := commit(take=(Claim("name", "1"),)))
    assert await store.holders("name", ["1", "2"]) == {"1": [(None, other.stream.id)]}


async def test_a_released_key_is_free_for_others(store: EventStore) -> None:
    first, second = commit(take=(Claim("number", "1"),)), commit(take=(Claim("number", "1"),))
    await store.append(first)
    swap = commit(first.stream.id, 1, release=(Claim("number", "1"),), take=(Claim("number", "2"),))
    await store.append(swap)
    await store.append(second)
    assert await store.holders("number", ["1", "2", "3"]) == {
        "1": [(None, second.stream.id)],
        "2": [(None, first.stream.id)],
    }


async def test_a_stream_releases_only_what_it_holds_itself(store: EventStore) -> None:
    holder = commit(take=(Claim("number", "1"),))
    await store.append(holder)
    await store.append(commit(release=(Claim("number", "1"),)))
    assert await store.holders("number", ["1"]) == {"1": [(None, holder.stream.id)]}


@pytest.mark.parametrize("released", [True, False])
async def test_a_stream_may_change_the_qualifier_of_a_key_it_holds(store: EventStore, released: bool) -> None:
    made = commit(take=(Claim("number", "1"),))
    await store.append(made)
    release = (Claim("number", "1"),) if released else ()
    await store.append(commit(made.stream.id, 1, release=release, take=(Claim("number", "1", "a"),)))
    assert await store.holders("number", ["1"]) == {"1": [("a", made.stream.id)]}


async def test_a_repeated_idempotency_key_gets_the_first_answer(store: EventStore) -> None:
    made = commit(events=2, key=Key("k", "f"), id="first")
    first = await store.append(made)
    await store.append(commit(made.stream.id, 2))
    again = await store.append(commit(key=Key("k", "f"), id="second"))
    assert again.repeated
    assert not first.repeated
    assert (again.version, again.position, again.recorded_at) == (2, 2, first.recorded_at)
    assert again.answer == {"id": "first"}
    assert await store.head() == 3
    assert await store.recall(Key("k", "f")) == again


async def test_an_idempotency_key_with_another_request_is_refused(store: EventStore) -> None:
    await store.append(commit(key=Key("k", "f")))
    before = await everything(store)
    with pytest.raises(KeyReused):
        await store.append(commit(key=Key("k", "other")))
    with pytest.raises(KeyReused):
        await store.recall(Key("k", "other"))
    assert await everything(store) == before


async def test_the_answer_of_other_work_is_remembered_once(store: EventStore) -> None:
    key = Key("import", "f")
    assert await store.recall(key) is None
    await store.remember(key, {"rows": 3})
    await store.remember(key, {"rows": 4})
    remembered = await store.recall(key)
    assert remembered is not None
    assert remembered.answer == {"rows": 3}
    assert remembered.repeated


async def test_remembering_another_request_under_a_used_key_is_refused(store: EventStore) -> None:
    await store.remember(Key("import", "f"), {"rows": 3})
    with pytest.raises(KeyReused):
        await store.remember(Key("import", "other"), {"rows": 4})
    with pytest.raises(KeyReused):
        await store.append(commit(key=Key("import", "other")))


async def test_of_many_commits_each_succeeds_or_is_refused_on_its_own(store: EventStore) -> None:
    known = commit(take=(Claim("number", "1"),), key=Key("used", "f"), id="known")
    await store.append(known)
    fresh, late = commit(events=2, take=(Claim("number", "2"),)), commit(known.stream.id, 0)
    outcomes = await store.append_many(
        [
            fresh,
            late,
            commit(take=(Claim("number", "1"),)),
            commit(take=(Claim("number", "2"),)),  # taken by the first of this very call
            commit(key=Key("used", "other")),
            commit(key=Key("used", "f")),
            commit(fresh.stream.id, 2),  # on what the first of this call has made
            known,
        ]
    )
    kinds = [Appended, WrongVersion, AlreadyClaimed, AlreadyClaimed, KeyReused, Appended, Appended, Appended]
    assert [type(outcome) for outcome in outcomes] == kinds
    positions = [outcome.position for outcome in outcomes if isinstance(outcome, Appended)]
    assert positions == [3, 1, 4, 1]
    assert [event.position for event in await store.read(0, 100)] == [1, 2, 3, 4]
    assert (await store.holders("number", ["2"]))["2"] == [(None, fresh.stream.id)]


async def test_appending_nothing_is_nothing(store: EventStore) -> None:
    assert await store.append_many([]) == []
    assert await store.head() == 0


async def test_loading_after_a_version_gives_what_followed(store: EventStore) -> None:
    made = commit(events=5)
    await store.append(made)
    assert [event.version for event in await store.load(made.stream, 3)] == [4, 5]
    assert await store.load(made.stream, 5) == []
    assert await store.load(Stream("account", clock.new_id())) == []


async def test_many_streams_are_loaded_at_once_without_the_absent(store: EventStore) -> None:
    one, two, three = commit(events=2), commit(events=1), commit()
    await store.append_many([one, two, three])
    await store.append(commit(one.stream.id, 2))
    loaded = await store.load_many("account", [one.stream.id, two.stream.id, clock.new_id()])
    assert {key: [event.version for event in events] for key, events in loaded.items()} == {
        one.stream.id: [1, 2, 3],
        two.stream.id: [1],
    }
    assert await store.load_many("account", []) == {}


async def test_the_log_is_read_page_by_page(store: EventStore) -> None:
    made = commit(events=7)
    await store.append(made)
    pages = [await store.read(after, 3) for after in (0, 3, 6, 7)]
    assert [[event.position for event in page] for page in pages] == [[1, 2, 3], [4, 5, 6], [7], []]
    assert [event.id for page in pages for event in page] == [event.id for event in made.events]


async def test_the_head_is_the_last_position(store: EventStore) -> None:
    assert await store.head() == 0
    await store.append(commit(events=4))
    assert await store.head() == 4


async def test_an_event_is_found_by_its_id(store: EventStore) -> None:
    made = commit(events=3)
    await store.append(made)
    found = await store.event(made.events[1].id)
    assert found is not None
    assert found.position == 2
    assert await store.event(clock.new_id()) is None
