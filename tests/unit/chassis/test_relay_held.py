"""A relay that is held lets an import go first: it looks for nothing until it is woken, or the time is over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from eventually import eventually
from ledger import commit, decider, publish

from chassis.bootstrap import Service
from chassis.engine import relay as module
from chassis.engine.ports import LastPublished, PublicMessage
from chassis.engine.relay import Relay
from chassis.storage.memory import InMemoryEventStore

publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


class Log:
    """A public log that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[PublicMessage] = []

    async def last(self, service: str) -> LastPublished:
        envelopes = [message.envelope for message in self.messages[-1:]]
        return LastPublished(envelopes[0].sequence, envelopes[0].id, 0) if envelopes else LastPublished(0, None, 0)

    async def publish(self, service: str, messages: Sequence[PublicMessage], after: LastPublished) -> LastPublished:
        self.messages += messages
        return await self.last(service)


@asynccontextmanager
async def running(store: InMemoryEventStore, log: Log) -> AsyncIterator[Relay]:
    relay = Relay("ledger", store, log, publication, poll=0.01)
    await store.append(commit())
    task = asyncio.create_task(relay.run())
    try:
        await eventually(lambda: len(log.messages) == 1)
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_held_relay_publishes_nothing_until_it_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD", 3_600.0)
    store, log = InMemoryEventStore(), Log()
    async with running(store, log) as relay:
        relay.hold()
        await store.append(commit())
        with pytest.raises(AssertionError):
            await eventually(lambda: len(log.messages) > 1, 0.3)  # thirty polls
        relay.wake()
        await eventually(lambda: len(log.messages) == 2)


async def test_a_relay_that_nobody_wakes_goes_on_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD", 0.1)
    store, log = InMemoryEventStore(), Log()
    async with running(store, log) as relay:
        relay.hold()
        await store.append(commit())
        await eventually(lambda: len(log.messages) == 2)
