"""An event that a reaction can't handle is parked with what comes later of its subject; all others go on."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from eventually import eventually
from ledger import AccountPaid, Opened, Paid, Pay, codec, decider, publish
from nats.aio.client import Client
from servers import Nats

from chassis.bootstrap import Service
from chassis.definitions.projection import Received
from chassis.definitions.reaction import Directive, Reaction
from chassis.engine.handling import Handler
from chassis.engine.ports import Commit, PublicMessage, Stream
from chassis.engine.reactions import ATTEMPTS, Reactor
from chassis.messaging import stream
from chassis.messaging.connection import connect
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.subscriptions import subscribe
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.inbox import PostgresInbox
from chassis.storage.memory import InMemoryEventStore
from chassis.storage.parked import NotParked, ParkedEvents
from chassis.storage.reaction_queues import NoSuchReaction, ReactionQueues

publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


class Broken(Exception):
    """What the reaction raises."""


class Office:
    """A service that books every payment of another one, by code that some amounts are too much for."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = PostgresEventStore(database.pool)
        self.inbox = PostgresInbox(database.pool)
        self.parked = ParkedEvents(database.pool)
        self.too_much: set[int] = set()
        reaction = Reaction("book", AccountPaid, self._book)
        self.reactor = Reactor(reaction, self.inbox, lambda of: Handler(self.store, of))
        self.queues = ReactionQueues(database.pool, [self.reactor])
        self._abroad = InMemoryEventStore()
        self.messages: list[PublicMessage] = []

    def _book(self, received: Received[AccountPaid]) -> Sequence[Directive]:
        if received.data.amount in self.too_much:
            raise Broken(received.data.amount)
        return [Directive(decider, received.subject, Pay(amount=received.data.amount))]

    async def open(self, *accounts: UUID) -> None:
        """Open accounts of ours."""
        for account in accounts:
            event = codec.encode(Opened(number=str(account)))
            await self.store.append(Commit(Stream("account", account), 0, [event], {}))

    async def pay(self, account: UUID, amount: int) -> PublicMessage:
        """Let the other service tell of a payment."""
        version = len(await self._abroad.load(Stream("account", account)))
        await self._abroad.append(Commit(Stream("account", account), version, [codec.encode(Paid(amount=amount))], {}))
        [event] = await self._abroad.read(len(self.messages), 1)
        self.messages.append(publication(event))
        return self.messages[-1]

    async def deliver(self, message: PublicMessage) -> None:
        """Deliver as often as it is asked for."""
        for _ in range(20):
            try:
                await self.reactor.handle(message.envelope.headers(), message.data)
            except Broken:
                continue
            return
        raise AssertionError("delivered for ever")

    async def booked(self) -> list[tuple[UUID, int]]:
        """Return the payments that were booked: (account, amount)."""
        events = [event for event in await self.store.read(0, 1000) if event.type == "Paid"]
        return [(UUID(int=event.stream.id.int), codec.decode(event).amount) for event in events]  # type: ignore[union-attr]

    async def aside(self) -> list[tuple[int, bool]]:
        """Return what is parked: (amount, whether it is the poison)."""
        return [
            (AccountPaid.model_validate_json(each.parked.message.data).amount, each.is_poison)
            for each in await self.parked.list(0, 100)
        ]

    async def ids(self) -> list[UUID]:
        return [each.id for each in await self.parked.list(0, 100)]


@pytest.fixture
def office(service_database: Database) -> Office:
    """An office in a fresh database."""
    return Office(service_database)


A, B = UUID(int=1), UUID(int=2)


