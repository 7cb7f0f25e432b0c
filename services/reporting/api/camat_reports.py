"""Camat reports over HTTP: read for any moment, issued and then frozen, acknowledged, followed up."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID
from weakref import WeakKeyDictionary

from fastapi import Header, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field

from chassis.definitions.decider import Invalid, Missing, Rejection
from chassis.definitions.values import Date, KecamatanCode, ShortText, Text
from chassis.engine.handling import Loaded
from chassis.engine.ports import Stream
from chassis.http.accept import preferred
from chassis.http.admission import Within
from chassis.http.calls import AtLeast, Body, Call, CallOf, Cursor, Limit, cursor_after
from chassis.http.history import HistoryPage, history
from chassis.http.problems import MEDIA_TYPE
from chassis.http.routing import Routes
from chassis.http.security_headers import STYLED_PAGE
from chassis.storage.read_models import ReadModels
from contracts import roles
from contracts.regions import kecamatan
from services.reporting.api.reading import Moment, MomentOf, NoSuchKecamatan, Reading, Stamp, Timestamp
from services.reporting.documents.formats import FORMATS
from services.reporting.domain import camat_report_issue as issue
from services.reporting.domain.camat_report import Issue, Known, Previous, Report, previous, report
from services.reporting.domain.camat_report_changes import Changes, changes
from services.reporting.domain.camat_report_issue import (
    AcknowledgeCamatReport,
    CamatReportIssued,
    Format,
    IssueCamatReport,
    IssuedReport,
    NoSuchReport,
    RecordCamatFollowUp,
)
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.camat_report_period import period as read_period
from services.reporting.domain.health import HealthRule, Verdict
from services.reporting.domain.policy import Policy, policy_of
from services.reporting.projections import camat_reports, health_status
from services.reporting.projections.camat_reports import ReportRow
from services.reporting.tables.policies import policies

routes = Routes()

_MAY_ACT = (*roles.OFFICE, roles.CAMAT)


class NoAcceptableFormat(Rejection):
    """A camat report comes as JSON, HTML, CSV, XLSX or PDF."""

    status = 406


class NotIssuedAs(Missing):
    """The report was not issued in this format."""


class FrozenInTime(Invalid):
    """An issued report is of its own day and knowledge: no other can be asked for."""


# ---------------------------------------------------------------- what comes in


def _known_kecamatan(code: str) -> str:
    if kecamatan(code) is None:
        raise ValueError(f"{code} is no kecamatan of Kabupaten Malang")
    return code


def _known_period(name: str) -> str:
    return read_period(name).name


class NewReport(Body):
    """Which report to issue."""

    kecamatan_code: Annotated[KecamatanCode, AfterValidator(_known_kecamatan)] = Field(examples=["35.07.21"])
    period: Annotated[ShortText, AfterValidator(_known_period)] = Field(
        examples=["2024-Q3"], description="a quarter (2026-Q3), semester (2026-S1) or month (2026-07) that has begun"
    )
    issued_on: Date | None = Field(None, description="default today")


class NewAcknowledgement(Body):
    """That the camat has the report."""

    acknowledged_on: Date | None = Field(None, description="default today")


class NewFollowUp(Body):
    """What was done about a cooperative of the report."""

    cooperative_id: UUID = Field(examples=["018fd5a0-6c00-7a10-8000-000000000001"])
    action: ShortText = Field(
        examples=["Kunjungan bersama kepala desa"], description="in a few words; other agencies get to know it"
    )
    done_on: Date | None = Field(None, description="default today")
    notes: Text | None = Field(None, description="free text; it stays within the office and the kecamatan")


# ---------------------------------------------------------------- what goes out


class IssuedAnswer(Body):
    """What issuing answers."""

    report_id: UUID
    kecamatan_code: str
    period: str
    issued_on: date
    as_of: date
    known_at: Timestamp
    sha256: str = Field(description="Of the bytes of its PDF")
    version: int


class Accepted(Body):
    """What an accepted command answers."""

    report_id: UUID
    version: int


class FollowUpItem(BaseModel):
    """What was done about a cooperative of the report."""

    cooperative_id: UUID
    action: str
    done_on: date


class ReportItem(BaseModel):
    """One issued report, with what became of it."""

    report_id: UUID
    version: int = Field(description="For If-Match")
    kecamatan_code: str
    name: str
    period: str
    issued_on: date
    as_of: date
    known_at: Timestamp
    policy: str
    sha256: str = Field(description="Of the bytes of its PDF")
    numbers: Numbers
    acknowledged_on: date | None
    follow_ups: list[FollowUpItem]


class ReportList(Stamp):
    """One page of issued reports, the last issued first."""

    items: list[ReportItem]
    next_cursor: str | None


class ChangesAnswer(Stamp, Changes):
    """What an issued report would read otherwise today."""

    report_id: UUID
    kecamatan_code: str
    period: str
    issued_on: date
    was_known_at: Timestamp = Field(description="Up to when the report knew")


# ---------------------------------------------------------------- routes

_TEXT: Mapping[str, Any] = {"schema": {"type": "string"}}
_BYTES: Mapping[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_AS_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report, in the format asked for",
        "content": {
            FORMATS["html"].media_type.partition(";")[0]: _TEXT,
            FORMATS["csv"].media_type.partition(";")[0]: _TEXT,
            FORMATS["xlsx"].media_type: _BYTES,
            FORMATS["pdf"].media_type: _BYTES,
        },
    },
    406: {"description": "None of the formats that Accept names is to be had", "content": {MEDIA_TYPE: {}}},
}


async def _kecamatan_of(report_id: UUID, call: CallOf) -> str:
    _, issued = await _load(call, report_id)
    return issued.kecamatan_code


async def _kecamatan_named(report: str, call: CallOf) -> str:
    name = _without_extension(report)[0]
    if report_id := _uuid(name):
        return await _kecamatan_of(report_id, call)
    if kecamatan(name) is None:
        raise NoSuchKecamatan
    return name


@routes.get(
    "/v1/camat-reports",
    callers=roles.READERS,
    within=Within.LISTED,
    response_model=ReportList,
    summary="Issued camat reports",
)
async def find(
    moment: MomentOf,
    cursor: Cursor,
    kecamatan_code: Annotated[KecamatanCode | None, Query()] = None,
    period: Annotated[Annotated[str, AfterValidator(_known_period)] | None, Query()] = None,
    limit: Limit = 100,
) -> ReportList:
    """Return the reports issued by a day, as known at a time, page by page, the last issued first."""
    query = camat_reports.page(
        kecamatan_code=kecamatan_code,
        period=period,
        as_of=moment.as_of,
        known_at=moment.known_at,
        before=_sequence(cursor),
        limit=limit,
    )
    async with moment.open(camat_reports.projection) as (view, stamp, _):
        rows = await view.rows(camat_reports.projection, query)
    items = [_item(row, moment) for row in rows[:limit]]
    next_cursor = cursor_after(str(rows[limit - 1].sequence)) if len(rows) > limit else None
    return ReportList(**dict(stamp), items=items, next_cursor=next_cursor)


@routes.get(
    "/v1/camat-reports/{report}",
    callers=roles.READERS,
    within=_kecamatan_named,
    response_model=Report,
    responses=_AS_DOCUMENT,
    summary="The report of a kecamatan at any moment, or an issued one",
)
async def get(report: str, call: CallOf, moment: MomentOf, accept: Annotated[str | None, Header()] = None) -> Response:
    """Return a report in the format that the extension names (.json .html .csv .xlsx .pdf), else as Accept likes.

    `report` is a kecamatan's code, for what is to be said of it at `as_of` as known at `known_at`; or the id of an
    issued report, for the bytes that were issued.
    """
    name, wanted = _format(report, accept)
    if (report_id := _uuid(name)) is None:
        made = await _composed(call, moment, name)
        content = await asyncio.to_thread(FORMATS[wanted].make, made)
        return _document(content, wanted, f"laporan-camat-{made.name}-{made.as_of}", {})
    if moment.given:
        raise FrozenInTime(moment.given)
    loaded, issued = await _load(call, report_id)
    if wanted not in issued.documents:
        raise NotIssuedAs
    content = await call.archive.fetch(issued.documents[wanted])
    place = kecamatan(issued.kecamatan_code)
    name = f"laporan-camat-{place.name if place else issued.kecamatan_code}-{issued.period}"
    return _document(content, wanted, name, {"ETag": f'"{loaded.version}"'})


@routes.get(
    "/v1/camat-reports/{report_id}/changes",
    callers=roles.READERS,
    within=_kecamatan_of,
    response_model=ChangesAnswer,
    summary="What an issued report would read otherwise today, and why",
)
async def get_changes(report_id: UUID, call: CallOf, at_least: AtLeast) -> ChangesAnswer:
    """Return the numbers and cooperatives that would read otherwise, and the events recorded since that moved them."""
    _, issued = await _load(call, report_id)
    moment = Moment(call, at_least, issued.as_of, None)
    async with moment.read() as reading:
        rule = HealthRule(issued.as_of, reading.rule.known_at, await _policy(call, issued.policy, issued.as_of))
        found = await _changes(reading, rule, issued.kecamatan_code, issued.numbers, issued.positions)
    return ChangesAnswer(
        **{**dict(reading.stamp), "policy": issued.policy},
        **dict(found),
        report_id=report_id,
        kecamatan_code=issued.kecamatan_code,
        period=issued.period,
        issued_on=issued.issued_on,
        was_known_at=issued.known_at,
    )


@routes.get(
    "/v1/camat-reports/{report_id}/history",
    callers=_MAY_ACT,
    within=_kecamatan_of,
    response_model=HistoryPage,
    summary="Everything recorded about an issued report",
)
async def get_history(report_id: UUID, call: CallOf, cursor: Cursor, limit: Limit = 100) -> HistoryPage:
    """Return the stream, oldest first, with who and when; notes of follow-ups stand only here."""
    page = await history(call, Stream(issue.decider.stream, report_id), cursor, limit)
    if not page.items and cursor is None:
        raise NoSuchReport
    return page


@routes.post(
    "/v1/camat-reports", callers=(roles.HEAD,), response_model=IssuedAnswer, summary="Issue a report: freeze it"
)
async def issue_report(body: NewReport, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Freeze the report of a kecamatan for a period: of its last day, or of today while it runs."""
    if first := await call.first_answer():
        return first
    report_id = issue.report_id(body.kecamatan_code, body.period)
    issued_on = body.issued_on or call.today
    as_of = issue.standing_day(body.period, issued_on, call.today)
    if (await call.handler(issue.decider).load(report_id)).state.issued:
        raise issue.AlreadyIssued
    moment = Moment(call, at_least, as_of, None)
    made = await _composed(call, moment, body.kecamatan_code, Issue(report_id, body.period, issued_on))
    contents = await asyncio.to_thread(lambda: {name: each.make(made) for name, each in FORMATS.items()})
    # Kept before the event that names them; what a refused issue leaves behind is named by nobody.
    documents: dict[Format, str] = {name: await call.archive.keep(content) for name, content in contents.items()}
    command = IssueCamatReport(
        kecamatan_code=body.kecamatan_code,
        period=body.period,
        issued_on=issued_on,
        today=call.today,
        known_at=made.known_at,
        positions=made.positions,
        policy=made.policy,
        numbers=made.numbers,
        documents=documents,
        cooperatives=tuple(line.cooperative_id for line in made.cooperatives),
    )
    answer = IssuedAnswer(
        report_id=report_id,
        kecamatan_code=body.kecamatan_code,
        period=body.period,
        issued_on=issued_on,
        as_of=as_of,
        known_at=made.known_at,
        sha256=documents["pdf"],
        version=0,
    )
    return await call.execute(
        issue.decider, report_id, command, answer=answer.model_dump(mode="json", exclude={"version"})
    )


