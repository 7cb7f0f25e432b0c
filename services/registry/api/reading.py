"""Looking cooperatives up: one with both truths about it, its history, and the register page by page."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Query, Response
from pydantic import Field

from chassis.definitions import clock
from chassis.definitions.values import KecamatanCode, ShortText
from chassis.engine.ports import StoredEvent, Stream
from chassis.http.admission import Within
from chassis.http.calls import AtLeast, Body, CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.history import HistoryPage, history
from chassis.http.routing import Routes
from contracts import roles
from services.registry.api.streams import kecamatan_of, load
from services.registry.domain import cooperative, sides
from services.registry.domain.cooperative import Existence, NoSuchCooperative
from services.registry.projections import cooperatives

routes = Routes()


class CooperativeItem(Body):
    """A cooperative as it stands now."""

    cooperative_id: UUID
    version: int
    name: str
    legal_entity_number: str | None
    legal_entity_date: date | None
    nik: str | None
    tier: str
    scope: str | None
    type: str | None
    group: str | None
    sector: str | None
    address: str | None
    kecamatan_code: str | None
    kecamatan_text: str | None
    village_code: str | None
    members_total: int | None
    nik_grade: str | None
    source: str
    existence: str
    finding: str | None = Field(description="what the office found last; existence may be another by now")
    traced_on: date | None


class Said(Body):
    """What one side says of a field: the day it speaks of, and when it was recorded."""

    value: date | int | str | None
    on: date
    recorded_at: datetime


class CooperativeRecord(CooperativeItem):
    """A cooperative as it stands now, with both truths side by side, field by field."""

    ministry: dict[str, Said] = Field(description="what the Ministry's lists and decisions say, of which fields")
    office: dict[str, Said] = Field(description="what the office says: its sheets, corrections, findings")
    differing: list[str] = Field(description="the fields in which the two differ")


class CooperativeList(Body):
    """One page of the register."""

    items: list[CooperativeItem]
    next_cursor: str | None


@routes.get(
    "/v1/cooperatives/{cooperative_id}",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=CooperativeRecord,
    summary="One cooperative",
)
async def get(cooperative_id: UUID, call: CallOf, response: Response) -> CooperativeRecord:
    """Return one cooperative as it stands now, with what the Ministry and what the office say of it."""
    events = await load(call, cooperative_id)
    state = cooperative.decider.fold([event for event, _ in events])
    both = sides.sides_of((event, at, at.astimezone(clock.JAKARTA).date()) for event, at in events)
    response.headers["ETag"] = f'"{len(events)}"'
    found = state.found
    return CooperativeRecord(
        cooperative_id=cooperative_id,
        version=len(events),
        name=state.name,
        legal_entity_number=state.legal_entity_number,
        legal_entity_date=state.legal_entity_date,
        nik=state.nik,
        tier=state.tier,
        scope=state.scope,
        type=state.type,
        group=state.group,
        sector=state.sector,
        address=state.place.address,
        kecamatan_code=state.place.kecamatan_code,
        kecamatan_text=state.kecamatan_text,
        village_code=state.place.village_code,
        members_total=state.members_total,
        nik_grade=state.nik_grade,
        source=state.source,
        existence=state.existence,
        finding=found.finding if found else None,
        traced_on=found.traced_on if found else None,
        ministry=_said(both.ministry),
        office=_said(both.office),
        differing=both.differing,
    )


def _said(side: Mapping[str, sides.Said]) -> dict[str, Said]:
    return {
        name: Said(value=said.value, on=said.on, recorded_at=said.recorded_at) for name, said in sorted(side.items())
    }


@routes.get(
    "/v1/cooperatives/{cooperative_id}/history",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=HistoryPage,
    summary="Everything recorded about one cooperative",
)
async def get_history(cooperative_id: UUID, call: CallOf, cursor: Cursor, limit: Limit = 100) -> HistoryPage:
    """Return the stream, oldest first, with who and when; the notes of a tracing are for the office only."""
    page = await history(call, Stream(cooperative.decider.stream, cooperative_id), cursor, limit, _without_notes)
    if not page.items and cursor is None:
        raise NoSuchCooperative
    return page


def _without_notes(event: StoredEvent) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(event.data)
    data.pop("notes", None)
    return data


@routes.get(
    "/v1/cooperatives",
    callers=roles.READERS,
    within=Within.LISTED,
    response_model=CooperativeList,
    summary="The register",
)
async def find(
    call: CallOf,
    at_least: AtLeast,
    cursor: Cursor,
    kecamatan_code: Annotated[KecamatanCode | None, Query()] = None,
    q: Annotated[ShortText | None, Query(description="part of the name or number, or a NIK")] = None,
    existence: Annotated[Existence | None, Query()] = None,
    limit: Limit = 100,
) -> CooperativeList:
    """Return the register, page by page."""
    query = cooperatives.page(
        kecamatan_code=kecamatan_code, q=q, existence=existence, after=uuid_after(cursor), limit=limit
    )
    async with call.view(cooperatives.projection, at_least) as view:
        rows = await view.rows(cooperatives.projection, query)
    items = []
    for row in rows[:limit]:
        values = msgspec.structs.asdict(row)
        del values["moved_on"]
        items.append(CooperativeItem(**values))
    return CooperativeList(
        items=items, next_cursor=cursor_after(str(items[-1].cooperative_id)) if len(rows) > limit else None
    )
