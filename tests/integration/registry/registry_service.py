"""Runs the registry in the test's own process, and says what officers tell it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import issuing

from chassis.bootstrap import build
from chassis.settings import Settings
from services.registry.service import service

MEDIA_TYPE = "application/problem+json"
WAGIR, TUMPANG = "35.07.21", "35.07.16"
NOBODY = "0190b5a0-0000-7000-8000-000000000000"
NOTHING = dict.fromkeys(("signboard_found", "office_found", "members_reached", "operating"), False)
_numbers = itertools.count(1)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process."""
    app = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url="http://registry", timeout=30
        ) as client,
    ):
        yield client


def registration(**different: Any) -> dict[str, Any]:
    """Return a registration under a number of its own, but for what is different."""
    return {
        "name": "Koperasi Tani Contoh",
        "legal_entity_number": f"{next(_numbers)}/BH/2010",
        "legal_entity_date": "2010-01-05",
        "kecamatan_code": WAGIR,
    } | different


def tracing(traced_on: str, **different: Any) -> dict[str, Any]:
    """Return the report of an officer who found nothing at all, but for what is different."""
    return {"traced_on": traced_on, **NOTHING} | different


def proposal(**different: Any) -> dict[str, Any]:
    """Return a letter to the Ministry, but for what is different."""
    return {"letter_number": "518/77/2024", "letter_date": "2024-09-30", "grounds": "traced twice"} | different


def decision(what: str = "approved", **different: Any) -> dict[str, Any]:
    """Return what the Ministry decided, but for what is different."""
    return {
        "decision": what,
        "decree_number": "114/KEP/2024",
        "decided_on": "2024-11-01",
        "authority": "Kementerian Koperasi",
    } | different


class Cooperative:
    """A registered cooperative, as an officer deals with it."""

    def __init__(self, registry: httpx.AsyncClient, cooperative_id: str) -> None:
        self.registry = registry
        self.id = cooperative_id
        self.path = f"/v1/cooperatives/{cooperative_id}"

    async def post(self, what: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Send a command."""
        return await self.registry.post(f"{self.path}/{what}", json=body, headers=headers)

    async def done(self, what: str, body: dict[str, Any]) -> str:
        """Have a command accepted, and return the position to wait for."""
        answer = await self.post(what, body)
        assert answer.status_code == 201, answer.text
        return answer.headers["dinkop-position"]

    async def get(self) -> dict[str, Any]:
        """Return it as it stands now."""
        answer = await self.registry.get(self.path)
        assert answer.status_code == 200, answer.text
        item: dict[str, Any] = answer.json()
        return item

    async def existence(self) -> str:
        """Return whether it exists."""
        return str((await self.get())["existence"])


async def registered(registry: httpx.AsyncClient, **different: Any) -> Cooperative:
    """Register a cooperative."""
    answer = await registry.post("/v1/cooperatives", json=registration(**different))
    assert answer.status_code == 201, answer.text
    return Cooperative(registry, answer.json()["cooperative_id"])


def refused(answer: httpx.Response, status: int, slug: str, field: str | None = None) -> dict[str, Any]:
    """Check that the answer is a problem of this kind, and return it; `field` must be among its errors."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}", answer.text
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], answer.text
    return problem
