"""Parked events of all services, over HTTP."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import httpx

from contracts.roles import OPERATOR
from dinkop.system import Failed, System, Unreachable, explained

PAGE = 500
RETRY_SECONDS = 120.0
"""How long a retry may take: thousands of events may wait behind one."""


async def listed(system: System, what: str = "parked", **query: str) -> list[dict[str, Any]]:
    """Return what is parked (or `discarded`) in all services. Raises Unreachable when one does not answer."""
    urls = [f"{url}/v1/operations/{what}" for url in system.running.services.values()]
    async with system.client(OPERATOR) as client:
        return [item for url in urls async for item in _pages(client, url, query)]


async def shown(system: System, id: UUID) -> dict[str, Any]:
    """Return one parked event. Raises Failed, Unreachable."""
    _, event = await _found(system, id)
    return event


async def retried(system: System, id: UUID) -> dict[str, Any]:
    """Try a parked event again, and return what came of it. Raises Failed, Unreachable."""
    return await _told(system, id, "retry", None)


async def discarded(system: System, id: UUID, reason: str) -> dict[str, Any]:
    """Give a parked event up, and return what came of it. Raises Failed, Unreachable."""
    return await _told(system, id, "discard", {"reason": reason})


async def _told(system: System, id: UUID, action: str, body: Mapping[str, str] | None) -> dict[str, Any]:
    url, _ = await _found(system, id)
    async with system.client(OPERATOR, RETRY_SECONDS) as client:
        return explained(await client.post(f"{url}/v1/operations/parked/{id}/{action}", json=body))


async def _found(system: System, id: UUID) -> tuple[str, dict[str, Any]]:
    """Ask one service after the other for an event; return the service's URL with it."""
    down: list[str] = []
    why = f"No event is parked as {id}: `dinkop parked` lists what is."
    async with httpx.AsyncClient(auth=system.token(OPERATOR), timeout=30.0) as client:
        for name, url in system.running.services.items():
            try:
                answer = await client.get(f"{url}/v1/operations/parked/{id}")
            except httpx.TransportError:
                down.append(name)
                continue
            if answer.status_code != httpx.codes.NOT_FOUND:
                return url, explained(answer)
            detail: str = answer.json()["detail"]
            why = detail if "discarded it" in detail else why
    if down:
        raise Unreachable(f"{why} {', '.join(down)} can't be asked: see `dinkop status`.")
    raise Failed(why)


async def _pages(client: httpx.AsyncClient, url: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = explained(await client.get(url, params={**query, **cursor, "limit": PAGE}))
        for item in page["items"]:
            yield item
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}
