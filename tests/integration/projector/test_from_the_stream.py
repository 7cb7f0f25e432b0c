"""The whole way of an event: store, relay, stream, feed, projector, row."""

import asyncio
from collections.abc import Hashable, Mapping
from uuid import UUID

import sqlalchemy as sa
from eventually import eventually
from kept_running import kept_running
from ledger import AccountPaid, commit, decider, paid, publish
from nats.aio.client import Client
from servers import Nats, Postgres

from chassis.bootstrap import Service
from chassis.definitions import clock
from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.ports import Commit, Stream
from chassis.engine.projector import Projector
from chassis.engine.relay import Relay
from chassis.messaging import stream
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import JetStreamLog
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.read_models import ReadModels
from contracts.envelope import STREAM


class Balance(Row, frozen=True):
    """What came into one account, and how often."""

    account: UUID
    amount: int
    payments: int


def on_paid(row: Balance | None, received: Received[AccountPaid]) -> Balance:
    """Add the payment."""
    amount, payments = (row.amount, row.payments) if row else (0, 0)
    return Balance(received.subject, amount + received.data.amount, payments + 1)


balances: Projection[Balance] = Projection(
    name="balances",
    version=1,
    table=sa.Table(
        "balances",
        sa.MetaData(),
        sa.Column("account", sa.Uuid, primary_key=True),
        sa.Column("amount", sa.BigInteger),
        sa.Column("payments", sa.Integer),
    ),
    row=Balance,
    handlers={AccountPaid: on_paid},
)
publication = Service("ledger", "", [decider], publish, projections=[balances], routes=[]).publication()


async def expected(store: PostgresEventStore) -> tuple[dict[Hashable, tuple[int, int]], Mapping[str, int]]:
    """Return what the events in the store add up to."""
    sums: dict[Hashable, tuple[int, int]] = {}
    events = await store.read(0, 1_000_000)
    for event in events:
        amount, payments = sums.get(event.stream.id, (0, 0))
        sums[event.stream.id] = (amount + int(event.data.split(":")[1].strip(" }")), payments + 1)
    return sums, {"ledger": len(events)}


async def seen(models: ReadModels) -> tuple[dict[Hashable, tuple[int, int]], Mapping[str, int]]:
    """Return what readers of the projection see."""
    async with models.view(balances) as view:
        rows = await view.rows(balances, sa.select(balances.table))
        return {row.account: (row.amount, row.payments) for row in rows}, view.positions


async def _agree(store: PostgresEventStore, models: ReadModels) -> bool:
    return await seen(models) == await expected(store)


async def test_rows_follow_the_store_through_killed_servers_and_a_stream_made_anew(
    public_stream: Client, service_database: Database, nats: Nats, killable_postgres: Postgres
) -> None:
    store, models = PostgresEventStore(service_database.pool), ReadModels(service_database)
    accounts = [clock.new_id() for _ in range(5)]
    versions = dict.fromkeys(accounts, 0)

    async def pay() -> None:
        while True:
            for account in accounts:
                made = Commit(Stream("account", account), versions[account], [paid(1 + versions[account])], {})
                versions[account] = (await store.append(made)).version

    async def relay() -> None:
        await stream.ensure(public_stream.jetstream())
        await Relay("ledger", store, JetStreamLog(public_stream, timeout=2), publication, poll=0.05, look=0.2).run()

    async def project() -> None:
        await Projector(balances, models.live(balances), JetStreamFeed(public_stream)).run()

    async def moved_by(count: int) -> None:
        goal = (await models.positions(balances)).get("ledger", 0) + count
        await eventually(lambda: _beyond(models, goal), 30)

    async with kept_running(relay, project):
        load = asyncio.create_task(pay())
        await moved_by(20)
        await nats.kill()
        await nats.start()
        await moved_by(20)
        await killable_postgres.kill()
        await killable_postgres.start()
        await moved_by(20)
        await public_stream.jetstream().delete_stream(STREAM)
        await moved_by(20)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await eventually(lambda: _agree(store, models), 30)


async def _beyond(models: ReadModels, goal: int) -> bool:
    return (await models.positions(balances)).get("ledger", 0) >= goal


async def test_a_projector_started_late_reads_everything(public_stream: Client, service_database: Database) -> None:
    store, models = PostgresEventStore(service_database.pool), ReadModels(service_database)
    await store.append_many([commit(events=700), commit(events=800), commit(events=1)])
    await stream.ensure(public_stream.jetstream())
    relay = Relay("ledger", store, JetStreamLog(public_stream), publication)
    projector = Projector(balances, models.live(balances), JetStreamFeed(public_stream))
    async with kept_running(relay.run):
        await eventually(lambda: relay.status.published == 1501)
        async with kept_running(projector.run):
            await eventually(lambda: _agree(store, models))
