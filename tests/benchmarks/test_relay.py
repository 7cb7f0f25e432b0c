"""A relay's backlog against bare atomic batches and a bare pipelined publisher, on a server that always syncs."""

import asyncio
from datetime import date

import pytest
from figures import compare
from nats.aio.client import Client

from chassis.definitions.clock import new_id
from chassis.engine.handling import Handler, Order
from chassis.engine.ports import StoredEvent
from chassis.engine.relay import Relay
from chassis.messaging import stream
from chassis.messaging.public_log import JetStreamLog
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from contracts.envelope import STREAM
from services.rat.domain import annual_meetings
from services.rat.domain.annual_meetings import RecordMeeting, Report
from services.rat.service import service

pytestmark = pytest.mark.benchmark

EVENTS = 20_000
BATCH = 1_000
TODAY = date(2024, 11, 14)


async def _fill(store: PostgresEventStore) -> list[StoredEvent]:
    handler = Handler(store, annual_meetings.decider)
    report = Report(book_year=2023, held_on=date(2024, 3, 5), members_total=40, members_present=31, turnover=1_200_000)
    command = RecordMeeting(kecamatan_code="35.07.21", today=TODAY, report=report)
    for _ in range(EVENTS // BATCH):
        orders = [Order(new_id(), command, {"actor": "local", "correlation_id": str(new_id())}) for _ in range(BATCH)]
        empty = await handler.load(new_id())
        await handler.handle_many(orders, {order.id: empty for order in orders})
    return await store.read(0, EVENTS)


async def _fresh_stream(client: Client) -> None:
    await client.jetstream().delete_stream(STREAM)
    await stream.ensure(client.jetstream())


async def test_a_backlog_is_relayed_at_half_the_speed_of_bare_batches(
    service_database: Database, public_stream: Client
) -> None:
    store = PostgresEventStore(service_database.pool)
    stored = await _fill(store)
    publication = service.publication()
    messages = [(m.subject, m.data, m.envelope.headers()) for m in map(publication, stored)]

    async def relay() -> int:
        await _fresh_stream(public_stream)
        done = asyncio.Event()

        def count(events: object) -> None:
            if working.status.published == EVENTS:
                done.set()

        working = Relay("rat", store, JetStreamLog(public_stream), publication, published=count)
        task = asyncio.create_task(working.run())
        await done.wait()
        task.cancel()
        return EVENTS

    async def bare_batches() -> int:
        await _fresh_stream(public_stream)
        for start in range(0, EVENTS, BATCH):
            batch = str(new_id())
            part = messages[start : start + BATCH]
            for number, (subject, data, headers) in enumerate(part[:-1], 1):
                extra = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                await public_stream.publish(subject, data, headers=headers | extra)
            subject, data, headers = part[-1]
            commit = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(BATCH), "Nats-Batch-Commit": "1"}
            await public_stream.request(subject, data, timeout=10, headers=headers | commit)
        return EVENTS

    async def pipelined() -> int:
        await _fresh_stream(public_stream)
        jetstream = public_stream.jetstream(publish_async_max_pending=1_000)
        count = 4_000
        for subject, data, headers in messages[:count]:
            await jetstream.publish_async(subject, data, headers=headers)
        await jetstream.publish_async_completed()
        return count

    ratio = await compare("relay", relay, bare_batches, "bare atomic batches")
    await compare("relay", relay, pipelined, "bare pipelined publisher", rounds=1)
    assert ratio >= 0.5
