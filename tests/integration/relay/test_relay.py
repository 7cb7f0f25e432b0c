"""The relay from PostgreSQL to JetStream: everything once, in order, whoever dies."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from eventually import eventually
from kept_running import kept_running
from ledger import Closed, Opened, Paid, codec, commit, decider, publish
from nats.aio.client import Client
from nats.js.errors import APIError
from published import assert_everything_is_published_once, on_stream, published
from servers import Nats, Postgres, free_ports

from chassis.bootstrap import Service
from chassis.definitions import clock
from chassis.definitions.decider import Event
from chassis.engine.gate import StoreBehindLog
from chassis.engine.ports import Commit, EventStore, Fenced, LastPublished, PublicLog, PublicMessage, Stream
from chassis.engine.relay import Relay
from chassis.messaging import stream
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.stream import NotDurable
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.memory import InMemoryEventStore
from contracts.envelope import STREAM, timestamp
from dinkop.embedded import nats as embedded

publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


@pytest.fixture
def store(service_database: Database) -> PostgresEventStore:
    """The event store of a fresh database."""
    return PostgresEventStore(service_database.pool)


def a_relay(store: EventStore, log: Client | PublicLog) -> Relay:
    """Return a relay to the stream, or to a log that does something else."""
    target = JetStreamLog(log, timeout=2) if isinstance(log, Client) else log
    return Relay("ledger", store, target, publication, poll=0.05)


async def append(store: EventStore, *counts: int) -> None:
    """Append streams of so many events each."""
    await store.append_many([commit(events=count) for count in counts])


class Died(Exception):
    """The process is gone."""


class DyingLog:
    """A public log whose relay dies right after its n-th publication, before it learns of it."""

    def __init__(self, log: PublicLog, dies_after: int) -> None:
        self._log, self._left = log, dies_after

    async def last(self, service: str) -> LastPublished:
        return await self._log.last(service)

    async def publish(self, service: str, messages: Sequence[PublicMessage], after: LastPublished) -> LastPublished:
        last = await self._log.publish(service, messages, after)
        self._left -= 1
        if not self._left:
            raise Died
        return last


@pytest.mark.parametrize("counts", [(1,), (2,), (1, 1, 1), (999,), (1000,), (1001,), (1000, 1000, 501)])
async def test_every_event_is_published_once_in_order(public_stream: Client, counts: tuple[int, ...]) -> None:
    store = InMemoryEventStore()
    await append(store, *counts)
    async with kept_running(a_relay(store, public_stream).run):
        await eventually(lambda: _all_published(public_stream, store))
    await assert_everything_is_published_once(public_stream, store)


async def _all_published(client: Client, store: EventStore) -> bool:
    return await published(client) >= await store.head()


async def test_a_message_has_the_headers_subject_and_data_that_other_agencies_were_promised(
    public_stream: Client, store: PostgresEventStore
) -> None:
    account, causation = clock.new_id(), str(clock.new_id())
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    first: list[Event] = [Opened(number="21")]
    await store.append(
        Commit(
            Stream("account", account),
            0,
            [codec.encode(event) for event in first],  # type: ignore[arg-type]
            {"actor": "somebody", "correlation_id": "c-1", "causation_id": causation, "traceparent": trace},
        )
    )
    await store.append(Commit(Stream("account", account), 1, [codec.encode(Paid(amount=7))], {}))
    await store.append(Commit(Stream("account", account), 2, [codec.encode(Closed())], {}))
    async with kept_running(a_relay(store, public_stream).run):
        await eventually(lambda: _all_published(public_stream, store))
    opened, paid, _ = await on_stream(public_stream)
    [event, *_] = events = await store.read(0, 3)
    promised = {
        "ce-specversion": "1.0",
        "ce-id": str(event.id),
        "ce-source": "/dinkop/ledger",
        "ce-type": "id.go.malangkab.dinkop.ledger.AccountOpened.v1",
        "ce-subject": str(account),
        "ce-time": timestamp(event.recorded_at),
        "ce-dataschema": "urn:dinkop:ledger:AccountOpened:v1",
        "ce-datacontenttype": "application/json",
        "ce-sequence": "1",
        "ce-streamversion": "1",
        "ce-correlationid": "c-1",
        "ce-causationid": causation,
        "traceparent": trace,
        "Nats-Msg-Id": str(event.id),
    }
    fence = {"Nats-Expected-Last-Subject-Sequence", "Nats-Expected-Last-Subject-Sequence-Subject"}
    batch = {"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"}
    headers = {name: value for name, value in (opened.headers or {}).items() if name not in fence | batch}
    assert headers == promised
    assert opened.subject == "dinkop.v1.ledger.AccountOpened.350721"
    assert json.loads(opened.data) == {"number": "21", "kecamatan_code": "35.07.21"}
    assert paid.subject == "dinkop.v1.ledger.AccountPaid.000000"
    assert json.loads(paid.data) == {"amount": 7}
    later = dict(paid.headers or {})
    assert (later["ce-sequence"], later["ce-streamversion"]) == ("2", "2")
    assert later["ce-correlationid"] == str(events[1].id)
    assert "ce-causationid" not in later
    assert "traceparent" not in later


@pytest.mark.parametrize("counts", [(1,), (2,), (1000, 700)])
async def test_a_relay_killed_between_publishing_and_knowing_is_followed_by_one_that_doubles_nothing(
    public_stream: Client, counts: tuple[int, ...]
) -> None:
    store = InMemoryEventStore()
    await append(store, *counts)
    for death in (1, 1):
        with pytest.raises(Died):
            await asyncio.wait_for(a_relay(store, DyingLog(JetStreamLog(public_stream), death)).run(), 10)
        await append(store, 3)
    async with kept_running(a_relay(store, public_stream).run):
        await eventually(lambda: _all_published(public_stream, store))
    await assert_everything_is_published_once(public_stream, store)


async def test_two_relays_at_once_double_nothing_and_leave_no_gap(public_stream: Client, nats: Nats) -> None:
    store, others = InMemoryEventStore(), 2
    relays = [a_relay(store, public_stream) for _ in range(others)]
    async with kept_running(*(relay.run for relay in relays)):
        for _ in range(40):
            await append(store, 1, 2)
            for relay in relays:
                relay.wake()
            await asyncio.sleep(0)
        await eventually(lambda: _all_published(public_stream, store))
    await assert_everything_is_published_once(public_stream, store)


@pytest.mark.parametrize("counts", [(1,), (5,)])
async def test_a_relay_that_lost_its_lead_without_noticing_cannot_publish(
    public_stream: Client, counts: tuple[int, ...]
) -> None:
    store, log = InMemoryEventStore(), JetStreamLog(public_stream)
    await append(store, 2)
    stale = await log.last("ledger")
    messages = [publication(event) for event in await store.read(0, 10)]
    await log.publish("ledger", messages, stale)
    await append(store, *counts)
    more = [publication(event) for event in await store.read(2, 10)]
    with pytest.raises(Fenced):
        await log.publish("ledger", more, stale)
    for again in (messages, messages[:1]):  # nor what is there already, knowing where the log stands or not
        for after in (stale, await log.last("ledger")):
            with pytest.raises(Fenced):
                await log.publish("ledger", again, after)
    assert await published(public_stream) == 2
    last = await log.publish("ledger", more, await log.last("ledger"))
    assert (last.sequence, last.event_id) == (more[-1].envelope.sequence, more[-1].envelope.id)
    assert last == await log.last("ledger")


async def test_services_do_not_fence_each_other(public_stream: Client) -> None:
    store, log = InMemoryEventStore(), JetStreamLog(public_stream)
    await append(store, 2)
    before = await log.last("ledger")
    await public_stream.jetstream().publish("dinkop.v1.other.Something.000000", b"{}")
    last = await log.publish("ledger", [publication(event) for event in await store.read(0, 10)], before)
    assert last == await log.last("ledger")
    assert (await log.last("third")).sequence == 0


@pytest.mark.parametrize("counts", [(3,), (1000, 400)])
async def test_a_deleted_stream_is_republished_whole_with_the_same_ids(
    public_stream: Client, counts: tuple[int, ...]
) -> None:
    store = InMemoryEventStore()
    await append(store, *counts)

    async def guarded() -> None:
        await stream.ensure(public_stream.jetstream())
        await a_relay(store, public_stream).run()

    async with kept_running(guarded):
        await eventually(lambda: _all_published(public_stream, store))
        before = [(m.subject, dict(m.headers or {})["ce-id"], m.data) for m in await on_stream(public_stream)]
        await public_stream.jetstream().delete_stream(STREAM)
        await append(store, 1)
        await eventually(lambda: _all_published(public_stream, store))
    await assert_everything_is_published_once(public_stream, store)
    after = [(m.subject, dict(m.headers or {})["ce-id"], m.data) for m in await on_stream(public_stream)]
    assert after[: len(before)] == before


async def test_an_idle_relay_notices_a_deleted_stream(public_stream: Client) -> None:
    store = InMemoryEventStore()
    await append(store, 3)

    async def guarded() -> None:
        await stream.ensure(public_stream.jetstream())
        await a_relay(store, public_stream).run()

    async with kept_running(guarded):
        await eventually(lambda: _all_published(public_stream, store))
        await public_stream.jetstream().delete_stream(STREAM)
        await eventually(lambda: _all_published(public_stream, store))
    await assert_everything_is_published_once(public_stream, store)


async def _append_without_pause(store: EventStore) -> None:
    while True:
        await append(store, 1, 2)


async def test_a_nats_server_killed_under_load_loses_and_doubles_nothing(
    public_stream: Client, store: PostgresEventStore, nats: Nats
) -> None:
    async with kept_running(a_relay(store, public_stream).run):
        load = asyncio.create_task(_append_without_pause(store))
        for _ in range(3):
            goal = await published(public_stream) + 30
            await eventually(lambda goal=goal: _reached(public_stream, goal))
            await nats.kill()
            await nats.start()
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await eventually(lambda: _all_published(public_stream, store), 30)
    await assert_everything_is_published_once(public_stream, store)


async def _reached(client: Client, goal: int) -> bool:
    return await published(client) >= goal


async def test_a_postgresql_server_killed_under_load_loses_and_doubles_nothing(
    public_stream: Client, store: PostgresEventStore, killable_postgres: Postgres
) -> None:
    async with kept_running(a_relay(store, public_stream).run):
        load = asyncio.create_task(_append_without_pause(store))
        for _ in range(2):
            goal = await published(public_stream) + 30
            await eventually(lambda goal=goal: _reached(public_stream, goal))
            await killable_postgres.kill()
            await killable_postgres.start()
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await eventually(lambda: _all_published(public_stream, store), 30)
    await assert_everything_is_published_once(public_stream, store)


async def test_a_store_restored_from_an_older_state_publishes_nothing(public_stream: Client) -> None:
    newer, older = InMemoryEventStore(), InMemoryEventStore()
    shared = [commit(events=3)]
    await newer.append_many([*shared, commit(events=2)])
    await older.append_many(shared)
    async with kept_running(a_relay(newer, public_stream).run):
        await eventually(lambda: _all_published(public_stream, newer))
    with pytest.raises(StoreBehindLog, match=r"number 5 .* has none there"):
        await asyncio.wait_for(a_relay(older, public_stream).run(), 10)
    await append(older, 4)  # another history under the same numbers
    with pytest.raises(StoreBehindLog, match="has event"):
        await asyncio.wait_for(a_relay(older, public_stream).run(), 10)
    await assert_everything_is_published_once(public_stream, newer)


async def test_a_server_that_syncs_before_it_acknowledges_is_durable(nats: Nats) -> None:
    await stream.assert_durable(nats.monitoring_url)


async def test_a_cluster_is_durable_when_most_of_its_servers_answer(nats: Nats) -> None:
    there, away = nats.monitoring_url, f"http://127.0.0.1:{free_ports(1)[0]}"
    await stream.assert_durable(f"{there}, {there}/,{away}")
    with pytest.raises(httpx.ConnectError):
        await stream.assert_durable(f"{there},{away},{away}")


async def test_a_server_that_acknowledges_before_it_syncs_is_refused_also_when_the_others_of_its_cluster_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nats: Nats
) -> None:
    careless = "\n".join(line for line in embedded.CONFIGURATION.splitlines() if "sync_interval" not in line)
    monkeypatch.setattr(embedded, "CONFIGURATION", careless)
    server = embedded.EmbeddedNats(tmp_path, *free_ports(2))
    await server.start()
    try:
        with pytest.raises(NotDurable, match="sync_interval: always"):
            await stream.assert_durable(server.monitoring_url)
        with pytest.raises(NotDurable, match=server.monitoring_url):
            await stream.assert_durable(f"{nats.monitoring_url},{nats.monitoring_url},{server.monitoring_url}")
    finally:
        await server.stop()


async def test_of_a_cluster_most_servers_must_answer_and_all_that_do_must_sync(
    nats: Nats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, [port] = nats.monitoring_url, free_ports(1)
    down = f"http://127.0.0.1:{port}"
    await stream.assert_durable(f"{good},{down},{good}")  # one of three is down: the others must be able to go on
    with pytest.raises(httpx.ConnectError):
        await stream.assert_durable(f"{good},{down}")
    careless = "\n".join(line for line in embedded.CONFIGURATION.splitlines() if "sync_interval" not in line)
    monkeypatch.setattr(embedded, "CONFIGURATION", careless)
    server = embedded.EmbeddedNats(tmp_path, *free_ports(2))
    await server.start()
    try:
        with pytest.raises(NotDurable, match=server.monitoring_url):
            await stream.assert_durable(f"{good},{server.monitoring_url},{good}")
    finally:
        await server.stop()


async def test_the_stream_keeps_everything_and_lets_nobody_delete(public_stream: Client) -> None:
    jetstream = public_stream.jetstream()
    await asyncio.gather(*(stream.ensure(jetstream) for _ in range(4)))
    acknowledged = await jetstream.publish("dinkop.v1.ledger.Something.000000", b"{}")
    with pytest.raises(APIError):
        await jetstream.delete_msg(STREAM, acknowledged.seq)
    with pytest.raises(APIError):
        await jetstream.purge_stream(STREAM)
    settings = (await jetstream.stream_info(STREAM)).config
    assert (settings.max_age, settings.max_msgs, settings.max_bytes) == (0, -1, -1)
    assert (settings.storage, settings.retention, settings.discard) == ("file", "limits", "new")