@routes.post(
    "/v1/camat-reports/{report_id}/acknowledgements",
    callers=_MAY_ACT,
    within=_kecamatan_of,
    response_model=Accepted,
    summary="Confirm having received a report",
)
async def acknowledge(report_id: UUID, body: NewAcknowledgement, call: CallOf) -> JSONResponse:
    """Write down that the camat has the report."""
    command = AcknowledgeCamatReport(acknowledged_on=body.acknowledged_on or call.today, today=call.today)
    return await call.execute(issue.decider, report_id, command, answer={"report_id": str(report_id)})


@routes.post(
    "/v1/camat-reports/{report_id}/follow-ups",
    callers=_MAY_ACT,
    within=_kecamatan_of,
    response_model=Accepted,
    summary="Tell what was done about a cooperative of a report",
)
async def follow_up(report_id: UUID, body: NewFollowUp, call: CallOf) -> JSONResponse:
    """Write down what was done about a cooperative that the report lists."""
    command = RecordCamatFollowUp(
        cooperative_id=body.cooperative_id,
        action=body.action,
        done_on=body.done_on or call.today,
        notes=body.notes,
        today=call.today,
    )
    return await call.execute(issue.decider, report_id, command, answer={"report_id": str(report_id)})


# ---------------------------------------------------------------- composing


