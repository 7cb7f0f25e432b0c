"""The annual members' meetings that the rat service tells of, so that a request shows those its mentoring led to."""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, Date, Integer, MetaData, Select, Table, Text, Uuid, select

from chassis.definitions.projection import Projection, Received, Row, reads
from contracts import rat

table = Table(
    "meetings",
    MetaData(),
    Column("meeting", Text, primary_key=True),
    Column("cooperative_id", Uuid, nullable=False, index=True),
    Column("book_year", Integer, nullable=False),
    Column("held_on", Date, nullable=False),
)


class MeetingRow(Row, frozen=True):
    """The valid meeting of a cooperative for a book year. `meeting` names the two."""

    meeting: str
    cooperative_id: UUID
    book_year: int
    held_on: date


def _name(received: Received[Any]) -> str:
    return f"{received.subject}:{received.data.book_year}"


@reads("book_year", "held_on")
def _held(row: MeetingRow | None, received: Received[rat.RATHeld]) -> MeetingRow:
    return MeetingRow(_name(received), received.subject, received.data.book_year, received.data.held_on)


@reads("book_year", "changes")
def _corrected(row: MeetingRow | None, received: Received[rat.RATCorrected]) -> MeetingRow | None:
    held_on = received.data.changes.get("held_on")
    return (
        msgspec.structs.replace(row, held_on=date.fromisoformat(held_on)) if row and isinstance(held_on, str) else row
    )


@reads("book_year")
def _annulled(row: MeetingRow | None, received: Received[rat.RATAnnulled]) -> None:
    return None


projection = Projection(
    name="meetings",
    version=1,
    table=table,
    row=MeetingRow,
    handlers={rat.RATHeld: _held, rat.RATCorrected: _corrected, rat.RATAnnulled: _annulled},
    key=_name,
)


def held_between(cooperative_id: UUID, first: date, last: date) -> Select[Any]:
    """Return the query of a cooperative's meetings from `first` to `last`, both included, oldest first."""
    return (
        select(table)
        .where(table.c.cooperative_id == cooperative_id, table.c.held_on.between(first, last))
        .order_by(table.c.held_on, table.c.book_year)
    )
