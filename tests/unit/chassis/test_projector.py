"""The projector folds every event exactly once, whatever is delivered twice, late, or not at all."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from eventually import eventually
from hypothesis import given
from hypothesis import strategies as st
from projecting import (
    KEYS,
    Harvested,
    MemoryFeed,
    MemoryReadModel,
    Planted,
    Rained,
    Thundered,
    message,
    naive,
    plots,
)

from chassis.definitions.projection import Row
from chassis.engine.ports import Checkpoint, LogMessage
from chassis.engine.projector import Projector, SequenceGap, unseen
from contracts.envelope import PublicEvent

fields = st.one_of(st.builds(Planted, what=st.sampled_from("abc")), st.just(Harvested()))
skies = st.one_of(st.builds(Rained, millimetres=st.integers(0, 9)), st.just(Thundered()))


def numbered(events: list[tuple[PublicEvent, int]]) -> list[LogMessage]:
    """Return one service's messages under its dense numbers."""
    return [message(event, number, KEYS[key]) for number, (event, key) in enumerate(events, 1)]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[LogMessage], list[list[LogMessage]]]:
    """Draw the log of two services in some interleaving, and batches that deliver it with repeats."""
    keys = st.integers(0, len(KEYS) - 1)
    waiting = [numbered(draw(st.lists(st.tuples(events, keys), max_size=12))) for events in (fields, skies)]
    log: list[LogMessage] = []
    while any(waiting):
        service = draw(st.sampled_from([messages for messages in waiting if messages]))
        log.append(replace(service.pop(0), log_sequence=len(log) + 1))
    delivered: list[LogMessage] = []
    at = 0
    while at < len(log):
        delivered.append(log[at])
        at += 1
        if draw(st.integers(0, 4)) == 0:
            at = draw(st.integers(0, at))  # the reader starts again from an earlier place
            if draw(st.booleans()) and at < len(log):
                delivered.append(log[at])
        if len(delivered) > 200:
            delivered += log[at:]
            break
    batches: list[list[LogMessage]] = []
    while delivered:
        size = draw(st.integers(1, 6))
        batches.append(delivered[:size])
        delivered = delivered[size:]
    return log, batches


@given(deliveries())
def test_any_interleaving_and_any_repeats_give_the_rows_and_positions_of_the_naive_fold(
    case: tuple[list[LogMessage], list[list[LogMessage]]],
) -> None:
    log, batches = case
    rows, positions = asyncio.run(_applied(batches))
    assert rows == naive(log)
    assert positions == {
        service: count for service in ("field", "sky") if (count := sum(m.service == service for m in log))
    }


async def _applied(batches: list[list[LogMessage]]) -> tuple[dict[Hashable, Row], dict[str, int]]:
    read_model = MemoryReadModel()
    projector = Projector(plots, read_model, MemoryFeed())
    checkpoint = await read_model.checkpoint()
    for batch in batches:
        checkpoint = await projector.apply(batch, checkpoint, "log")
    assert checkpoint.positions == read_model.at.positions
    return read_model.stored, dict(read_model.at.positions)


@given(st.lists(st.integers(0, 1), max_size=12))
def test_rows_do_not_depend_on_how_services_interleave(order: list[int]) -> None:
    waiting = [
        numbered([(Planted(what="abc"[n % 3]), n % 2) for n in range(order.count(0))]),
        numbered([(Rained(millimetres=n), n % 2) for n in range(order.count(1))]),
    ]
    one_after_another = [*waiting[0], *waiting[1]]
    interleaved = [waiting[service].pop(0) for service in order]
    assert naive(interleaved) == naive(one_after_another)
    rows, _positions = asyncio.run(_applied([interleaved])) if interleaved else ({}, {})
    assert rows == naive(one_after_another)


def test_what_was_seen_falls_away_and_the_rest_is_kept_in_order() -> None:
    batch = [message(Rained(millimetres=n), n, KEYS[0]) for n in (1, 2, 2, 3, 1, 4)]
    fresh, positions = unseen(batch, {"sky": 2, "field": 7})
    assert [m.headers["ce-sequence"] for m in fresh] == ["3", "4"]
    assert positions == {"sky": 4, "field": 7}


@pytest.mark.parametrize("sequences", [(2,), (1, 3), (1, 2, 2, 4)])
async def test_a_gap_stops_the_projector_and_leaves_rows_and_positions_untouched(sequences: tuple[int, ...]) -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed(batch=10)
    for sequence in sequences:
        feed.add(Rained(millimetres=sequence), sequence)
    projector = Projector(plots, read_model, feed)
    with pytest.raises(SequenceGap) as gap:
        await asyncio.wait_for(projector.run(), 10)
    assert gap.value.got == gap.value.have + 2
    assert f"sky events {gap.value.have + 1} to {gap.value.have + 1} are missing" in str(gap.value)
    assert (read_model.stored, read_model.at, read_model.commits) == ({}, Checkpoint(), 0)


async def test_the_reason_for_stopping_stays_visible_until_something_is_applied() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    feed.add(Rained(millimetres=1), 2)
    projector = Projector(plots, read_model, feed)
    projector.status.error = "sky event 1 is missing"
    with pytest.raises(SequenceGap):
        await asyncio.wait_for(projector.run(), 10)
    assert projector.status.error == "sky event 1 is missing"
    feed.messages.clear()
    feed.add(Rained(millimetres=1), 1)
    with running(projector):
        await eventually(lambda: projector.status.positions == {"sky": 1})
        await eventually(lambda: projector.status.error is None)


