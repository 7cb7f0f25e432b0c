"""Erasing the personal data of one request for mentoring, as the office would over HTTP."""

from typing import Any
from uuid import UUID

from contracts.roles import OFFICER
from dinkop.system import System, explained


async def look_up(system: System, request_id: UUID) -> dict[str, Any]:
    """Return what the list says of a request: nothing that names a person. Raises Failed when there is none."""
    async with system.client(OFFICER) as client:
        answer = explained(await client.get(f"{system.running.services['mentoring']}/v1/requests/{request_id}"))
    return {name: answer[name] for name in ("request_id", "state", "received_on", "category", "forgotten")}


async def forget(system: System, request_id: UUID) -> dict[str, Any]:
    """Make the people and all words of a request unreadable for ever; done before, it is so already. Raises Failed."""
    async with system.client(OFFICER) as client:
        answer = await client.delete(f"{system.running.services['mentoring']}/v1/requests/{request_id}/people")
    return explained(answer)
