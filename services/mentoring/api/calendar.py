"""The team's calendar through HTTP: who goes where, and who went."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field

from chassis.definitions.decider import Invalid
from chassis.definitions.values import LATEST, Date
from chassis.http.calls import AtLeast, Body, Call, CallOf, Cursor, Limit, cursor_after
from chassis.http.routing import Routes
from contracts import roles
from services.mentoring.api.words import Words
from services.mentoring.domain import request
from services.mentoring.domain.request import ActivityKind, MentoringAccepted
from services.mentoring.projections import calendar

routes = Routes()


class CalendarItem(Body):
    """A planned visit, or an activity that was held. Of persons it names the team alone."""

    on: date
    kind: ActivityKind
    state: Literal["planned", "held"]
    request_id: UUID
    cooperative_id: UUID | None
    kecamatan_code: str
    team: list[str] | None = Field(description="null when it was forgotten with the request's people")


class CalendarPage(Body):
    """One page of the calendar, by day."""

    items: list[CalendarItem]
    next_cursor: str | None


@routes.get("/v1/calendar", callers=roles.MENTORING, response_model=CalendarPage, summary="Visits and activities")
async def get_calendar(
    call: CallOf,
    at_least: AtLeast,
    cursor: Cursor,
    first: Annotated[Date | None, Query(alias="from", description="default today")] = None,
    last: Annotated[Date | None, Query(alias="to", description="included; default: all that is to come")] = None,
    limit: Limit = 100,
) -> CalendarPage:
    """Return planned visits and activities held from one day to another, both included."""
    first, last = first or call.today, last or LATEST
    if last < first:
        raise Invalid("to", "must not lie before from")
    query = calendar.page(first, last, after=_place(cursor), limit=limit)
    async with call.view(calendar.projection, at_least) as view:
        rows = await view.rows(calendar.projection, query)
    teams = await _teams({row.request_id for row in rows[:limit]}, call)
    items = [
        CalendarItem(
            on=row.on_day,
            kind=row.kind,
            state=row.state,
            request_id=row.request_id,
            cooperative_id=row.cooperative_id,
            kecamatan_code=row.kecamatan_code,
            team=teams[row.request_id],
        )
        for row in rows[:limit]
    ]
    more = rows[limit - 1] if len(rows) > limit else None
    return CalendarPage(items=items, next_cursor=cursor_after(f"{more.on_day} {more.entry_id}") if more else None)


async def _teams(request_ids: set[UUID], call: Call) -> dict[UUID, list[str] | None]:
    """Return who goes, from the requests themselves: names are in no projection."""
    loaded = await call.handler(request.decider).load_many(list(request_ids))
    keys = await call.vault.keys(request_ids)
    teams: dict[UUID, list[str] | None] = {}
    for request_id, each in loaded.items():
        decision = each.state.decision
        sealed = decision.team if isinstance(decision, MentoringAccepted) else None
        teams[request_id] = Words(keys.get(request_id)).open_names("team", sealed)
    return teams


def _place(cursor: str | None) -> tuple[date, UUID] | None:
    if cursor is None:
        return None
    try:
        day, entry_id = cursor.split(" ")
        return date.fromisoformat(day), UUID(entry_id)
    except ValueError:
        raise Invalid("cursor", "take it from next_cursor of the page before") from None
