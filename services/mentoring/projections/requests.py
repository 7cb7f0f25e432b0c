"""The list of requests, from their public events: it could hold nothing personal if it wanted to."""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, Date, MetaData, Select, Table, Text, Uuid, select

from chassis.definitions.projection import Handler, Projection, Received, Row, reads
from contracts import mentoring

table = Table(
    "requests",
    MetaData(),
    Column("request_id", Uuid, primary_key=True),
    Column("cooperative_id", Uuid, index=True),
    Column("kecamatan_code", Text, nullable=False, index=True),
    Column("village_code", Text),
    Column("category", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("letter_date", Date),
    Column("received_on", Date, nullable=False),
    Column("state", Text, nullable=False, index=True),
)


class RequestRow(Row, frozen=True):
    """One request and how far it has come."""

    request_id: UUID
    cooperative_id: UUID | None
    kecamatan_code: str
    village_code: str | None
    category: str
    channel: str
    letter_date: date | None
    received_on: date
    state: str


def _requested(row: RequestRow | None, received: Received[mentoring.MentoringRequested]) -> RequestRow:
    asked = received.data
    return RequestRow(
        request_id=received.subject,
        cooperative_id=asked.cooperative_id,
        kecamatan_code=asked.kecamatan_code,
        village_code=asked.village_code,
        category=asked.category,
        channel=asked.channel,
        letter_date=asked.letter_date,
        received_on=asked.received_on,
        state="requested",
    )


def _now(state: str) -> Handler[RequestRow]:
    """Return the handler that puts a request into a state."""

    @reads()
    def moved(row: RequestRow | None, received: Received[mentoring.AboutRequest]) -> RequestRow | None:
        return row and msgspec.structs.replace(row, state=state)

    return moved


projection = Projection(
    name="requests",
    version=2,
    table=table,
    row=RequestRow,
    handlers={
        mentoring.MentoringRequested: _requested,
        mentoring.MentoringAccepted: _now("accepted"),
        mentoring.MentoringDeclined: _now("declined"),
        mentoring.MentoringRedirected: _now("redirected"),
        mentoring.MentoringCompleted: _now("completed"),
    },
)


def page(
    *, state: str | None, kecamatan_code: str | None, cooperative_id: UUID | None, after: UUID | None, limit: int
) -> Select[Any]:
    """Return the query of one page, in the order they were taken down; one row more than `limit` says there is another.

    `after` is the last request of the page before.
    """
    wanted = {"state": state, "kecamatan_code": kecamatan_code, "cooperative_id": cooperative_id}
    query = select(table).where(*(table.c[name] == value for name, value in wanted.items() if value is not None))
    if after is not None:
        query = query.where(table.c.request_id > after)
    return query.order_by(table.c.request_id).limit(limit + 1)
