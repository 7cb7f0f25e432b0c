"""The read model of everything that happened to a cooperative, in all services: one row an event."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Column, Date, DateTime, MetaData, Select, Table, Text, Uuid, or_, select, tuple_

from chassis.definitions.clock import JAKARTA
from chassis.definitions.projection import Handler, Projection, Received, Row
from contracts import mentoring, rat, registry, reporting
from contracts.envelope import PublicEvent
from services.reporting.projections.health_status import JsonText

table = Table(
    "timeline",
    MetaData(),
    Column("event_id", Uuid, primary_key=True),
    Column("cooperative_id", Uuid, nullable=False, index=True),
    Column("service", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("happened_on", Date, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("data", JsonText, nullable=False),
)


class TimelineRow(Row, frozen=True, gc=False):
    """One event about one cooperative: its data as it was published, when it happened, and when it was recorded."""

    event_id: UUID
    cooperative_id: UUID
    service: str
    type: str
    sequence: int
    happened_on: date
    recorded_at: datetime
    data: str


_ORDER = (table.c.happened_on, table.c.recorded_at, table.c.event_id)


def entries(
    cooperative_id: UUID,
    as_of: date,
    known_at: datetime | None = None,
    after: UUID | None = None,
    *,
    undated: bool = False,
) -> Select[Any]:
    """Select what had happened by `as_of` and, given a time, was recorded by then: the earliest first.

    `after` is the event that the page before ended with. With `undated` also whatever has no date of its own: when
    today is pinned to an earlier day, that was recorded later than today.
    """
    happened = table.c.happened_on <= as_of
    if undated:
        without = [event.type_name() for event, happened_on in HAPPENED_ON.items() if happened_on is None]
        happened = or_(happened, table.c.type.in_(without))
    query = known(cooperative_id, known_at).where(happened).order_by(*_ORDER)
    if after is None:
        return query
    last = select(*_ORDER).where(table.c.event_id == after).scalar_subquery()
    return query.where(tuple_(*_ORDER) > last)


def known(cooperative_id: UUID, known_at: datetime | None = None) -> Select[Any]:
    """Select whatever is about a cooperative and, given a time, was recorded by then, in no order."""
    query = select(table).where(table.c.cooperative_id == cooperative_id)
    return query if known_at is None else query.where(table.c.recorded_at <= known_at)


def event_of(row: TimelineRow) -> PublicEvent:
    """Return the public event of a row."""
    event, _ = projection.by_type[row.service, row.type]
    return event.model_validate_json(row.data)


# By which of its dates an event happened. None: it has none of its own, so it happened when it was recorded. That a
# meeting is planned, or a visit agreed on, happens before its day.
HAPPENED_ON: dict[type[PublicEvent], str | None] = {
    registry.CooperativeRegistered: "legal_entity_date",
    registry.CooperativeCorrected: None,
    registry.CooperativeRelocated: "effective_on",
    registry.CooperativeTraced: "traced_on",
    registry.RemovalProposed: "letter_date",
    registry.RemovalApproved: "decided_on",
    registry.RemovalRejected: "decided_on",
    registry.MinistryRecordChanged: None,
    rat.RATHeld: "held_on",
    rat.RATVerified: "verified_on",
    rat.RATCorrected: None,
    rat.RATAnnulled: None,
    rat.RATAttested: None,
    rat.RATPlanned: None,
    rat.WarningIssued: "letter_date",
    mentoring.MentoringRequested: "received_on",
    mentoring.MentoringAccepted: "accepted_on",
    mentoring.MentoringDeclined: "declined_on",
    mentoring.MentoringRedirected: "redirected_on",
    mentoring.MentoringActivityHeld: "held_on",
    mentoring.MentoringCompleted: "completed_on",
    mentoring.MentoringPeopleForgotten: "forgotten_on",
    reporting.HealthStatusChanged: "as_of",
    reporting.CamatFollowUpRecorded: "done_on",
}


def _entry(happened_on: str | None) -> Handler[TimelineRow]:
    def handler(_: TimelineRow | None, received: Received[Any]) -> TimelineRow | None:
        if received.data.cooperative_id is None:
            return None  # a request for a cooperative that the register doesn't know
        day: date | None = getattr(received.data, happened_on) if happened_on else None
        return TimelineRow(
            received.id,
            received.data.cooperative_id,
            received.service,
            received.type,
            received.sequence,
            day or received.time.astimezone(JAKARTA).date(),
            received.time,
            msgspec.json.encode(received.data).decode(),
        )

    return handler


def _by_event(received: Received[Any]) -> UUID:
    return received.id


projection = Projection(
    name="timeline",
    version=1,
    table=table,
    row=TimelineRow,
    handlers={event: _entry(happened_on) for event, happened_on in HAPPENED_ON.items()},
    key=_by_event,
)
