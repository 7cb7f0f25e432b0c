"""Runs the mentoring service in the test's own process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import issuing

from chassis.bootstrap import build
from chassis.settings import Settings
from contracts.envelope import PublicEvent
from services.mentoring.service import service

type Tell = Callable[[PublicEvent], Awaitable[str]]
"""Have another service publish an event; return the position to wait for."""

type Keys = Callable[[], list[Path]]
"""List the keys of personal data that were written down."""

type Register = Callable[[], Awaitable[tuple[UUID, str]]]
"""Register a cooperative; return its id and the position to wait for."""

REQUEST: dict[str, Any] = {
    "cooperative_id": None,
    "cooperative_name": "Koperasi Tani Contoh",
    "location": {"kecamatan_code": "35.07.21", "village_code": "35.07.21.2003", "address": "Jl. Raya Wagir 12"},
    "people": [
        {"name": "Nama Pemohon", "role": "ketua", "phone": "0800-0000-0000"},
        {"name": "Satu Lagi", "role": "-"},
    ],
    "complaint": "RAT belum terlaksana\nsejak tahun buku 2021.",
    "category": "rat",
    "channel": "letter",
    "letter_number": "012/KOP/XI/2024",
    "letter_date": "2024-10-31",
    "received_on": "2024-11-04",
}
ACCEPTANCE: dict[str, Any] = {"team": ["Pendamping Satu", "Pendamping Dua"], "visit_on": "2024-11-20"}
DECLINING: dict[str, Any] = {"reason": "Di luar wilayah kabupaten."}
REDIRECTION: dict[str, Any] = {"to": "Dinas Koperasi Kota Malang", "reason": "Alamatnya di kota."}
ACTIVITY: dict[str, Any] = {
    "kind": "training",
    "held_on": "2024-11-12",
    "participants": 12,
    "notes": "Bimtek laporan keuangan.",
}
COMPLETION: dict[str, Any] = {"outcome": "rat_held", "notes": "RAT tahun buku 2023 terlaksana."}
STEPS: dict[str, dict[str, Any]] = {
    "acceptances": ACCEPTANCE,
    "declines": DECLINING,
    "redirections": REDIRECTION,
    "activities": ACTIVITY,
    "completions": COMPLETION,
}
"""What can be done about a request, each with a body that is right."""


async def taken_down(client: httpx.AsyncClient, **different: Any) -> str:
    """Take a request down and return its id."""
    answer = await client.post("/v1/requests", json=REQUEST | different)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_id"])


async def after(client: httpx.AsyncClient, *steps: str, **different: Any) -> str:
    """Take a request down, carry it through these steps, and return its id."""
    request_id = await taken_down(client, **different)
    for step in steps:
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=STEPS[step])
        assert answer.status_code == 201, answer.text
    return request_id


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process."""
    app = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url="http://mentoring", timeout=15
        ) as client,
    ):
        yield client
