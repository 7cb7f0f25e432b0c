"""The meetings that cooperatives announced: when and where, in which kecamatan now, and whether they were held.

What the registry says of a cooperative holds for all it announced: one that moved takes its plans along, one that is
dissolved has none. So a row is a cooperative, and the list takes it apart.
"""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chassis.definitions.projection import Projection, Received, Row, reads
from contracts import rat, registry

table = sa.Table(
    "plans",
    sa.MetaData(),
    sa.Column("cooperative_id", sa.Uuid, primary_key=True),
    sa.Column("kecamatan_code", sa.Text),
    sa.Column("moved_on", sa.Date),
    sa.Column("dissolved_on", sa.Date),
    sa.Column("announced", JSONB, nullable=False),
)

_NOTHING: list[dict[str, Any]] = []


class PlansRow(Row, frozen=True):
    """What one cooperative announced. `moved_on` is the date of its last known relocation.

    `announced` are its plans by book year: {book_year, planned_on, venue, held_on}, dates as in JSON.
    """

    cooperative_id: UUID
    kecamatan_code: str | None = None
    moved_on: date | None = None
    dissolved_on: date | None = None
    announced: list[dict[str, Any]] = _NOTHING


@reads("kecamatan_code")
def _seated(
    row: PlansRow | None,
    received: Received[registry.CooperativeRegistered | registry.CooperativeCorrected | registry.MinistryRecordChanged],
) -> PlansRow:
    return msgspec.structs.replace(_of(row, received), kecamatan_code=received.data.kecamatan_code)


@reads("kecamatan_code", "effective_on")
def _relocated(row: PlansRow | None, received: Received[registry.CooperativeRelocated]) -> PlansRow:
    row, event = _of(row, received), received.data
    if row.moved_on and event.effective_on < row.moved_on:
        return row
    return msgspec.structs.replace(row, kecamatan_code=event.kecamatan_code, moved_on=event.effective_on)


@reads("decided_on")
def _dissolved(row: PlansRow | None, received: Received[registry.RemovalApproved]) -> PlansRow:
    return msgspec.structs.replace(_of(row, received), dissolved_on=received.data.decided_on)


@reads("book_year", "planned_on", "venue")
def _planned(row: PlansRow | None, received: Received[rat.RATPlanned]) -> PlansRow:
    event = received.data
    plan = {
        "book_year": event.book_year,
        "planned_on": event.planned_on.isoformat(),
        "venue": event.venue,
        "held_on": None,
    }
    row = _of(row, received)
    others = [each for each in row.announced if each["book_year"] != event.book_year]
    announced = sorted([*others, plan], key=lambda each: int(each["book_year"]))
    return msgspec.structs.replace(row, announced=announced)


@reads("book_year", "held_on")
def _held(row: PlansRow | None, received: Received[rat.RATHeld]) -> PlansRow | None:
    return _with_held(row, received.data.book_year, received.data.held_on.isoformat())


@reads("book_year", "changes")
def _corrected(row: PlansRow | None, received: Received[rat.RATCorrected]) -> PlansRow | None:
    changes = received.data.changes
    return _with_held(row, received.data.book_year, changes["held_on"]) if "held_on" in changes else row


@reads("book_year")
def _annulled(row: PlansRow | None, received: Received[rat.RATAnnulled]) -> PlansRow | None:
    return _with_held(row, received.data.book_year, None)


def _of(row: PlansRow | None, received: Received[Any]) -> PlansRow:
    # Services interleave as they like: a plan may arrive before the cooperative's registration.
    return row or PlansRow(received.subject)


def _with_held(row: PlansRow | None, book_year: int, held_on: object) -> PlansRow | None:
    if row is None or all(each["book_year"] != book_year for each in row.announced):
        return row
    announced = [{**each, "held_on": held_on} if each["book_year"] == book_year else each for each in row.announced]
    return msgspec.structs.replace(row, announced=announced)


projection = Projection(
    name="plans",
    version=1,
    table=table,
    row=PlansRow,
    handlers={
        registry.CooperativeRegistered: _seated,
        registry.CooperativeCorrected: _seated,
        registry.MinistryRecordChanged: _seated,
        registry.CooperativeRelocated: _relocated,
        registry.RemovalApproved: _dissolved,
        rat.RATPlanned: _planned,
        rat.RATHeld: _held,
        rat.RATCorrected: _corrected,
        rat.RATAnnulled: _annulled,
    },
)

_plan = (
    sa.func.jsonb_to_recordset(table.c.announced)
    .table_valued(
        sa.column("book_year", sa.Integer),
        sa.column("planned_on", sa.Date),
        sa.column("venue", sa.Text),
        sa.column("held_on", sa.Date),
    )
    .render_derived(name="plan", with_types=True)
)

type Place = tuple[date, UUID, int]
"""Where a plan stands in the list: its day, then its cooperative, then its book year."""


def page(
    *, first: date | None, last: date | None, kecamatan_code: str | None, after: Place | None, limit: int
) -> sa.Select[Any]:
    """Return the query of one page, by day; one row more than `limit` tells whether there is another page.

    Its columns are cooperative_id, kecamatan_code, book_year, planned_on, venue, held_on. `first` and `last` are
    the days of the plans, both included; `after` is the last plan of the page before.
    """
    place = sa.tuple_(_plan.c.planned_on, table.c.cooperative_id, _plan.c.book_year)
    query = (
        sa.select(table.c.cooperative_id, table.c.kecamatan_code, *_plan.c)
        .select_from(table.join(_plan, sa.true()))
        .where(table.c.dissolved_on.is_(None))
        .order_by(_plan.c.planned_on, table.c.cooperative_id, _plan.c.book_year)
        .limit(limit + 1)
    )
    if first is not None:
        query = query.where(_plan.c.planned_on >= first)
    if last is not None:
        query = query.where(_plan.c.planned_on <= last)
    if kecamatan_code is not None:
        query = query.where(table.c.kecamatan_code == kecamatan_code)
    return query if after is None else query.where(place > sa.tuple_(*after))
