"""A poison event is parked with what must wait behind it, in the commit that moves the checkpoint; the rest goes on."""

import asyncio
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest
from conftest import Farm
from eventually import eventually
from poisoned import naive
from projecting import KEYS, MemoryFeed, Planted, Rained, Thundered

from chassis.engine.ports import GenerationMoved
from chassis.storage.read_models import create_generation


async def test_an_event_that_cannot_be_folded_is_parked_and_the_other_keys_go_on(farm: Farm) -> None:
    farm.publish(Planted(what="a"))
    farm.publish(Planted(what="b"), broken=True)
    farm.publish(Planted(what="c"))
    farm.publish(Planted(what="d"), 1)
    farm.publish(Rained(millimetres=1))
    farm.publish(Thundered())
    await farm.project()
    assert await farm.rows() == naive(farm.projection, [farm.log[0], farm.log[3]])
    assert (await farm.models.positions(farm.projection)) == {"field": 4, "sky": 2}
    poison, *behind = await farm.aside()
    assert (poison.consumer, poison.generation, poison.parked.message.type) == ("plots", 1, "Planted")
    assert poison.parked.message.headers == farm.log[1].headers
    assert poison.parked.message.data == farm.log[1].data
    assert (poison.parked.key, poison.parked.attempts) == (str(KEYS[0]), 1)
    assert poison.parked.failure is not None
    assert poison.parked.failure.exception == "Broken: field 2"
    assert "raise Broken" in poison.parked.failure.traceback
    assert [(each.parked.message.type, each.is_poison) for each in behind] == [("Planted", False), ("Rained", False)]


