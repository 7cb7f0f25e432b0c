"""Reactions through FastStream: delivered at least once, handled once, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest
from eventually import eventually
from ledger import AccountOpened, Open, Opened, Pay, codec, decider, publish
from nats.aio.client import Client
from servers import Nats

from chassis.bootstrap import Service
from chassis.definitions import clock
from chassis.definitions.projection import Received
from chassis.definitions.reaction import Directive, Reaction
from chassis.engine.handling import Handler
from chassis.engine.ports import Commit, PublicMessage, Stream
from chassis.engine.reactions import Reactor
from chassis.messaging import stream
from chassis.messaging.connection import connect
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.subscriptions import Handle, SubscriptionLost, subscribe, watch
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.inbox import PostgresInbox
from chassis.storage.memory import InMemoryEventStore
from contracts.envelope import STREAM

publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


def react(received: Received[AccountOpened]) -> list[Directive]:
    """Open an account of ours under the same id and number."""
    return [Directive(decider, received.subject, Open(number=received.data.number))]


copying = Reaction("copy", AccountOpened, react)


class Abroad:
    """Another service: what it has published."""

    def __init__(self) -> None:
        self._store = InMemoryEventStore()
        self.messages: list[PublicMessage] = []

    async def open(self, *numbers: str) -> list[PublicMessage]:
        """Open accounts; return the messages that tell of it."""
        for number in numbers:
            at = Stream("account", clock.new_id())
            await self._store.append(Commit(at, 0, [codec.encode(Opened(number=number))], {"correlation_id": "c-1"}))
        new = [publication(event) for event in await self._store.read(len(self.messages), 1000)]
        self.messages += new
        return new

    async def publish(self, client: Client, *numbers: str) -> list[PublicMessage]:
        """Open accounts and publish it."""
        log, new = JetStreamLog(client), await self.open(*numbers)
        await log.publish("ledger", new, await log.last("ledger"))
        return new


@pytest.fixture
def store(service_database: Database) -> PostgresEventStore:
    """The event store of the service that reacts."""
    return PostgresEventStore(service_database.pool)


@pytest.fixture
def inbox(service_database: Database) -> PostgresInbox:
    """The inbox of the service that reacts."""
    return PostgresInbox(service_database.pool)


def reactor(store: PostgresEventStore, inbox: Any, reaction: Reaction = copying) -> Reactor:
    """Return a reactor that appends to `store`."""
    return Reactor(reaction, inbox, lambda of: Handler(store, of))


async def recorded(database: Database) -> dict[UUID, tuple[int, str | None]]:
    """Return the inbox: event id -> (attempts, outcome)."""
    rows = await database.pool.fetch("SELECT event_id, attempts, outcome FROM inbox")
    return {UUID(int=row[0].int): (row[1], row[2]) for row in rows}


def delivery(message: PublicMessage) -> tuple[Mapping[str, str], bytes]:
    return message.envelope.headers(), message.data


async def test_an_event_delivered_again_is_handled_once(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    [message] = await Abroad().open("1")
    for _ in range(3):
        await reactor(store, inbox).handle(*delivery(message))
    [event] = await store.read(0, 10)
    assert await recorded(service_database) == {message.envelope.id: (1, "handled")}
    assert event.metadata["causation_id"] == str(message.envelope.id)
    assert (event.metadata["correlation_id"], event.metadata["actor"]) == ("c-1", "reaction:copy")


async def test_deliveries_at_the_same_moment_append_once(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    [message] = await Abroad().open("1")
    await asyncio.gather(*(reactor(store, inbox).handle(*delivery(message)) for _ in range(4)))
    assert await store.head() == 1
    [(_, outcome)] = (await recorded(service_database)).values()
    assert outcome == "handled"


async def test_a_crash_between_the_append_and_the_inbox_does_not_turn_success_into_refusal(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    class Dies:
        begin, blames = inbox.begin, inbox.blames

        async def finish(self, *_: object) -> None:
            raise ConnectionError("killed")

    [message] = await Abroad().open("1")
    with pytest.raises(ConnectionError):
        await reactor(store, Dies()).handle(*delivery(message))
    assert await recorded(service_database) == {message.envelope.id: (1, None)}
    # The account is open by now, so deciding afresh would refuse.
    await reactor(store, inbox).handle(*delivery(message))
    assert await store.head() == 1
    assert await recorded(service_database) == {message.envelope.id: (2, "handled")}


async def test_a_refusal_is_recorded_with_its_reason_and_not_tried_again(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    [message] = await Abroad().open("1")
    await store.append(Commit(Stream("account", message.envelope.subject), 0, [codec.encode(Opened(number="9"))], {}))
    await reactor(store, inbox).handle(*delivery(message))
    await reactor(store, inbox).handle(*delivery(message))
    assert await recorded(service_database) == {message.envelope.id: (1, "refused")}
    assert await service_database.pool.fetchval("SELECT detail FROM inbox") == "An account is opened once."
    assert await store.head() == 1


async def test_a_key_that_somebody_else_holds_is_a_refusal(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    first, second = await Abroad().open("1", "1")
    for message in (first, second):
        await reactor(store, inbox).handle(*delivery(message))
    assert await recorded(service_database) == {first.envelope.id: (1, "handled"), second.envelope.id: (1, "refused")}


async def test_an_attempt_is_counted_before_it_is_made(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    seen: list[dict[UUID, tuple[int, str | None]]] = []

    class Breaks(PostgresEventStore):
        async def load(self, *_: object) -> Any:  # type: ignore[override]
            seen.append(await recorded(service_database))
            raise ConnectionError

    [message] = await Abroad().open("1")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await Reactor(copying, inbox, lambda of: Handler(Breaks(service_database.pool), of)).handle(
                *delivery(message)
            )
    assert seen == [{message.envelope.id: (1, None)}, {message.envelope.id: (2, None)}]
    await reactor(store, inbox).handle(*delivery(message))
    assert await recorded(service_database) == {message.envelope.id: (3, "handled")}


async def test_every_directive_of_one_event_is_carried_out_once(
    store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    def twice(received: Received[AccountOpened]) -> list[Directive]:
        return [*react(received), *(Directive(decider, received.subject, Pay(amount=n)) for n in (5, 0, 7))]

    dying = 2
    finish = inbox.finish

    class Dies:
        begin, blames = inbox.begin, inbox.blames

        async def finish(self, *arguments: Any) -> None:
            nonlocal dying
            dying -= 1
            if dying >= 0:
                raise ConnectionError
            await finish(*arguments)

    [message] = await Abroad().open("1")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await reactor(store, Dies(), Reaction("twice", AccountOpened, twice)).handle(*delivery(message))
    await reactor(store, Dies(), Reaction("twice", AccountOpened, twice)).handle(*delivery(message))
    assert [event.type for event in await store.read(0, 10)] == ["Opened", "Paid", "Paid"]
    assert await recorded(service_database) == {message.envelope.id: (3, "handled")}


@asynccontextmanager
async def subscribed(nats: Nats, handle: Handle) -> AsyncIterator[asyncio.Task[None]]:
    """Deliver to `handle` as a service does: a broker of its own, made anew when its subscription is lost."""

    async def follow() -> None:
        while True:
            async with connect(nats.url, "test") as broker:
                await stream.ensure(broker.connection.jetstream())
                subscribe(broker, "test-copy", AccountOpened, handle, ack_wait=1.0)
                await broker.start()
                with suppress(SubscriptionLost):
                    await watch(broker, ["test-copy"], every=0.1)

    task = asyncio.create_task(follow())
    try:
        yield task
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_published_before_and_after_the_subscription_is_handled_in_order(
    public_stream: Client, nats: Nats, store: PostgresEventStore, inbox: PostgresInbox
) -> None:
    abroad = Abroad()
    await abroad.publish(public_stream, *"abc")
    async with subscribed(nats, reactor(store, inbox).handle):
        await eventually(lambda: _head(store, 3))
        await abroad.publish(public_stream, *"def")
        await eventually(lambda: _head(store, 6))
    assert [event.stream.id for event in await store.read(0, 10)] == [m.envelope.subject for m in abroad.messages]


async def _head(store: PostgresEventStore, goal: int) -> bool:
    return await store.head() == goal


async def test_an_event_whose_handling_failed_is_delivered_again_before_any_later_one(
    public_stream: Client, nats: Nats, store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    failures = iter([True, True, False])
    inner = reactor(store, inbox)

    async def handle(headers: Mapping[str, str], data: bytes) -> None:
        if headers["ce-sequence"] == "2":
            await inbox.begin("copy", UUID(headers["ce-id"]), UUID(headers["ce-subject"]))
            if next(failures, False):
                raise ConnectionError
        await inner.handle(headers, data)

    abroad = Abroad()
    await abroad.publish(public_stream, *"abc")
    async with subscribed(nats, handle):
        await eventually(lambda: _head(store, 3))
    assert [event.stream.id for event in await store.read(0, 10)] == [m.envelope.subject for m in abroad.messages]
    assert {outcome for _, outcome in (await recorded(service_database)).values()} == {"handled"}


async def test_a_nats_server_killed_in_between_loses_and_doubles_nothing(
    public_stream: Client, nats: Nats, store: PostgresEventStore, inbox: PostgresInbox, service_database: Database
) -> None:
    abroad = Abroad()
    async with subscribed(nats, reactor(store, inbox).handle):
        for number in range(3):
            await abroad.publish(public_stream, *(f"{number}-{n}" for n in range(20)))
            await eventually(lambda: _beyond(store, len(abroad.messages) - 15))
            await nats.kill()
            await nats.start()
        await eventually(lambda: _head(store, 60), 30)
    assert [event.stream.id for event in await store.read(0, 100)] == [m.envelope.subject for m in abroad.messages]
    entries = await recorded(service_database)
    assert entries.keys() == {m.envelope.id for m in abroad.messages}
    assert {outcome for _, outcome in entries.values()} == {"handled"}


async def _beyond(store: PostgresEventStore, goal: int) -> bool:
    return await store.head() >= goal


async def test_a_service_killed_while_handling_gets_the_event_again(
    public_stream: Client, nats: Nats, store: PostgresEventStore, inbox: PostgresInbox
) -> None:
    abroad, begun = Abroad(), asyncio.Event()

    async def hang(headers: Mapping[str, str], data: bytes) -> None:
        begun.set()
        await asyncio.Event().wait()

    await abroad.publish(public_stream, *"ab")
    async with connect(nats.url, "killed") as broker:
        subscribe(broker, "test-copy", AccountOpened, hang, ack_wait=1.0)
        await broker.start()
        await asyncio.wait_for(begun.wait(), 10)
    async with subscribed(nats, reactor(store, inbox).handle):
        await eventually(lambda: _head(store, 2))
    assert [event.stream.id for event in await store.read(0, 10)] == [m.envelope.subject for m in abroad.messages]


async def test_a_stream_made_anew_is_subscribed_to_again_and_nothing_is_handled_twice(
    public_stream: Client, nats: Nats, store: PostgresEventStore, inbox: PostgresInbox
) -> None:
    abroad = Abroad()
    async with subscribed(nats, reactor(store, inbox).handle):
        await abroad.publish(public_stream, *"abc")
        await eventually(lambda: _head(store, 3))
        await public_stream.jetstream().delete_stream(STREAM)
        await eventually(lambda: stream.ensure(public_stream.jetstream()))
        log = JetStreamLog(public_stream)
        await log.publish("ledger", abroad.messages, await log.last("ledger"))
        await abroad.publish(public_stream, *"de")
        await eventually(lambda: _head(store, 5))
    assert [event.stream.id for event in await store.read(0, 10)] == [m.envelope.subject for m in abroad.messages]