async def test_after_five_attempts_it_is_parked_and_the_later_ones_of_its_subject_wait_behind_it(
    office: Office,
) -> None:
    await office.open(A, B)
    office.too_much = {2}
    for account, amount in ((A, 1), (A, 2), (B, 3), (A, 4), (B, 5)):
        await office.deliver(await office.pay(account, amount))
    assert await office.booked() == [(A, 1), (B, 3), (B, 5)]
    assert await office.aside() == [(2, True), (4, False)]
    [poison, waiting] = await office.parked.list(0, 10)
    assert (poison.consumer, poison.generation, poison.parked.attempts) == ("reaction:book", None, ATTEMPTS)
    assert poison.parked.failure is not None
    assert "Broken: 2" in poison.parked.failure.exception
    assert waiting.parked.attempts == 0
    attempts = await office.database.pool.fetchval(
        "SELECT attempts FROM inbox WHERE event_id = $1", office.messages[1].envelope.id
    )
    assert attempts == ATTEMPTS


async def test_what_is_parked_is_not_handled_or_parked_again_when_it_is_delivered_again(office: Office) -> None:
    await office.open(A)
    office.too_much = {2}
    for amount in (2, 4):
        await office.deliver(await office.pay(A, amount))
    office.too_much = set()
    for message in office.messages:
        await office.deliver(message)
    assert await office.booked() == []
    assert await office.aside() == [(2, True), (4, False)]


async def test_a_retry_handles_it_and_what_waits_in_order(office: Office) -> None:
    await office.open(A)
    office.too_much = {2}
    for amount in (2, 4, 6):
        await office.deliver(await office.pay(A, amount))
    [poison, *_] = await office.ids()
    failed = await office.queues.retry(poison)
    assert (failed.applied, failed.still_parked) == (0, 3)
    assert failed.failed is not None
    office.too_much = {6}
    released = await office.queues.retry(poison)
    assert (released.applied, released.still_parked) == (2, 1)
    assert await office.aside() == [(6, True)]
    office.too_much = set()
    await office.queues.retry((await office.ids())[0])
    assert await office.booked() == [(A, 2), (A, 4), (A, 6)]
    for message in office.messages:
        await office.deliver(message)
    assert len(await office.booked()) == 3
    with pytest.raises(NotParked):
        await office.queues.retry(poison)


async def test_a_retry_counts_before_it_tries_and_keeps_each_outcome_at_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open(A)
    office.too_much = {2}
    for amount in (2, 4):
        await office.deliver(await office.pay(A, amount))
    office.too_much = set()

    class Death(BaseException):
        pass

    carry_out = office.reactor.carry_out

    async def dies_at_the_second(message: Any) -> Any:
        if message.headers["ce-sequence"] == "2":
            raise Death
        return await carry_out(message)

    with monkeypatch.context() as dying:
        dying.setattr(office.reactor, "carry_out", dies_at_the_second)
        with pytest.raises(Death):
            await office.queues.retry((await office.ids())[0])
    [left] = await office.parked.list(0, 10)
    assert (left.parked.sequence, left.parked.attempts) == (2, 1)
    assert await office.booked() == [(A, 2)]
    await office.queues.retry(left.id)
    assert await office.booked() == [(A, 2), (A, 4)]


async def test_what_is_discarded_is_left_out_for_ever_and_the_rest_is_handled(office: Office) -> None:
    await office.open(A)
    office.too_much = {2}
    for amount in (2, 4):
        await office.deliver(await office.pay(A, amount))
    released = await office.queues.discard((await office.ids())[0], "siti", "paid twice")
    assert (released.applied, released.still_parked) == (1, 0)
    office.too_much = set()
    for message in office.messages:
        await office.deliver(message)
    assert await office.booked() == [(A, 4)]
    [kept] = await office.parked.given_up_after(0, 10)
    assert (kept.consumer, kept.discarded_by, kept.reason) == ("reaction:book", "siti", "paid twice")
    outcomes = await office.database.pool.fetch("SELECT outcome FROM inbox ORDER BY handled_at")
    assert [row[0] for row in outcomes] == ["discarded", "handled"]


async def test_a_refusal_is_an_outcome_and_parks_nothing(office: Office) -> None:
    for amount in (1, 2):
        await office.deliver(await office.pay(A, amount))  # the account was never opened here
    assert await office.aside() == []
    assert {row[0] for row in await office.database.pool.fetch("SELECT outcome FROM inbox")} == {"refused"}


