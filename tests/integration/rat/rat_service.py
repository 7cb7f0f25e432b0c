"""Runs the rat service in the test's own process, and publishes what the registry would tell it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import issuing

from chassis.bootstrap import build
from chassis.definitions import clock
from chassis.engine.ports import PublicMessage
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from contracts import registry
from contracts.envelope import Envelope, nats_subject
from contracts.registry import RegistryEvent
from services.rat.service import service

MEDIA_TYPE = "application/problem+json"
WAGIR, TUMPANG = "35.07.21", "35.07.16"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process."""
    app = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url="http://rat", timeout=30
        ) as client,
    ):
        yield client


class Registry:
    """What the registry publishes; `position` is what to wait for."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log
        self._versions: Counter[UUID] = Counter()
        self.position = "registry:0"

    async def tell(self, event: RegistryEvent) -> None:
        """Publish an event as the registry's next."""
        last = await self._log.last("registry")
        self._versions[event.cooperative_id] += 1
        envelope = Envelope(
            id=clock.new_id(),
            service="registry",
            type=event.type_name(),
            schema_version=1,
            subject=event.cooperative_id,
            time=clock.now(),
            sequence=last.sequence + 1,
            stream_version=self._versions[event.cooperative_id],
            correlation_id="test",
        )
        subject = nats_subject("registry", envelope.type, event.kecamatan_code)
        await self._log.publish("registry", [PublicMessage(subject, envelope, event.model_dump_json().encode())], last)
        self.position = f"registry:{envelope.sequence}"

    async def register(self, number: str = "1/BH/2010", nik: str | None = None, kecamatan_code: str = WAGIR) -> UUID:
        """Register a cooperative; return its id."""
        cooperative_id = clock.new_id()
        await self.tell(
            registry.CooperativeRegistered(
                cooperative_id=cooperative_id,
                kecamatan_code=kecamatan_code,
                name="Koperasi Tani Contoh",
                legal_entity_number=number,
                legal_entity_date=None,
                nik=nik,
            )
        )
        return cooperative_id

    async def relocate(self, cooperative_id: UUID, kecamatan_code: str) -> None:
        """Move a cooperative."""
        await self.tell(
            registry.CooperativeRelocated.model_validate(
                {
                    "cooperative_id": cooperative_id,
                    "kecamatan_code": kecamatan_code,
                    "address": "Jl. Raya 1",
                    "effective_on": "2024-11-01",
                }
            )
        )

    async def dissolve(self, cooperative_id: UUID) -> None:
        """Tell that the Ministry removed a cooperative."""
        await self.tell(
            registry.RemovalApproved.model_validate(
                {
                    "cooperative_id": cooperative_id,
                    "kecamatan_code": WAGIR,
                    "decree_number": "901/KEP/2024",
                    "decided_on": "2024-11-01",
                    "authority": "Kementerian Koperasi",
                }
            )
        )


def refused(answer: httpx.Response, status: int, slug: str, field: str | None = None) -> dict[str, Any]:
    """Check that the answer is a whole problem document, and return it; `field` must be among its errors."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status), answer.text
    assert problem["title"]
    assert problem["detail"]
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], answer.text
    return problem
