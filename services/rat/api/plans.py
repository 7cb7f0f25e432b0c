"""Announced meetings over HTTP: what a cooperative plans, and where the office may want to be."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.decider import Invalid
from chassis.definitions.values import Date, KecamatanCode, ShortText, Year
from chassis.http.admission import Within
from chassis.http.calls import AtLeast, Body, CallOf, Cursor, Limit, cursor_after
from chassis.http.routing import Routes
from contracts import roles
from services.rat.api.commands import Accepted, execute
from services.rat.domain.annual_meetings import PlanMeeting
from services.rat.projections import plans

routes = Routes()


class Plan(Body):
    """When and where a cooperative will meet."""

    book_year: Year = Field(examples=[2024])
    planned_on: Date = Field(examples=["2025-02-22"])
    venue: ShortText = Field(examples=["Balai Desa Sitirejo"])


class PlanItem(Body):
    """A planned meeting, as announced last."""

    cooperative_id: UUID
    kecamatan_code: str | None = Field(description="where the cooperative sits now")
    book_year: int
    planned_on: date
    venue: str
    held_on: date | None = Field(description="when the meeting of this book year was held, if it is on record")


class PlanList(Body):
    """One page of planned meetings, by day."""

    items: list[PlanItem]
    next_cursor: str | None


@routes.post(
    "/v1/cooperatives/{cooperative_id}/rat-plans",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Note when and where a meeting will be",
)
async def plan(cooperative_id: UUID, body: Plan, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Note an announced meeting of a book year that has none on record; announced again, the later word counts."""

    def command(kecamatan_code: str | None) -> PlanMeeting:
        return PlanMeeting(
            kecamatan_code=kecamatan_code,
            today=call.today,
            book_year=body.book_year,
            planned_on=body.planned_on,
            venue=body.venue,
        )

    return await execute(call, at_least, cooperative_id, body.book_year, command)


@routes.get(
    "/v1/rat-plans",
    callers=roles.READERS,
    within=Within.LISTED,
    response_model=PlanList,
    summary="Planned meetings",
)
async def find(
    call: CallOf,
    at_least: AtLeast,
    cursor: Cursor,
    first: Annotated[Date | None, Query(alias="from", description="planned on this day or later")] = None,
    last: Annotated[Date | None, Query(alias="to", description="planned on this day or earlier")] = None,
    kecamatan_code: Annotated[KecamatanCode | None, Query(description="where the cooperative sits now")] = None,
    limit: Limit = 100,
) -> PlanList:
    """Return what cooperatives announced, by day, page by page; of a dissolved one nothing."""
    if first is not None and last is not None and last < first:
        raise Invalid("to", "must not lie before from")
    query = plans.page(first=first, last=last, kecamatan_code=kecamatan_code, after=_place(cursor), limit=limit)
    async with call.view(plans.projection, at_least) as view:
        rows = await view.fetch(query)
    items = [PlanItem(**row._mapping) for row in rows[:limit]]
    return PlanList(items=items, next_cursor=_cursor(items[-1]) if len(rows) > limit else None)


def _cursor(item: PlanItem) -> str:
    return cursor_after(f"{item.planned_on} {item.cooperative_id} {item.book_year}")


def _place(cursor: str | None) -> plans.Place | None:
    if cursor is None:
        return None
    try:
        planned_on, cooperative_id, book_year = cursor.split(" ")
        return date.fromisoformat(planned_on), UUID(cooperative_id), int(book_year)
    except ValueError:
        raise Invalid("cursor", "take it from next_cursor of the page before") from None