async def _composed(call: Call, moment: Moment, kecamatan_code: str, issued_as: Issue | None = None) -> Report:
    """Return the report on a kecamatan at a moment. Raises NoSuchKecamatan, NotCaughtUp, NoPolicy."""
    place = kecamatan(kecamatan_code)
    if place is None:
        raise NoSuchKecamatan
    last = camat_reports.last_before(
        kecamatan_code, moment.as_of, moment.known_at, issued_as.report_id if issued_as else None
    )
    async with moment.open(camat_reports.projection) as (view, of_reports, _):
        rows = await view.rows(camat_reports.projection, last)
    async with moment.read() as reading:
        verdicts = await _judged(call, reading)
        ids = [verdict.cooperative_id for verdict in verdicts if verdict.kecamatan_code == kecamatan_code]
        return report(
            place,
            Known(
                as_of=moment.as_of,
                known_at=reading.stamp.known_at,
                positions={**of_reports.positions, **reading.stamp.positions},
                policy=reading.rule.policy,
            ),
            verdicts,
            await reading.requests(),
            mentored=await reading.mentored(ids),
            cutoff=reading.rule.known_at,
            previous=await _previous(call, reading, rows[0]) if rows else None,
            issue=issued_as,
        )


_kept: WeakKeyDictionary[ReadModels, tuple[object, Sequence[Verdict]]] = WeakKeyDictionary()


