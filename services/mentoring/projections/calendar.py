"""The team's calendar: visits that are planned and activities that were held, from public events alone.

Who goes is not in it: names are no part of public events. The calendar's readers get them from the requests.
"""

from collections.abc import Hashable
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Date, MetaData, Select, Table, Text, Uuid, select, tuple_

from chassis.definitions.projection import Projection, Received, Row
from contracts import mentoring

table = Table(
    "calendar",
    MetaData(),
    Column("entry_id", Uuid, primary_key=True),
    Column("request_id", Uuid, nullable=False),
    Column("cooperative_id", Uuid),
    Column("kecamatan_code", Text, nullable=False),
    Column("on_day", Date, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
)


class CalendarRow(Row, frozen=True):
    """A visit or an activity on a day; `state` is `planned` or `held`."""

    entry_id: UUID
    request_id: UUID
    cooperative_id: UUID | None
    kecamatan_code: str
    on_day: date
    kind: str
    state: str


def _entry(received: Received[Any]) -> Hashable:
    """File an activity under its event, and everything about the planned visit under the request that has one."""
    return received.id if received.type == "MentoringActivityHeld" else received.subject


def _planned(row: CalendarRow | None, received: Received[mentoring.MentoringAccepted]) -> CalendarRow:
    return _row(received.subject, received, received.data.visit_on, "visit", "planned")


def _held(row: CalendarRow | None, received: Received[mentoring.MentoringActivityHeld]) -> CalendarRow:
    return _row(received.id, received, received.data.held_on, received.data.kind, "held")


def _over(row: CalendarRow | None, received: Received[mentoring.MentoringCompleted]) -> CalendarRow | None:
    """Take out a visit that will not be made any more."""
    return None if row and row.on_day > received.data.completed_on else row


def _row(entry_id: UUID, received: Received[Any], on_day: date, kind: str, state: str) -> CalendarRow:
    about = received.data
    return CalendarRow(entry_id, received.subject, about.cooperative_id, about.kecamatan_code, on_day, kind, state)


projection = Projection(
    name="calendar",
    version=1,
    table=table,
    row=CalendarRow,
    handlers={
        mentoring.MentoringAccepted: _planned,
        mentoring.MentoringActivityHeld: _held,
        mentoring.MentoringCompleted: _over,
    },
    key=_entry,
)


def page(first: date, last: date, *, after: tuple[date, UUID] | None, limit: int) -> Select[Any]:
    """Return the query of one page from `first` to `last`, both included, by day; one row more says there is another.

    `after` is the day and the id of the last entry of the page before.
    """
    query = select(table).where(table.c.on_day.between(first, last))
    if after is not None:
        query = query.where(tuple_(table.c.on_day, table.c.entry_id) > after)
    return query.order_by(table.c.on_day, table.c.entry_id).limit(limit + 1)
