"""The issued camat reports, with what camats did about them: one row a report."""

from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, MetaData, Select, Table, Text, Uuid, select

from chassis.definitions.projection import Projection, Received, Row
from contracts import reporting
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.projections.health_status import JsonText

table = Table(
    "camat_reports",
    MetaData(),
    Column("report_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("kecamatan_code", Text, nullable=False, index=True),
    Column("period", Text, nullable=False, index=True),
    Column("issued_on", Date, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("known_at", DateTime(timezone=True), nullable=False),
    Column("policy", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("positions", JsonText, nullable=False),
    Column("numbers", JsonText, nullable=False),
    Column("acknowledgements", JsonText, nullable=False),
    Column("follow_ups", JsonText, nullable=False),
)


class Acknowledgement(msgspec.Struct, frozen=True):
    """The camat has the report, since a day."""

    acknowledged_on: date
    recorded_at: datetime


class FollowUp(msgspec.Struct, frozen=True):
    """What was done about a cooperative of the report."""

    event_id: UUID
    cooperative_id: UUID
    action: str
    done_on: date
    recorded_at: datetime


class ReportRow(Row, frozen=True):
    """One issued report. `sequence` is the service's number of its issue, by which lists go.

    The last four are JSON: positions and numbers as the event has them, and lists of what came later.
    """

    report_id: UUID
    sequence: int
    version: int
    kecamatan_code: str
    period: str
    issued_on: date
    issued_at: datetime
    as_of: date
    known_at: datetime
    policy: str
    sha256: str
    positions: str
    numbers: str
    acknowledgements: str = "[]"
    follow_ups: str = "[]"


def positions_of(row: ReportRow) -> dict[str, int]:
    """Return the last events that a report knows of, per service."""
    return _decoder(dict[str, int]).decode(row.positions)  # type: ignore[no-any-return]


def numbers_of(row: ReportRow) -> Numbers:
    """Return the numbers of a report."""
    return Numbers.model_validate_json(row.numbers)


def acknowledgements_of(row: ReportRow) -> list[Acknowledgement]:
    """Return who has it: none or one."""
    return _decoder(list[Acknowledgement]).decode(row.acknowledgements)  # type: ignore[no-any-return]


def follow_ups_of(row: ReportRow) -> list[FollowUp]:
    """Return what was done, in the order of recording."""
    return _decoder(list[FollowUp]).decode(row.follow_ups)  # type: ignore[no-any-return]


BY_KECAMATAN = select(table).order_by(table.c.kecamatan_code, table.c.as_of, table.c.sequence)
"""All reports, each kecamatan's in the order of the days they show."""


def one(report_id: UUID) -> Select[Any]:
    """Return the query of one report."""
    return select(table).where(table.c.report_id == report_id)


def page(
    *,
    kecamatan_code: str | None,
    period: str | None,
    as_of: date,
    known_at: datetime | None,
    before: int | None,
    limit: int,
) -> Select[Any]:
    """Return the query of one page, the last issued first; one row more than `limit` tells of another page.

    Only reports issued up to `as_of` and recorded up to `known_at`. `before` is the sequence a page ended with.
    """
    query = select(table).where(table.c.issued_on <= as_of).order_by(table.c.sequence.desc()).limit(limit + 1)
    if kecamatan_code is not None:
        query = query.where(table.c.kecamatan_code == kecamatan_code)
    if period is not None:
        query = query.where(table.c.period == period)
    if known_at is not None:
        query = query.where(table.c.issued_at <= known_at)
    return query if before is None else query.where(table.c.sequence < before)


def last_before(kecamatan_code: str, as_of: date, known_at: datetime | None, but: UUID | None) -> Select[Any]:
    """Return the query of the last report on a kecamatan that shows a day before `as_of`, other than `but`."""
    query = select(table).where(table.c.kecamatan_code == kecamatan_code, table.c.as_of < as_of)
    if known_at is not None:
        query = query.where(table.c.issued_at <= known_at)
    if but is not None:
        query = query.where(table.c.report_id != but)
    return query.order_by(table.c.as_of.desc(), table.c.sequence.desc()).limit(1)


def _issued(row: ReportRow | None, received: Received[reporting.CamatReportIssued]) -> ReportRow:
    event = received.data
    return ReportRow(
        report_id=received.subject,
        sequence=received.sequence,
        version=received.stream_version,
        kecamatan_code=event.kecamatan_code,
        period=event.period,
        issued_on=event.issued_on,
        issued_at=received.time,
        as_of=event.as_of,
        known_at=event.known_at,
        policy=event.policy,
        sha256=event.sha256,
        positions=_json(event.positions),
        numbers=_json({name: getattr(event.numbers, name) for name in Numbers.model_fields}),
    )


def _acknowledged(row: ReportRow | None, received: Received[reporting.CamatReportAcknowledged]) -> ReportRow | None:
    made = Acknowledgement(received.data.acknowledged_on, received.time)
    return row and msgspec.structs.replace(
        row, version=received.stream_version, acknowledgements=_json([*acknowledgements_of(row), made])
    )


def _followed_up(row: ReportRow | None, received: Received[reporting.CamatFollowUpRecorded]) -> ReportRow | None:
    event = received.data
    made = FollowUp(received.id, event.cooperative_id, event.action, event.done_on, received.time)
    return row and msgspec.structs.replace(
        row, version=received.stream_version, follow_ups=_json([*follow_ups_of(row), made])
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


projection = Projection(
    name="camat_reports",
    version=1,
    table=table,
    row=ReportRow,
    handlers={
        reporting.CamatReportIssued: _issued,
        reporting.CamatReportAcknowledged: _acknowledged,
        reporting.CamatFollowUpRecorded: _followed_up,
    },
)
