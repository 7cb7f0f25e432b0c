"""Everything that happened to a cooperative, told by all services."""

from datetime import date
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from chassis.definitions.decider import Missing
from chassis.http.calls import Cursor, Limit, cursor_after, uuid_after
from chassis.http.routing import Routes
from contracts import roles
from services.reporting.api.reading import MomentOf, NoSuchCooperative, Stamp, Timestamp, kecamatan_of
from services.reporting.api.sentences import sentence
from services.reporting.projections import timeline
from services.reporting.projections.timeline import TimelineRow

routes = Routes()


class TimelineItem(BaseModel):
    """One event."""

    event_id: UUID
    service: str
    type: str
    happened_on: date = Field(description="When it happened; what has no date of its own, when it was recorded")
    recorded_at: Timestamp
    sentence: str = Field(description="What happened, in Bahasa Indonesia")
    data: dict[str, Any] = Field(description="The public event, as other agencies get it")


class Timeline(Stamp):
    """One page of what happened to a cooperative, the earliest first."""

    cooperative_id: UUID
    items: list[TimelineItem]
    next_cursor: str | None


class NothingKnown(Missing):
    """Nothing was known of a cooperative with this id by then."""


async def _kecamatan_of(cooperative_id: UUID, moment: MomentOf) -> str | None:
    try:
        return await kecamatan_of(cooperative_id, moment)
    except NoSuchCooperative:
        raise NothingKnown from None


@routes.get(
    "/v1/cooperatives/{cooperative_id}/timeline",
    callers=roles.READERS,
    within=_kecamatan_of,
    response_model=Timeline,
    summary="Everything that happened to a cooperative",
)
async def get(cooperative_id: UUID, moment: MomentOf, cursor: Cursor, limit: Limit = 100) -> Timeline:
    """Return what had happened to a cooperative by a day, as known at a time, the earliest first."""
    async with moment.open(timeline.projection) as (view, stamp, _):
        query = timeline.entries(
            cooperative_id,
            moment.as_of,
            moment.known_at,
            uuid_after(cursor),
            undated=moment.given != "as_of",
        )
        rows = await view.rows(timeline.projection, query.limit(limit + 1))
        if not rows and not await view.fetch(timeline.known(cooperative_id, moment.known_at).limit(1)):
            raise NothingKnown
    page = rows[:limit]
    return Timeline(
        **dict(stamp),
        cooperative_id=cooperative_id,
        items=[_item(row) for row in page],
        next_cursor=cursor_after(str(page[-1].event_id)) if len(rows) > limit else None,
    )


def _item(row: TimelineRow) -> TimelineItem:
    event = timeline.event_of(row)
    return TimelineItem(
        event_id=row.event_id,
        service=row.service,
        type=row.type,
        happened_on=row.happened_on,
        recorded_at=row.recorded_at,
        sentence=sentence(event),
        data=event.model_dump(mode="json", by_alias=True),
    )
