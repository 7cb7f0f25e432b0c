"""A relay killed at any of its awaits: the stream has every event of the store, once, in order, under its own id."""

from behind import Behind
from dying import Faults, Scenario
from eventually import eventually
from forking import Forks
from jobs import STORED, publication
from kept_running import kept_running
from ledger import commit
from nats.aio.client import Client
from servers import Nats

from chassis.engine.relay import Relay
from chassis.messaging import stream
from chassis.messaging.public_log import JetStreamLog
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from contracts.envelope import STREAM

MODULES = ["chassis.engine.relay", "chassis.messaging.public_log"]


async def on_stream(client: Client) -> list[tuple[int, str]]:
    """Return number and id of every event on the stream, first to last."""
    jetstream = client.jetstream()
    last = (await stream.ensure(jetstream)).state.last_seq
    headers = [(await jetstream.get_msg(STREAM, seq=place)).headers or {} for place in range(1, last + 1)]
    return [(int(each["ce-sequence"]), each["ce-id"]) for each in headers]


async def test_a_relay_killed_at_any_await_publishes_everything_once_in_order(
    children: Forks, nats: Nats, public_stream: Client, service_database: Database, database_url: str, behind: Behind
) -> None:
    store, log = PostgresEventStore(service_database.pool), JetStreamLog(public_stream)

    async def stored() -> list[tuple[int, str]]:
        return [(event.position, str(event.id)) for event in await store.read(0, 100)]

    async def prepare() -> None:
        await behind("TRUNCATE events")
        await stream.remove(public_stream.jetstream())
        await eventually(lambda: stream.ensure(public_stream.jetstream()))
        await store.append(commit(events=STORED))

    async def between() -> None:
        published = await on_stream(public_stream)
        assert published == (await stored())[: len(published)]

    async def finish() -> None:
        relay = Relay("ledger", store, log, publication, poll=0.02)
        async with kept_running(relay.run):
            await eventually(lambda: _is_published(log, store))
        assert await on_stream(public_stream) == await stored()

    faults = Faults(children, database_url, nats.url, MODULES)
    await faults.kill_at_each([Scenario("relay", prepare, between, finish, again=True)])
    assert faults.never_reached({}) == []


async def _is_published(log: JetStreamLog, store: PostgresEventStore) -> bool:
    return (await log.last("ledger")).sequence == await store.head()