@contextmanager
def running(projector: Projector[object]) -> Iterator[asyncio.Task[None]]:  # type: ignore[type-var]
    """Run a projector in the background; its failure is the test's."""
    task = asyncio.get_running_loop().create_task(projector.run())
    try:
        yield task
    finally:
        if task.done():
            task.result()
        task.cancel()


async def test_it_follows_what_is_published_and_tells_readers_of_every_step() -> None:
    read_model, feed, told = MemoryReadModel(), MemoryFeed(), []
    projector = Projector(plots, read_model, feed, lambda name, positions: told.append((name, positions)))
    with running(projector):
        for number in range(1, 6):
            feed.add(Planted(what=str(number)), number)
            await eventually(lambda number=number: ("plots", {"field": number}) in told)
    assert read_model.stored == naive(feed.messages)
    assert projector.status.event_time is not None


async def test_after_a_write_that_failed_the_same_events_are_applied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    feed.add(Planted(what="a"), 1)
    projector = Projector(plots, read_model, feed)

    async def fails(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(read_model, "write", fails)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(projector.run(), 10)
    assert projector.status.positions == {}
    with running(projector):
        await eventually(lambda: read_model.stored == naive(feed.messages))


async def test_a_paused_projector_waits_and_asks_now_and_then() -> None:
    read_model, feed = MemoryReadModel(is_paused=True), MemoryFeed()
    feed.add(Planted(what="a"), 1)
    asked = 0
    paused = read_model.paused

    async def counted() -> bool:
        nonlocal asked
        asked += 1
        return await paused()

    read_model.paused = counted  # type: ignore[method-assign]
    projector = Projector(plots, read_model, feed, poll=0.05)
    with running(projector):
        await eventually(lambda: asked > 3)
        assert projector.status.paused
        assert feed.followed_from == []
        assert read_model.commits == 0
        read_model.is_paused = False
        await eventually(lambda: read_model.stored == naive(feed.messages))
        assert not projector.status.paused
        read_model.is_paused = True
        feed.add(Planted(what="b"), 2)
        await eventually(lambda: projector.status.paused)
        assert read_model.at.positions == {"field": 1}
        read_model.is_paused = False
        await eventually(lambda: read_model.stored == naive(feed.messages))
    assert read_model.commits == 2


async def test_a_projector_with_nothing_to_do_notices_that_another_one_has_moved_on() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    feed.add(Planted(what="a"), 1)
    projector = Projector(plots, read_model, feed)
    with running(projector):
        await eventually(lambda: projector.status.positions == {"field": 1})
        read_model.at = Checkpoint({"field": 7}, "first", 1)
        await eventually(lambda: projector.status.positions == {"field": 7})


async def test_a_log_made_anew_is_read_from_the_start_and_nothing_is_applied_twice() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    for number in range(1, 6):
        feed.add(Planted(what="abcde"[number - 1]), number)
    projector = Projector(plots, read_model, feed)
    with running(projector):
        await eventually(lambda: read_model.at.positions == {"field": 5})
        # Repaired from the stores: the same events, in another interleaving with other services.
        old, feed.messages = feed.messages, []
        feed.add(Rained(millimetres=1), 1)
        for repeated in old:
            feed.messages.append(replace(repeated, log_sequence=len(feed.messages) + 1))
        feed.incarnation = "second"
        feed.add(Planted(what="f"), 6)
        await eventually(lambda: read_model.at.positions == {"field": 6, "sky": 1})
    assert read_model.stored == naive(feed.messages)
    assert feed.followed_from == [0, 0]
    assert read_model.at.log == "second"


async def test_a_log_cut_short_is_read_from_the_start_and_nothing_is_applied_twice() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    for number in range(1, 6):
        feed.add(Planted(what="abcde"[number - 1]), number)
    projector = Projector(plots, read_model, feed)
    with running(projector):
        await eventually(lambda: read_model.at.positions == {"field": 5})
        lost, feed.messages = feed.messages[2:], feed.messages[:2]
        await eventually(lambda: len(feed.followed_from) > 1)
        feed.add(Rained(millimetres=1), 1)  # takes the place of what was lost
        feed.messages += [replace(m, log_sequence=len(feed.messages) + n) for n, m in enumerate(lost, 1)]
        await eventually(lambda: read_model.at.positions == {"field": 5, "sky": 1})
    assert read_model.stored == naive(feed.messages)
    assert feed.followed_from == [0, 0]


async def test_it_resumes_from_the_place_in_the_log_it_knows() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    for number in range(1, 6):
        feed.add(Planted(what="a"), number)
    with running(Projector(plots, read_model, feed)):
        await eventually(lambda: read_model.at.positions == {"field": 5})
    feed.add(Planted(what="b"), 6)
    with running(Projector(plots, read_model, feed)):
        await eventually(lambda: read_model.at.positions == {"field": 6})
    assert feed.followed_from == [0, 5]
    assert read_model.stored == naive(feed.messages)


async def test_a_log_made_anew_while_nobody_followed_it_is_read_from_the_start() -> None:
    read_model, feed = MemoryReadModel(), MemoryFeed()
    for number in range(1, 6):
        feed.add(Planted(what="a"), number)
    with running(Projector(plots, read_model, feed)):
        await eventually(lambda: read_model.at.positions == {"field": 5})
    repaired = MemoryFeed(incarnation="second")
    repaired.add(Rained(millimetres=1), 1)
    for number in range(1, 6):
        repaired.add(Planted(what="a"), number)
    with running(Projector(plots, read_model, repaired)):
        await eventually(lambda: read_model.at.positions == {"field": 5, "sky": 1})
    assert read_model.stored == naive(repaired.messages)
