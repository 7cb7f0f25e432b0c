"""A store and a stream on real servers are compared, and mended by the relay alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import nats as nats_py
import pytest
from behind import Behind
from eventually import eventually
from kept_running import kept_running
from ledger import commit, decider, publish
from nats.aio.client import Client
from servers import Nats, free_ports

from chassis.bootstrap import Service
from chassis.engine.ports import EventStore, LastPublished, PublicMessage
from chassis.engine.relay import Relay
from chassis.messaging import connection, stream
from chassis.messaging.public_log import JetStreamLog
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.reconciliations import Reconciliations
from contracts.envelope import STREAM, MalformedEnvelope
from dinkop import reconciling as module
from dinkop.embedded.nats import EmbeddedNats
from dinkop.reconciling import NothingPublished, Outcome, Reconciling, mend
from dinkop.system import Failed

ledger = Service("ledger", "", [decider], publish, projections=[], routes=[])
publication = ledger.publication()


@pytest.fixture
def store(service_database: Database) -> PostgresEventStore:
    """The event store of a fresh database."""
    return PostgresEventStore(service_database.pool)


@pytest.fixture
async def comparing(nats: Nats, public_stream: Client, service_database: Database) -> AsyncIterator[Reconciling]:
    """The ledger's store and the stream, open for comparing."""
    async with reconciling(nats.url, service_database) as opened:
        yield opened