async def test_an_event_that_was_begun_five_times_and_never_finished_is_parked_without_another_attempt(
    office: Office,
) -> None:
    await office.open(A)
    message = await office.pay(A, 1)
    for _ in range(ATTEMPTS):
        await office.inbox.begin("book", message.envelope.id, A)  # and the process dies
    await office.deliver(message)
    assert await office.booked() == []
    assert await office.aside() == [(1, True)]


async def test_a_database_that_is_away_parks_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.open(A)
    message = await office.pay(A, 1)
    for _ in range(ATTEMPTS - 1):
        await office.inbox.begin("book", message.envelope.id, A)

    async def away(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(office.reactor, "carry_out", away)
        with pytest.raises(ConnectionResetError):
            await office.reactor.handle(message.envelope.headers(), message.data)
    assert await office.aside() == []


async def test_data_that_cannot_be_decoded_is_parked_like_any_poison(office: Office) -> None:
    message = await office.pay(A, 1)
    for _ in range(ATTEMPTS):
        try:
            await office.reactor.handle(message.envelope.headers(), b"no JSON")
        except ValueError:
            continue
    [poison] = await office.parked.list(0, 10)
    assert poison.parked.message.data == b"no JSON"


async def test_what_comes_while_its_subject_is_released_is_handled_after_it_and_never_left_waiting(
    office: Office,
) -> None:
    await office.open(A)
    office.too_much = {1}
    await office.deliver(await office.pay(A, 1))
    office.too_much = set()
    released, going = asyncio.Event(), asyncio.Event()
    carry_out = office.reactor.carry_out

    async def slowly(message: Any) -> Any:
        going.set()
        await released.wait()
        return await carry_out(message)

    office.reactor.carry_out = slowly  # type: ignore[method-assign]
    retry = asyncio.create_task(office.queues.retry((await office.ids())[0]))
    await going.wait()
    later = asyncio.create_task(office.deliver(await office.pay(A, 2)))
    waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
    await eventually(lambda: office.database.pool.fetchval(waits))
    released.set()
    await asyncio.gather(retry, later)
    assert await office.booked() == [(A, 1), (A, 2)]
    assert await office.aside() == []


async def test_a_reaction_that_is_gone_keeps_what_it_parked(office: Office) -> None:
    office.too_much = {1}
    await office.deliver(await office.pay(A, 1))
    queues = ReactionQueues(office.database.pool, [])
    for attempt in (queues.retry, lambda id: queues.discard(id, "siti", "no")):
        with pytest.raises(NoSuchReaction):
            await attempt((await office.ids())[0])
    assert await office.aside() == [(1, True)]


@asynccontextmanager
async def delivering(nats: Nats, office: Office) -> AsyncIterator[None]:
    """Deliver to the office what is on the stream."""
    async with connect(nats.url, "test") as broker:
        await stream.ensure(broker.connection.jetstream())

        async def handle(headers: Mapping[str, str], data: bytes) -> None:
            await office.reactor.handle(headers, data)

        subscribe(broker, "test-book", AccountPaid, handle, ack_wait=1.0)
        await broker.start()
        yield


async def test_on_the_stream_poison_holds_nobody_up(public_stream: Client, nats: Nats, office: Office) -> None:
    await office.open(A, B)
    office.too_much = {1}
    for amount in range(1, 7):
        await office.pay(A if amount % 2 else B, amount)
    for _ in range(ATTEMPTS - 1):  # or the test would wait for the pauses between attempts
        await office.inbox.begin("book", office.messages[0].envelope.id, A)
    log = JetStreamLog(public_stream)
    await log.publish("ledger", office.messages, await log.last("ledger"))
    async with delivering(nats, office):
        await eventually(lambda: _has_booked(office, 3))
    assert await office.booked() == [(B, 2), (B, 4), (B, 6)]
    assert await office.aside() == [(1, True), (3, False), (5, False)]


async def _has_booked(office: Office, goal: int) -> bool:
    return len(await office.booked()) == goal and len(await office.aside()) == 3
