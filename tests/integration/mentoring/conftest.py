"""The mentoring service on real servers."""

import base64
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID

import httpx
import issuing
import pytest
from mentoring_service import Keys, Register, Tell, serving
from nats.aio.client import Client
from servers import Nats, Postgres, migrate_database, name_of

from chassis.definitions import clock
from chassis.engine.ports import PublicMessage
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from contracts import registry
from contracts.envelope import Envelope, PublicEvent, nats_subject
from services.mentoring.service import service

MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
TODAY = date(2024, 11, 14)


@pytest.fixture
async def mentoring_url(postgres: Postgres, database_url: str) -> str:
    """The URL of a fresh database with the newest schema of mentoring."""
    await migrate_database(postgres, name_of(database_url), service.migrations)
    return database_url


@pytest.fixture
def settings(mentoring_url: str, nats: Nats, tmp_path: Path) -> Settings:
    """What the service is told."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return Settings(
        database_url=mentoring_url,
        nats_url=nats.url,
        nats_monitoring_url=nats.monitoring_url,
        today=TODAY,
        master_key=MASTER_KEY,
        keys=folder,
        **issuing.SETTINGS,
    )


@pytest.fixture
async def client(settings: Settings, public_stream: Client) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service."""
    async with serving(settings) as running:
        yield running


@pytest.fixture
def keys(settings: Settings) -> Keys:
    """The keys that were written down."""
    folder = settings.keys
    assert folder is not None
    return lambda: sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def tell(public_stream: Client) -> Tell:
    """Have another service publish an event about a cooperative."""

    async def publish(event: PublicEvent) -> str:
        log = JetStreamLog(public_stream)
        last = await log.last(event.service)
        document = event.model_dump()
        envelope = Envelope(
            id=clock.new_id(),
            service=event.service,
            type=event.type_name(),
            schema_version=1,
            subject=document["cooperative_id"],
            time=clock.now(),
            sequence=last.sequence + 1,
            stream_version=1,
            correlation_id="test",
        )
        subject = nats_subject(event.service, envelope.type, document["kecamatan_code"])
        await log.publish(event.service, [PublicMessage(subject, envelope, event.model_dump_json().encode())], last)
        return f"{event.service}:{envelope.sequence}"

    return publish


@pytest.fixture
def register(tell: Tell) -> Register:
    """Make the registry register a cooperative; returns its id and the position to wait for."""

    async def registered() -> tuple[UUID, str]:
        cooperative_id = clock.new_id()
        position = await tell(
            registry.CooperativeRegistered(
                cooperative_id=cooperative_id,
                kecamatan_code="35.07.21",
                name="KSP Contoh",
                legal_entity_number="1",
                legal_entity_date=None,
            )
        )
        return cooperative_id, position

    return registered
