"""Comparing a store with the log finds what is wrong, whatever it is, and nothing where nothing is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger import Opened, codec, commit, decider, publish

from chassis.bootstrap import Service
from chassis.definitions import clock
from chassis.engine import reconcile
from chassis.engine.ports import Commit, PublicMessage, Replayed, Stream
from chassis.engine.reconcile import Comparison, Finding, compare
from chassis.messaging.replay import written_out
from chassis.storage.memory import InMemoryEventStore

publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


async def a_store(events: int) -> InMemoryEventStore:
    store = InMemoryEventStore()
    await store.append_many([commit(events=1) for _ in range(events)])
    return store


async def on_the_log(store: InMemoryEventStore) -> list[Replayed]:
    """Everything in the store as the log has it."""
    return [published(publication(event)) for event in await store.read(0, 1_000_000)]


def published(message: PublicMessage) -> Replayed:
    envelope = message.envelope
    return written_out(0, f"{envelope.service}.{envelope.type}".encode(), envelope, message.data)


async def found(store: InMemoryEventStore, log: Sequence[Replayed], stored: int | None = None) -> Finding:
    comparison = Comparison("ledger", store, publication)

    async def batches() -> AsyncIterator[Sequence[Replayed]]:
        for at in range(0, len(log), 3):
            yield log[at : at + 3]

    strangers = await compare({"ledger": comparison}, batches(), lambda _: None)
    assert strangers.events == sum(not event[1].startswith(b"ledger.") for event in log)
    return await comparison.finish(await store.head() if stored is None else stored)


async def test_a_log_that_has_everything_once_and_in_order_is_fine() -> None:
    store = await a_store(7)
    finding = await found(store, await on_the_log(store))
    assert finding.fine
    assert not finding.damaged
    assert (finding.stored, finding.published) == (7, 7)


async def test_what_is_not_published_yet_is_missing_at_the_end_and_no_damage() -> None:
    store = await a_store(7)
    finding = await found(store, (await on_the_log(store))[:4])
    assert (finding.missing.ranges, finding.unpublished) == ([(5, 7)], 3)
    assert not finding.fine
    assert not finding.damaged


async def test_what_is_stored_and_published_meanwhile_does_no_harm() -> None:
    store = await a_store(7)
    assert (await found(store, await on_the_log(store), stored=5)).fine


async def test_a_lost_log_lacks_everything() -> None:
    store = await a_store(7)
    finding = await found(store, [])
    assert (finding.missing.ranges, finding.unpublished, finding.damaged) == ([(1, 7)], 7, False)


async def test_a_hole_is_damage() -> None:
    store = await a_store(7)
    log = await on_the_log(store)
    finding = await found(store, log[:2] + log[4:])
    assert (finding.missing.ranges, finding.unpublished, finding.damaged) == ([(3, 4)], 0, True)


async def test_an_event_after_a_later_one_is_late_and_not_missing() -> None:
    store = await a_store(5)
    one, two, three, four, five = await on_the_log(store)
    finding = await found(store, [one, three, four, two, five])
    assert (finding.late.ranges, finding.missing.events, finding.doubled.events) == ([(2, 2)], 0, 0)
    assert finding.damaged


async def test_an_event_that_stands_there_again_is_doubled() -> None:
    store = await a_store(3)
    one, two, three = await on_the_log(store)
    finding = await found(store, [one, two, one, three, three])
    assert (finding.doubled.events, finding.doubled.ranges) == (2, [(1, 1), (3, 3)])
    assert finding.damaged


async def test_an_event_of_another_id_is_foreign_and_does_not_stand_for_the_stores_own() -> None:
    store, other = await a_store(4), await a_store(4)
    log, foreign = await on_the_log(store), await on_the_log(other)
    finding = await found(store, [log[0], foreign[1], *log[2:]])
    assert (finding.foreign.ranges, finding.missing.ranges) == ([(2, 2)], [(2, 2)])
    assert finding.damaged
    assert not finding.behind


@pytest.mark.parametrize("stored", [0, 3])
async def test_a_store_that_lacks_the_logs_last_event_is_behind(stored: int) -> None:
    newer, older = await a_store(5), await a_store(stored)
    finding = await found(older, await on_the_log(newer))
    assert finding.behind
    assert finding.foreign.ranges == [(1, 5)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, b"ledger.AccountClosed"),
        (4, str(clock.new_id()).encode()),
        (5, b"9"),
        (6, b"2024-11-14T03:00:00.000000Z"),
        (7, b'{"amount":7}'),
        (7, b"{"),
        (7, b"{}"),
    ],
    ids=["type", "subject", "stream version", "time", "data", "no data", "data that lacks something"],
)
async def test_an_event_that_says_something_else_differs(place: int, value: bytes) -> None:
    store = await a_store(3)
    log = await on_the_log(store)
    changed = (*log[1][:place], value, *log[1][place + 1 :])
    finding = await found(store, [log[0], changed, log[2]])  # type: ignore[list-item]
    assert finding.differing.ranges == [(2, 2)]
    assert finding.damaged


async def test_a_field_added_to_the_contract_since_an_event_was_published_is_no_difference() -> None:
    store = InMemoryEventStore()
    await store.append(Commit(Stream("account", clock.new_id()), 0, [codec.encode(Opened(number="21"))], {}))
    [event] = await on_the_log(store)
    assert (await found(store, [(*event[:7], b'{"number":"21"}')])).fine
    assert not (await found(store, [(*event[:7], b'{"number":"21","kecamatan_code":null}')])).fine


async def test_messages_of_no_service_are_strangers() -> None:
    store = await a_store(2)
    log = await on_the_log(store)
    stranger = (b"5", b"", b"0", b"", b"", b"0", b"", b"")
    assert (await found(store, [log[0], stranger, log[1]])).fine


async def test_digests_are_the_same_for_the_same_log_and_tell_where_two_copies_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "RANGE", 3)
    store = await a_store(8)
    log = await on_the_log(store)
    digests = (await found(store, log)).digests
    assert [(each.first, each.last, each.events) for each in digests] == [(1, 3, 3), (4, 6, 3), (7, 8, 2)]
    assert (await found(store, log)).digests == digests
    log[4] = (*log[4][:7], b'{"amount":2}')
    other = (await found(store, log)).digests
    assert [mine == theirs for mine, theirs in zip(digests, other, strict=True)] == [True, False, True]


async def test_whatever_is_wrong_only_so_many_places_are_kept() -> None:
    store = await a_store(2 * reconcile.NAMED + 50)
    log = await on_the_log(store)
    finding = await found(store, [event for event in log if int(event[2]) % 2])
    assert finding.missing.events == reconcile.NAMED + 25
    assert len(finding.missing.ranges) == reconcile.NAMED


@given(st.data())
def test_any_damage_is_found_as_a_naive_look_at_everything_finds_it(data: st.DataObject) -> None:
    async def check() -> None:
        store, other = await a_store(6), await a_store(8)
        own, foreign = await on_the_log(store), await on_the_log(other)
        log = data.draw(st.lists(st.sampled_from(own + foreign), max_size=12))
        finding = await found(store, log)
        assert finding == replace(naive(own, log), digests=finding.digests)
        assert finding.fine == (log == own)

    asyncio.run(check())


def naive(own: list[Replayed], log: list[Replayed]) -> Finding:
    """What is wrong with a log, by looking at all of it at once."""
    finding = Finding("ledger", stored=len(own), published=len(log))
    mine = [event for event in log if event in own]
    numbers = [int(event[2]) for event in mine]
    highest = max(numbers, default=0)
    for number in range(1, len(own) + 1):
        if number not in numbers:
            finding.missing.add(number)
    finding.unpublished = len(own) - highest
    for at, event in enumerate(log):
        if event not in own:
            finding.foreign.add(int(event[2]))
        elif event in log[:at]:
            finding.doubled.add(int(event[2]))
        elif any(before in own and int(before[2]) > int(event[2]) for before in log[:at]):
            finding.late.add(int(event[2]))
    finding.behind = bool(log) and log[-1] not in own
    return finding