@asynccontextmanager
async def reconciling(nats_url: str, database: Database, files: Path | None = None) -> AsyncIterator[Reconciling]:
    async with connection.connect(nats_url, "test-reconcile") as broker:
        yield Reconciling(nats_url, broker, {"ledger": database}, {"ledger": ledger}, files)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long, so what is missing after a moment is missing."""
    monkeypatch.setattr(module, "LAG", 0.5)


def a_relay(store: EventStore, client: Client) -> Callable[[], Awaitable[None]]:
    """A relay as a service runs it: it makes the stream when there is none."""

    async def guarded() -> None:
        await stream.ensure(client.jetstream())
        await Relay("ledger", store, JetStreamLog(client, timeout=2), publication, poll=0.05, look=0.2).run()

    return guarded


async def append(store: EventStore, events: int) -> None:
    await store.append_many([commit(events=1) for _ in range(events)])


async def messages(store: EventStore) -> list[PublicMessage]:
    return [publication(event) for event in await store.read(0, 1_000_000)]


async def put(client: Client, messages: Sequence[PublicMessage]) -> None:
    """Publish these, whatever stands on the stream already."""
    log = JetStreamLog(client)
    for message in messages:
        last = await log.last("ledger")
        await log.publish("ledger", [message], LastPublished(0, None, last.log_sequence))


async def compared(comparing: Reconciling) -> Outcome:
    return await comparing.compare(lambda *_: None)


async def mended(comparing: Reconciling, *, replace_stream: bool = False) -> Outcome:
    async def nothing() -> None:
        raise AssertionError("the stream's files are there")

    return await mend(comparing, lambda *_: None, nothing, replace_stream=replace_stream)


async def test_a_stream_that_a_relay_filled_is_fine_and_the_finding_is_kept(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore, service_database: Database
) -> None:
    await append(store, 2_345)
    assert await Reconciliations(service_database.pool).last() is None
    async with kept_running(a_relay(store, public_stream)):
        outcome = await compared(comparing)
    assert outcome.fine
    assert outcome.as_json()["stream"]["on_disk"] is None, "nobody told where the files are"
    assert outcome.findings["ledger"].published == outcome.log_sequence == 2_345
    kept = await Reconciliations(service_database.pool).last()
    assert kept is not None
    assert (kept.fine, kept.position, kept.finding["digests"][0]["events"]) == (True, 2_345, 2_345)
    assert "@" in kept.actor


async def test_comparing_goes_on_while_events_are_stored_and_published(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAG", 30.0)  # a relay that is slow here is not what is tested

    async def write() -> None:
        while True:
            await append(store, 7)

    await append(store, 3_000)
    async with kept_running(a_relay(store, public_stream), write):
        for _ in range(3):
            assert (await compared(comparing)).fine


async def test_what_no_relay_published_is_missing_at_the_end(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore, service_database: Database
) -> None:
    await append(store, 5)
    await put(public_stream, (await messages(store))[:3])
    outcome = await compared(comparing)
    assert (outcome.fine, outcome.damaged, outcome.behind) == (False, False, [])
    assert outcome.findings["ledger"].missing.ranges == [(4, 5)]
    kept = await Reconciliations(service_database.pool).last()
    assert kept is not None
    assert not kept.fine


async def test_messages_that_are_no_events_are_told_by_their_place(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore
) -> None:
    await append(store, 3)
    one, two, three = await messages(store)
    publish = public_stream.jetstream().publish
    await publish("dinkop.v1.ledger.Something.000000", b"{}")
    for each in (one, two):
        await publish(each.subject, each.data, headers=each.envelope.headers())
    await publish("dinkop.v1.other.Something.000000", b"{}")
    await publish("dinkop.v1.ledger.Something.000000", b"{}")
    with pytest.raises(MalformedEnvelope, match=r"last message of ledger \(stream sequence 5\) is no event"):
        await JetStreamLog(public_stream).last("ledger")
    await publish(three.subject, three.data, headers=three.envelope.headers())
    outcome = await compared(comparing)
    assert outcome.strangers.ranges == [(1, 1), (4, 5)]
    assert outcome.damaged
    assert outcome.findings["ledger"].fine


async def test_a_stream_that_lost_its_end_or_all_of_itself_is_published_again_by_the_relay(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore
) -> None:
    await append(store, 1_500)
    await put(public_stream, (await messages(store))[:3])
    async with kept_running(a_relay(store, public_stream)):
        assert (await mended(comparing)).fine
        await public_stream.jetstream().delete_stream(STREAM)
        outcome = await mended(comparing)
    assert outcome.fine
    assert outcome.findings["ledger"].published == 1_500


async def test_a_repair_says_when_nothing_is_published(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STILL", 0.5)
    await append(store, 3)
    with pytest.raises(NothingPublished):
        await mended(comparing)


async def test_a_hole_is_not_mended_by_appending_but_by_a_new_stream_if_that_is_allowed(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore
) -> None:
    await append(store, 6)
    own = await messages(store)
    await put(public_stream, own[:2] + own[4:])
    async with kept_running(a_relay(store, public_stream)):
        with pytest.raises(Failed, match=r"ledger: 2 events missing .*3 to 4.* --replace-stream"):
            await mended(comparing)
        assert (await public_stream.jetstream().stream_info(STREAM)).state.messages == 4
        outcome = await mended(comparing, replace_stream=True)
    assert outcome.fine
    assert outcome.findings["ledger"].published == 6


async def test_a_stream_that_a_store_is_behind_is_never_touched(
    comparing: Reconciling, public_stream: Client, store: PostgresEventStore, behind: Behind
) -> None:
    await append(store, 6)
    await put(public_stream, await messages(store))
    await behind("DELETE FROM events WHERE position > 4")
    with pytest.raises(Failed, match=r"ledger lacks events that the stream has"):
        await mended(comparing, replace_stream=True)
    assert (await public_stream.jetstream().stream_info(STREAM)).state.messages == 6


@pytest.mark.embedded
async def test_files_deleted_under_a_running_server_are_noticed_and_mended(
    tmp_path: Path, service_database: Database, store: PostgresEventStore
) -> None:
    server = EmbeddedNats(tmp_path, *free_ports(2))
    await server.start()
    client = await nats_py.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_ignore)

    async def end_and_start_again() -> None:
        assert server.process is not None
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await server.start()

    try:
        await append(store, 20)
        async with (
            kept_running(a_relay(store, client)),
            reconciling(server.url, service_database, tmp_path) as comparing,
        ):
            first = await compared(comparing)
            assert (first.on_disk, first.fine) == (True, True)
            shutil.rmtree(tmp_path / "store")
            await append(store, 5)
            await eventually(lambda: _messages(client, 25))  # acknowledged, and on no disk
            outcome = await compared(comparing)
            assert (outcome.on_disk, outcome.fine) == (False, False)
            assert (await mend(comparing, lambda *_: None, end_and_start_again, replace_stream=False)).fine
    finally:
        await client.close()
        await server.stop()


async def _messages(client: Client, count: int) -> bool:
    return int((await client.jetstream().stream_info(STREAM)).state.messages) == count


async def _ignore(_: Exception) -> None:
    """The server is killed on purpose."""
