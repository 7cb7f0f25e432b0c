"""The read model behind every verdict: one row a cooperative or request, holding its dated facts.

It judges nothing: what a row means at a date, the rule in `services.reporting.domain.health` says when asked.
"""

from collections.abc import Collection
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, ColumnElement, Index, MetaData, Select, Table, Text, Uuid, bindparam, cast, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType

from chassis.definitions.projection import Projection, Received, Row, reads
from contracts import mentoring, rat, registry
from services.reporting.domain import facts
from services.reporting.domain.facts import EMPTY, Fact, Facts, appended, decoded, microseconds


class JsonText(UserDefinedType[str]):
    """A jsonb column whose value here is the JSON text itself, so that nothing is decoded to be passed on."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in PostgreSQL."""
        return "JSONB"

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read the column as text: the driver would decode jsonb into lists that the fold has to encode again."""
        return cast(column, Text)


table = Table(
    "health_status",
    MetaData(),
    Column("subject_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("cooperative_id", Uuid, index=True),
    Column("kecamatan_codes", ARRAY(Text), nullable=False),
    Column("registry", JsonText, nullable=False),
    Column("rat", JsonText, nullable=False),
    Column("mentoring", JsonText, nullable=False),
)
Index("ix_health_status_kecamatan_codes", table.c.kecamatan_codes, postgresql_using="gin")


class HealthRow(Row, frozen=True, gc=False):
    """The facts about one subject: a `cooperative`, or a `request` (whose cooperative may be unknown).

    `kecamatan_codes` are all it ever had, so that a filter finds it at any date. The last three are JSON lists of
    facts, each in the order of its service.
    """

    subject_id: UUID
    kind: str
    cooperative_id: UUID | None
    kecamatan_codes: list[str]
    registry: str = EMPTY
    rat: str = EMPTY
    mentoring: str = EMPTY


def facts_of(row: HealthRow) -> Facts:
    """Return the facts of a row, for the rule to judge."""
    return decoded(row.subject_id, row.registry, row.rat, row.mentoring)


def cooperatives(kecamatan_code: str | None = None, after: UUID | None = None) -> Select[Any]:
    """Select the rows of cooperatives by id, `after` one; with a code, those that were ever in that kecamatan."""
    query = select(table).where(table.c.kind == "cooperative").order_by(table.c.subject_id)
    if kecamatan_code is not None:
        query = query.where(table.c.kecamatan_codes.contains([kecamatan_code]))
    return query if after is None else query.where(table.c.subject_id > after)


ALL = select(table)
"""The rows of all cooperatives and requests, in any order."""

ABOUT_ONE = select(table).where(table.c.cooperative_id == bindparam("cooperative_id"))
"""The row of one cooperative and those of the requests about it. Built once: it is what is asked most often."""


def cooperatives_of(cooperative_ids: Collection[UUID]) -> Select[Any]:
    """Select the rows of these cooperatives."""
    return select(table).where(table.c.kind == "cooperative", table.c.subject_id.in_(cooperative_ids))


def cooperative_ids(after: UUID | None = None) -> Select[Any]:
    """Select the ids of cooperatives in their order, `after` one."""
    query = select(table.c.subject_id).where(table.c.kind == "cooperative").order_by(table.c.subject_id)
    return query if after is None else query.where(table.c.subject_id > after)


def requests(kecamatan_code: str | None = None) -> Select[Any]:
    """Select the rows of requests; with a code, those whose own location is in that kecamatan."""
    query = select(table).where(table.c.kind == "request")
    return query if kecamatan_code is None else query.where(table.c.kecamatan_codes.contains([kecamatan_code]))


def requests_about(cooperative_ids: Collection[UUID]) -> Select[Any]:
    """Select the rows of requests about these cooperatives."""
    return select(table).where(table.c.kind == "request", table.c.cooperative_id.in_(cooperative_ids))


_CHANGES = facts.Changes.__struct_fields__


@reads("name", "nik", "legal_entity_date", "kecamatan_code", "village_code", "tier", "scope")
def _registered(row: HealthRow | None, received: Received[registry.CooperativeRegistered]) -> HealthRow:
    event = received.data
    fact = facts.Registered(
        received.event_id,
        received.sequence,
        microseconds(received.time),
        event.name,
        event.nik,
        event.legal_entity_date,
        event.kecamatan_code,
        event.village_code,
        event.tier,
        event.scope,
    )
    return _with_registry(row, received, fact, event.kecamatan_code)


@reads("changes")
def _corrected(row: HealthRow | None, received: Received[registry.CooperativeCorrected]) -> HealthRow | None:
    return _with_changes(row, received, facts.Corrected)


@reads("changes")
def _record_changed(row: HealthRow | None, received: Received[registry.MinistryRecordChanged]) -> HealthRow | None:
    return _with_changes(row, received, facts.RecordChanged)


@reads("effective_on", "kecamatan_code", "village_code")
def _relocated(row: HealthRow | None, received: Received[registry.CooperativeRelocated]) -> HealthRow:
    event = received.data
    fact = facts.Relocated(
        received.event_id,
        received.sequence,
        microseconds(received.time),
        event.effective_on,
        event.kecamatan_code,
        event.village_code,
    )
    return _with_registry(row, received, fact, event.kecamatan_code)


@reads("traced_on", "finding")
def _traced(row: HealthRow | None, received: Received[registry.CooperativeTraced]) -> HealthRow:
    event = received.data
    fact = facts.Traced(
        received.event_id, received.sequence, microseconds(received.time), event.traced_on, event.finding
    )
    return _with_registry(row, received, fact)


@reads("letter_date")
def _removal_proposed(row: HealthRow | None, received: Received[registry.RemovalProposed]) -> HealthRow:
    letter_date = received.data.letter_date
    fact = facts.RemovalProposed(received.event_id, received.sequence, microseconds(received.time), letter_date)
    return _with_registry(row, received, fact)


@reads("decided_on")
def _removal_approved(row: HealthRow | None, received: Received[registry.RemovalApproved]) -> HealthRow:
    decided_on = received.data.decided_on
    fact = facts.RemovalApproved(received.event_id, received.sequence, microseconds(received.time), decided_on)
    return _with_registry(row, received, fact)


@reads("decided_on")
def _removal_rejected(row: HealthRow | None, received: Received[registry.RemovalRejected]) -> HealthRow:
    decided_on = received.data.decided_on
    fact = facts.RemovalRejected(received.event_id, received.sequence, microseconds(received.time), decided_on)
    return _with_registry(row, received, fact)


@reads("book_year", "held_on", "source")
def _rat_held(row: HealthRow | None, received: Received[rat.RATHeld]) -> HealthRow:
    event = received.data
    fact = facts.RATHeld(
        received.event_id, received.sequence, microseconds(received.time), event.book_year, event.held_on, event.source
    )
    return _with_rat(row, received, fact)


@reads("book_year", "source")
def _rat_attested(row: HealthRow | None, received: Received[rat.RATAttested]) -> HealthRow:
    event = received.data
    fact = facts.RATAttested(
        received.event_id, received.sequence, microseconds(received.time), event.book_year, event.source
    )
    return _with_rat(row, received, fact)


@reads("book_year", "changes")
def _rat_corrected(row: HealthRow | None, received: Received[rat.RATCorrected]) -> HealthRow | None:
    event = received.data
    if "held_on" not in event.changes:
        return row
    held_on = msgspec.convert(event.changes["held_on"], date)
    fact = facts.RATCorrected(
        received.event_id, received.sequence, microseconds(received.time), event.book_year, held_on
    )
    return _with_rat(row, received, fact)


@reads("book_year")
def _rat_annulled(row: HealthRow | None, received: Received[rat.RATAnnulled]) -> HealthRow:
    fact = facts.RATAnnulled(received.event_id, received.sequence, microseconds(received.time), received.data.book_year)
    return _with_rat(row, received, fact)


@reads("received_on", "kecamatan_code", "cooperative_id")
def _mentoring_requested(row: HealthRow | None, received: Received[mentoring.MentoringRequested]) -> HealthRow:
    event = received.data
    fact = facts.MentoringRequested(
        received.event_id, received.sequence, microseconds(received.time), event.received_on, event.kecamatan_code
    )
    so_far = row.mentoring if row else EMPTY
    return HealthRow(
        received.subject, "request", event.cooperative_id, _only(event.kecamatan_code), mentoring=appended(so_far, fact)
    )


@reads("declined_on")
def _mentoring_declined(row: HealthRow | None, received: Received[mentoring.MentoringDeclined]) -> HealthRow | None:
    return _closed(row, received, received.data.declined_on, "declined")


@reads("redirected_on")
def _mentoring_redirected(row: HealthRow | None, received: Received[mentoring.MentoringRedirected]) -> HealthRow | None:
    return _closed(row, received, received.data.redirected_on, "redirected")


@reads("completed_on")
def _mentoring_completed(row: HealthRow | None, received: Received[mentoring.MentoringCompleted]) -> HealthRow | None:
    return _closed(row, received, received.data.completed_on, "completed")


def _closed(row: HealthRow | None, received: Received[Any], closed_on: date, how: str) -> HealthRow | None:
    if row is None:
        return None  # a request is always made first, and mentoring's events come in their order
    fact = facts.MentoringClosed(received.event_id, received.sequence, microseconds(received.time), closed_on, how)
    return msgspec.structs.replace(row, mentoring=appended(row.mentoring, fact))


def _with_changes(
    row: HealthRow | None, received: Received[Any], kind: type[facts.Corrected | facts.RecordChanged]
) -> HealthRow | None:
    relevant = {name: received.data.changes[name] for name in _CHANGES if name in received.data.changes}
    if not relevant:
        return row
    changes = msgspec.convert(relevant, facts.Changes)
    code = changes.kecamatan_code
    fact = kind(received.event_id, received.sequence, microseconds(received.time), changes)
    return _with_registry(row, received, fact, code if isinstance(code, str) else None)


def _with_registry(
    row: HealthRow | None, received: Received[Any], fact: Fact, kecamatan_code: str | None = None
) -> HealthRow:
    if row is None:
        row = _cooperative(received.subject)
    codes = row.kecamatan_codes
    if kecamatan_code is not None and kecamatan_code not in codes:
        codes = [*codes, kecamatan_code] if codes else _only(kecamatan_code)
    return HealthRow(
        row.subject_id, row.kind, row.cooperative_id, codes, appended(row.registry, fact), row.rat, row.mentoring
    )


def _with_rat(row: HealthRow | None, received: Received[Any], fact: Fact) -> HealthRow:
    if row is None:
        row = _cooperative(received.subject)
    return HealthRow(
        row.subject_id,
        row.kind,
        row.cooperative_id,
        row.kecamatan_codes,
        row.registry,
        appended(row.rat, fact),
        row.mentoring,
    )


@cache
def _only(kecamatan_code: str) -> list[str]:
    # One list for all rows with this one code: in a rebuild that is most of a hundred thousand. Never changed.
    return [kecamatan_code]


_NOWHERE: list[str] = []


def _cooperative(subject: UUID) -> HealthRow:
    # Services interleave as they like: a meeting may arrive before the cooperative's registration.
    return HealthRow(subject, "cooperative", subject, _NOWHERE)


projection = Projection(
    name="health_status",
    version=2,
    table=table,
    row=HealthRow,
    handlers={
        registry.CooperativeRegistered: _registered,
        registry.CooperativeCorrected: _corrected,
        registry.MinistryRecordChanged: _record_changed,
        registry.CooperativeRelocated: _relocated,
        registry.CooperativeTraced: _traced,
        registry.RemovalProposed: _removal_proposed,
        registry.RemovalApproved: _removal_approved,
        registry.RemovalRejected: _removal_rejected,
        rat.RATHeld: _rat_held,
        rat.RATAttested: _rat_attested,
        rat.RATCorrected: _rat_corrected,
        rat.RATAnnulled: _rat_annulled,
        mentoring.MentoringRequested: _mentoring_requested,
        mentoring.MentoringDeclined: _mentoring_declined,
        mentoring.MentoringRedirected: _mentoring_redirected,
        mentoring.MentoringCompleted: _mentoring_completed,
    },
)
