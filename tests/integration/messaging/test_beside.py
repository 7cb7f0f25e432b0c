"""Reading in a process beside gives what reading here gives, whatever happens to that process."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import psutil
import pytest
from eventually import eventually
from filling import fill, publications
from nats.aio.client import Client
from servers import Nats

from chassis.engine.ports import LogReplaced, Replayed
from chassis.messaging.beside import replay_beside
from chassis.messaging.replay import NoEvent, replay
from contracts.envelope import STREAM

FAR = 10**9


def beside(nats: Nats, **also: str) -> AsyncGenerator[list[Replayed]]:
    return replay_beside(nats.url, STREAM, ("registry", "rat"), 0, FAR, **also)


def readers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.is_running() and "chassis.messaging.beside" in child.cmdline()
    ]


async def test_it_gives_what_the_replay_gives(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(20_000))
    here = [event async for batch in replay(nats.url, STREAM, ("registry", "rat"), 0, FAR) for event in batch]
    there = [event async for batch in beside(nats) for event in batch]
    assert there == here
    assert len(there) > 0
    assert readers() == []


async def test_the_process_killed_in_the_middle_costs_no_event_and_repeats_none(
    nats: Nats, public_stream: Client
) -> None:
    await fill(public_stream, publications(30_000))
    here = [event[0] async for batch in replay(nats.url, STREAM, ("registry", "rat"), 0, FAR) for event in batch]
    places: list[int] = []
    async with aclosing(beside(nats)) as batches:
        async for batch in batches:
            if not places:
                [reader] = readers()
                reader.kill()
            places += [event[0] for event in batch]
    assert places == here


async def test_it_ends_with_who_reads(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(20_000))
    async with aclosing(beside(nats)) as batches:
        async for _ in batches:
            assert len(readers()) == 1
            break
    await eventually(lambda: readers() == [])


async def test_another_incarnation_of_the_stream_is_refused(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(10))
    with pytest.raises(LogReplaced, match="made anew"):
        async for _ in beside(nats, identity="2020-01-01T00:00:00Z"):
            pass


async def test_a_message_that_is_no_event_is_named(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(10))
    await public_stream.jetstream().publish("dinkop.v1.rat.RATHeld.350721", b"{}")
    with pytest.raises(NoEvent, match="log sequence 11") as raised:
        async for _ in beside(nats):
            pass
    assert raised.value.log_sequence == 11
