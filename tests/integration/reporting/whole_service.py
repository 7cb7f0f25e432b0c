"""Reporting as it runs, with the other services' events put on the stream by the test."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import issuing
from fastapi import FastAPI
from nats.aio.client import Client

from chassis.bootstrap import build
from chassis.definitions import clock
from chassis.engine.ports import PublicMessage
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from contracts.envelope import STREAM, Envelope, PublicEvent, nats_subject
from services.reporting.service import service


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process; it stops as abruptly as a process that is killed."""
    app: FastAPI = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url="http://reporting", timeout=15
        ) as client,
    ):
        yield client


@dataclass
class Others:
    """The other services: they only publish."""

    log: JetStreamLog

    async def tell(self, *events: PublicEvent) -> str:
        """Publish events; return the position to wait for."""
        reached: dict[str, int] = {}
        for event in events:
            last = await self.log.last(event.service)
            subject: UUID = getattr(event, "request_id", None) or getattr(event, "cooperative_id")  # noqa: B009
            envelope = Envelope(
                id=clock.new_id(),
                service=event.service,
                type=event.type_name(),
                schema_version=1,
                subject=subject,
                time=clock.now(),
                sequence=last.sequence + 1,
                stream_version=1,
                correlation_id="test",
            )
            address = nats_subject(event.service, envelope.type, event.kecamatan_of_subject)
            message = PublicMessage(address, envelope, event.model_dump_json().encode())
            reached[event.service] = (await self.log.publish(event.service, [message], last)).sequence
        return ",".join(f"{name}:{position}" for name, position in reached.items())


async def published(client: Client) -> list[tuple[int, dict[str, Any]]]:
    """Return what reporting has published, in order: the number of each event, and its data."""
    found = []
    stream = await client.jetstream().stream_info(STREAM)
    for sequence in range(1, stream.state.last_seq + 1):
        message = await client.jetstream().get_msg(STREAM, sequence)
        headers = message.headers or {}
        if headers["ce-source"] == "/dinkop/reporting":
            found.append((int(headers["ce-sequence"]), json.loads(message.data or b"")))
    return found
