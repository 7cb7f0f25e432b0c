"""What every route about one request begins with: the request itself, and what opens its words."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from chassis.http.calls import Call, CallOf
from chassis.storage.vault import Forgotten
from services.mentoring.api.words import Words
from services.mentoring.domain import request
from services.mentoring.domain.request import MentoringRequested, NoSuchRequest, Request
from services.mentoring.projections import cooperatives, meetings, requests


@dataclass(frozen=True, slots=True)
class Existing:
    """A request that was made: `asked` is how."""

    id: UUID
    version: int
    state: Request
    asked: MentoringRequested


async def existing(request_id: UUID, call: Call) -> Existing:
    """Return a request as it stands. Raises NoSuchRequest."""
    loaded = await call.handler(request.decider).load(request_id)
    if loaded.state.asked is None:
        raise NoSuchRequest
    return Existing(request_id, loaded.version, loaded.state, loaded.state.asked)


async def kecamatan_of(request_id: UUID, call: CallOf) -> str | None:
    """Return the kecamatan in which help is asked for. Raises NoSuchRequest."""
    return (await existing(request_id, call)).asked.kecamatan_code


async def words_of(request_id: UUID, call: Call) -> Words:
    """Return what opens the words of a request that exists."""
    try:
        return Words(await call.vault.key(request_id))
    except Forgotten:
        return Words(None)


async def caught_up(call: Call, at_least: Mapping[str, int]) -> None:
    """Wait until everything this service knows of others and lists has come as far. Raises NotCaughtUp."""
    for projection in (cooperatives.projection, meetings.projection, requests.projection):
        await call.caught_up(projection, at_least)
