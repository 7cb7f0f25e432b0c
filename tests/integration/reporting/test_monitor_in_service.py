"""The health monitor within the service: what is announced is on the stream once, through kills, days and rebuilds."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg
import httpx
import pytest
from eventually import eventually
from monitored import MELATI, held, registered
from nats.aio.client import Client
from rebuilding import rebuild_from
from whole_service import Others, published, serving

from chassis.engine.ports import LastPublished, PublicMessage
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from services.reporting.projections import health_status

type Announced = tuple[UUID, str | None, str | None]


async def announced(stream: Client, *expected: Announced) -> None:
    """Wait until exactly this is on the stream, numbered without a gap."""

    async def so() -> bool:
        events = await published(stream)
        assert [number for number, _ in events] == list(range(1, len(events) + 1))
        told = [e for _, e in events if "projection" not in e]  # a rebuild is told of, but announces nothing
        assert [(UUID(e["cooperative_id"]), e["from"], e["to"]) for e in told] == list(expected)
        return True

    await eventually(so)


async def probe(others: Others, number: int) -> Announced:
    """Tell of one more cooperative. When it is announced, the monitor has been through all that was before."""
    await others.tell(registered(UUID(int=1_000 + number)))
    return UUID(int=1_000 + number), None, "lapsed"


async def test_a_deadline_alone_and_no_restart_is_announced(
    settings: Settings, others: Others, public_stream: Client
) -> None:
    on_time = settings.model_copy(update={"today": date(2024, 6, 30)})
    await others.tell(registered(MELATI), *(held(MELATI, year) for year in (2020, 2021, 2022)))
    async with serving(on_time):
        once = [(MELATI, None, "healthy")]
        await announced(public_stream, *once)
    async with serving(on_time):
        once.append(await probe(others, 1))
        await announced(public_stream, *once)
    async with serving(settings.model_copy(update={"today": date(2024, 7, 1)})):
        once.append((MELATI, "healthy", "inconsistent"))
        await announced(public_stream, *once)
    assert [event["as_of"] for _, event in await published(public_stream)] == ["2024-06-30", "2024-06-30", "2024-07-01"]


async def test_killed_between_append_and_publish_it_is_published_once_by_the_next(
    settings: Settings, others: Others, public_stream: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(settings.database_url)

    async def appended() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM events") == 1)

    with monkeypatch.context() as broken:
        broken.setattr(JetStreamLog, "publish", _publishes_nothing_of_reporting)
        async with serving(settings):
            await others.tell(registered(MELATI))
            await eventually(appended)
    assert await published(public_stream) == []
    async with serving(settings):
        await announced(public_stream, (MELATI, None, "lapsed"))
        await announced(public_stream, (MELATI, None, "lapsed"), await probe(others, 1))
    await connection.close()


_publish = JetStreamLog.publish


async def _publishes_nothing_of_reporting(
    self: JetStreamLog, service: str, messages: Sequence[PublicMessage], after: LastPublished
) -> LastPublished:
    if service == "reporting":
        raise TimeoutError("cut off")
    return await _publish(self, service, messages, after)


async def test_neither_a_rebuild_nor_its_swap_is_announced(
    settings: Settings, others: Others, public_stream: Client
) -> None:
    await others.tell(registered(MELATI), held(MELATI, 2023))
    async with serving(settings):
        once = [(MELATI, None, "inconsistent")]
        await announced(public_stream, *once)
        for number in (1, 2):
            await rebuild_from(settings.nats_url, settings.database_url, health_status.projection, lambda _: None)
            once.append(await probe(others, number))
            await announced(public_stream, *once)


async def test_one_process_of_two_announces(settings: Settings, others: Others, public_stream: Client) -> None:
    async with serving(settings) as one, serving(settings) as other:
        await eventually(lambda: _leading(one, other))
        await others.tell(registered(MELATI))
        await announced(public_stream, (MELATI, None, "lapsed"))
        await announced(public_stream, (MELATI, None, "lapsed"), await probe(others, 1))


async def _leading(*clients: httpx.AsyncClient) -> bool:
    states = [(await client.get("/v1/projections")).json()["leading"] for client in clients]
    return sum(states) == 1