async def _judged(call: Call, reading: Reading) -> Sequence[Verdict]:
    """Return the verdicts of the whole regency; those of the last moment are kept, for all 33 reports need them."""
    view, rule = reading.view, reading.rule
    # Positions say which events a generation holds, so this is all that the verdicts follow from.
    moment = (view.generation, dict(view.positions), rule.as_of, rule.known_at, rule.policy)
    of, verdicts = _kept.get(call.runtime.read_models, (None, ()))
    if of != moment:
        verdicts = [verdict async for verdict in reading.verdicts()]
        _kept[call.runtime.read_models] = moment, verdicts
    return verdicts


async def _previous(call: Call, reading: Reading, row: ReportRow) -> Previous:
    numbers = camat_reports.numbers_of(row)
    rule = HealthRule(row.as_of, reading.rule.known_at, await _policy(call, row.policy, row.as_of))
    found = await _changes(reading, rule, row.kecamatan_code, numbers, camat_reports.positions_of(row))
    return previous(numbers, report_id=row.report_id, period=row.period, as_of=row.as_of, changes=found)


async def _changes(
    reading: Reading, rule: HealthRule, kecamatan_code: str, was: Numbers, positions: Mapping[str, int]
) -> Changes:
    cooperatives = [facts async for facts in reading.facts(kecamatan_code)]
    return changes(kecamatan_code, was, positions, rule, cooperatives, await reading.requests(kecamatan_code))


async def _policy(call: Call, name: str, as_of: date) -> Policy:
    """Return the policy that a report went by, so that events alone account for what changed."""
    known = await policies(call.runtime.read_models, health_status.projection)
    return policy_of(name, as_of, known)


async def _load(call: Call, report_id: UUID) -> tuple[Loaded[IssuedReport], CamatReportIssued]:
    loaded = await call.handler(issue.decider).load(report_id)
    if loaded.state.issued is None:
        raise NoSuchReport
    return loaded, loaded.state.issued


# ---------------------------------------------------------------- reading and answering


def _format(report: str, accept: str | None) -> tuple[str, Format]:
    """Return what is asked for without its extension, and the format. Raises NoAcceptableFormat."""
    name, named = _without_extension(report)
    if named is not None:
        return name, named
    wanted = preferred(accept, {known: rendering.media_type for known, rendering in FORMATS.items()})
    if wanted is None:
        raise NoAcceptableFormat
    return report, wanted


def _without_extension(report: str) -> tuple[str, Format | None]:
    name, _, extension = report.rpartition(".")
    return next(((name, known) for known in FORMATS if extension == known), (report, None))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _sequence(cursor: str | None) -> int | None:
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Invalid("cursor", "take it from next_cursor of the page before")
    return int(cursor) if cursor is not None else None


def _document(content: bytes, kind: Format, name: str, headers: Mapping[str, str]) -> Response:
    digest = base64.b64encode(sha256(content).digest()).decode()
    file = f"{name.lower().replace(' ', '-')}.{kind}"
    return Response(
        content,
        media_type=FORMATS[kind].media_type,
        headers={
            **headers,
            "Repr-Digest": f"sha-256=:{digest}:",
            "Content-Disposition": f'inline; filename="{file}"',
            "Vary": "Accept",
            **({"Content-Security-Policy": STYLED_PAGE} if kind == "html" else {}),
        },
    )


def _item(row: ReportRow, moment: Moment) -> ReportItem:
    """Return a report with what had become of it by then, as far as was known."""

    def known(recorded: Any, happened_on: date) -> bool:
        return happened_on <= moment.as_of and (moment.known_at is None or recorded.recorded_at <= moment.known_at)

    place = kecamatan(row.kecamatan_code)
    acknowledged = [a for a in camat_reports.acknowledgements_of(row) if known(a, a.acknowledged_on)]
    return ReportItem(
        report_id=row.report_id,
        version=row.version,
        kecamatan_code=row.kecamatan_code,
        name=place.name if place else row.kecamatan_code,
        period=row.period,
        issued_on=row.issued_on,
        as_of=row.as_of,
        known_at=row.known_at,
        policy=row.policy,
        sha256=row.sha256,
        numbers=camat_reports.numbers_of(row),
        acknowledged_on=acknowledged[0].acknowledged_on if acknowledged else None,
        follow_ups=[
            FollowUpItem(cooperative_id=f.cooperative_id, action=f.action, done_on=f.done_on)
            for f in camat_reports.follow_ups_of(row)
            if known(f, f.done_on)
        ],
    )