async def test_what_comes_in_later_batches_and_after_a_restart_waits_too(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    projector = farm.projector()
    checkpoint = await projector.apply(farm.log, await projector.load(), "log")
    later = [farm.publish(Planted(what="b")), farm.publish(Planted(what="c"), 1)]
    checkpoint = await projector.apply(later, checkpoint, "log")
    assert await farm.sequences() == [1, 2]
    restarted = farm.projector()
    last = [farm.publish(Planted(what="d")), farm.publish(Planted(what="e"), 1)]
    await restarted.apply(last, await restarted.load(), "log")
    assert await farm.sequences() == [1, 2, 4]
    assert await farm.rows() == naive(farm.projection, [farm.log[2], farm.log[4]])


async def test_of_an_event_that_cannot_be_decoded_the_whole_subject_waits(farm: Farm) -> None:
    farm.publish(Planted(what="a"), garbled=True)
    farm.publish(Rained(millimetres=2))
    farm.publish(Rained(millimetres=3), 1)
    await farm.project()
    poison, behind = await farm.aside()
    assert (poison.parked.key, poison.parked.subject) == (None, str(KEYS[0]))
    assert behind.parked.sequence == 1
    assert (await farm.rows()).keys() == {KEYS[1]}


async def test_the_subject_of_an_event_that_cannot_be_decoded_waits_in_later_batches_and_after_a_restart_too(
    farm: Farm,
) -> None:
    projector = farm.projector()
    checkpoint = await projector.apply([farm.publish(Planted(what="a"), garbled=True)], await projector.load(), "log")
    await projector.apply([farm.publish(Planted(what="b"))], checkpoint, "log")
    assert await farm.sequences() == [1, 2]
    poison = (await farm.aside())[0]
    await farm.queues.discard((await farm.aside())[1].id, "siti", "no")  # or it would be its key that waits
    restarted = farm.projector()
    await restarted.apply([farm.publish(Planted(what="c"))], await restarted.load(), "log")
    assert await farm.sequences() == [1, 3]
    farm.mistakes.mend()
    await farm.queues.retry(poison.id)
    assert (await farm.rows())[KEYS[0]].crops == "ac"


async def test_what_shares_a_key_waits_behind_what_waits_for_its_subject(farm: Farm) -> None:
    def pairs(received: Any) -> Hashable:
        return KEYS[0] if received.subject in KEYS[:2] else KEYS[2]

    farm = Farm(farm.database, key=pairs)
    farm.publish(Planted(what="a"), 0, garbled=True)
    farm.publish(Rained(millimetres=1), 0)  # its subject waits
    farm.publish(Rained(millimetres=2), 1)  # its key does, since the event before
    farm.publish(Rained(millimetres=3), 2)
    await farm.project()
    assert [(e.parked.message.type, e.parked.sequence) for e in await farm.aside()] == [
        ("Planted", 1),
        ("Rained", 1),
        ("Rained", 2),
    ]
    farm.mistakes.mend()
    released = await farm.queues.retry((await farm.aside())[0].id)
    assert (released.applied, released.still_parked) == (3, 0)
    assert await farm.rows() == naive(farm.projection, farm.log)


@pytest.mark.parametrize("place", range(4))
async def test_a_row_that_the_database_refuses_is_parked_and_its_neighbours_are_written(farm: Farm, place: int) -> None:
    for at in range(4):
        farm.publish(Planted(what="\0" if at == place else "a"), at % 3)
    await farm.project()
    parked = await farm.aside()
    assert parked[0].parked.sequence == place + 1
    assert parked[0].parked.failure is not None
    assert "RowRefused" in parked[0].parked.failure.exception
    unparked = [each for each in farm.log if int(each.headers["ce-sequence"]) not in await farm.sequences()]
    assert await farm.rows() == naive(farm.projection, unparked)
    assert len(parked) == (2 if place == 0 else 1)  # the fourth is about the first one's plot


async def test_a_key_that_is_none_is_parked(farm: Farm) -> None:
    def wrong(received: Any) -> Hashable:
        return "no UUID" if received.sequence == 2 else received.subject

    farm = Farm(farm.database, key=wrong)
    for what in "abc":
        farm.publish(Planted(what=what))
    await farm.project()
    [poison] = await farm.aside()
    assert (poison.parked.sequence, poison.parked.key) == (2, "no UUID")
    assert (await farm.rows())[KEYS[0]].crops == "ac"


async def test_an_event_whose_envelope_lacks_something_is_parked(farm: Farm) -> None:
    farm.publish(Planted(what="a"))
    published = farm.publish(Planted(what="b"))
    farm.log[1] = replace(published, headers={k: v for k, v in published.headers.items() if k != "ce-subject"})
    farm.publish(Planted(what="c"))
    await farm.project()
    [poison] = await farm.aside()
    assert poison.parked.failure is not None
    assert "ce-subject" in poison.parked.failure.exception
    assert (await farm.rows())[KEYS[0]].crops == "ac"


async def test_what_no_handler_reads_neither_waits_nor_parks(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    farm.publish(Thundered())
    await farm.project()
    assert len(await farm.aside()) == 1


async def test_a_write_that_is_not_the_projectors_turn_parks_nothing(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    late, fast = farm.projector(), farm.projector()
    checkpoint = await late.load()
    await fast.apply(farm.log, await fast.load(), "log")
    with pytest.raises(GenerationMoved):
        await late.apply(farm.log, checkpoint, "log")
    assert await farm.sequences() == [1]


async def test_nothing_is_asked_of_the_database_for_the_sake_of_parking_while_nothing_is_parked(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = farm.projector()
    farm.publish(Planted(what="a"))
    checkpoint = await projector.apply(farm.log, await projector.load(), "log")
    asked: list[str] = []
    pool = farm.database.pool
    lend = pool._lend

    async def counted() -> Any:
        asked.append("a connection")
        return await lend()

    monkeypatch.setattr(pool, "_lend", counted)
    await projector.apply([farm.publish(Planted(what="b"))], checkpoint, "log")
    assert len(asked) == 2  # the rows, and the one statement that writes them


async def test_each_generation_has_its_own_parked_events_and_they_go_with_it(farm: Farm) -> None:
    farm.publish(Planted(what="a"), broken=True)
    await farm.project()
    pool = farm.database.pool
    await pool.execute("UPDATE generations SET status = 'previous'")
    farm.mistakes.mend()
    farm.publish(Planted(what="b"))
    async with farm.database.engine.begin() as connection:
        await create_generation(connection, farm.projection, 2, "live")
    await farm.project()
    await farm.project("previous")
    assert [(each.generation, each.parked.sequence) for each in await farm.aside()] == [(1, 1), (1, 2)]
    assert (await farm.rows())[KEYS[0]].crops == "ab"
    await pool.execute("UPDATE generations SET status = 'retired' WHERE generation = 1")
    assert await farm.aside() == []
    await pool.execute("DELETE FROM generations WHERE generation = 1")
    assert await pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_projector_notices_what_was_retried_while_it_had_nothing_to_do(farm: Farm) -> None:
    feed = MemoryFeed(farm.log)
    projector = farm.projector(feed)
    task = asyncio.create_task(projector.run())
    try:
        farm.publish(Planted(what="a"), broken=True)
        await eventually(lambda: projector.status.positions == {"field": 1})
        [poison] = await farm.aside()
        farm.mistakes.mend()
        await farm.queues.retry(poison.id)
        farm.publish(Planted(what="b"))
        await eventually(lambda: projector.status.positions == {"field": 2})
        assert (await farm.rows())[KEYS[0]].crops == "ab"
        assert await farm.aside() == []
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
