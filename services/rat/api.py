"""The rat service's HTTP interface: record, verify, correct and annul annual members' meetings; import."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import fastapi
from fastapi import File, Path, Query, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.cells import RowProblem
from chassis.definitions.decider import Invalid
from chassis.definitions.values import Date, Text
from chassis.engine.ports import Stream
from chassis.http.calls import AtLeast, Body, CallOf, Cursor, Limit
from chassis.http.history import HistoryPage, history
from chassis.http.imports import Progress, RowNote, RunningImport, carry_out, notes
from chassis.http.routing import Routes
from chassis.http.uploads import read_table
from contracts import roles
from services.rat.domain import annual_meetings, ods
from services.rat.domain.annual_meetings import (
    AnnulMeeting,
    AnyMeetingCommand,
    Attestation,
    Changes,
    CooperativeDissolved,
    CorrectMeeting,
    Meeting,
    Mode,
    NoSuchCooperative,
    RecordMeeting,
    Report,
    VerifyMeeting,
)
from services.rat.projections import cooperatives

routes = Routes()
progress = Progress()

EXAMPLE = {
    "book_year": 2023,
    "held_on": "2024-02-17",
    "mode": "in_person",
    "members_total": 42,
    "members_present": 30,
    "minutes_number": "03/BA-RAT/2024",
    "accountability_accepted": True,
    "total_assets": 185_000_000,
    "net_surplus": 7_250_000,
}
"""A report of a meeting as an office would write it."""

BookYear = Annotated[int, Path(ge=1900, le=2199, description="the year whose books the meeting closes")]


class Verification(Body):
    """When the office saw the minutes."""

    verified_on: Date | None = Field(None, description="default today", examples=["2024-04-02"])


class Correction(Body):
    """What was wrong in the record, and why we know."""

    changes: Changes = Field(examples=[{"members_present": 41}])
    reason: Text = Field(examples=["Attendance list counted again"])


class Annulment(Body):
    """Why the record is void."""

    reason: Text = Field(examples=["The minutes belong to a namesake"])


class Accepted(Body):
    """What an accepted command answers."""

    cooperative_id: UUID
    book_year: int
    version: int


class Record(Body):
    """A meeting on record, or (`source: nik_grade`) a book year that the Ministry's grade vouches for."""

    cooperative_id: UUID
    book_year: int
    held_on: date | None
    reported_on: date | None
    verified_on: date | None
    mode: Mode | None
    members_total: int | None
    members_present: int | None
    second_meeting: bool | None
    minutes_number: str | None
    accountability_accepted: bool | None
    own_capital: int | None
    outside_capital: int | None
    total_assets: int | None
    turnover: int | None
    net_surplus: int | None
    source: Literal["office", "ods", "nik_grade"]
    annulled: bool


class RecordList(Body):
    """All book years of a cooperative, oldest first."""

    items: list[Record]
    next_cursor: str | None = None


class ImportReport(Body):
    """What an import did, or with dry_run would do."""

    rows: int
    recorded: int
    attested: int
    unchanged: int
    rejected: int
    rejections: list[RowNote]
    warnings: list[RowNote]


@routes.post(
    "/v1/cooperatives/{cooperative_id}/rats",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Record an annual members' meeting",
)
async def record(
    cooperative_id: UUID, body: Annotated[Report, fastapi.Body(examples=[EXAMPLE])], call: CallOf, at_least: AtLeast
) -> JSONResponse:
    """Record a meeting: one a book year, held after the year's end, with its quorum."""

    def command(kecamatan_code: str | None) -> RecordMeeting:
        return RecordMeeting(kecamatan_code=kecamatan_code, today=call.today, report=body)

    return await _execute(call, at_least, cooperative_id, body.book_year, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/rats/{book_year}/verifications",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Verify a record",
)
async def verify(
    cooperative_id: UUID, book_year: BookYear, body: Verification, call: CallOf, at_least: AtLeast
) -> JSONResponse:
    """Confirm a record after looking at the minutes."""

    def command(kecamatan_code: str | None) -> VerifyMeeting:
        return VerifyMeeting(
            kecamatan_code=kecamatan_code,
            today=call.today,
            book_year=book_year,
            verified_on=body.verified_on or call.today,
        )

    return await _execute(call, at_least, cooperative_id, book_year, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/rats/{book_year}/corrections",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Correct a record",
)
async def correct(
    cooperative_id: UUID, book_year: BookYear, body: Correction, call: CallOf, at_least: AtLeast
) -> JSONResponse:
    """Correct a record; a verification falls."""

    def command(kecamatan_code: str | None) -> CorrectMeeting:
        return CorrectMeeting(
            kecamatan_code=kecamatan_code,
            today=call.today,
            book_year=book_year,
            changes=body.changes,
            reason=body.reason,
        )

    return await _execute(call, at_least, cooperative_id, book_year, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/rats/{book_year}/annulments",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Declare a record void",
)
async def annul(
    cooperative_id: UUID, book_year: BookYear, body: Annulment, call: CallOf, at_least: AtLeast
) -> JSONResponse:
    """Declare a record void; the year can be recorded again."""

    def command(kecamatan_code: str | None) -> AnnulMeeting:
        return AnnulMeeting(kecamatan_code=kecamatan_code, today=call.today, book_year=book_year, reason=body.reason)

    return await _execute(call, at_least, cooperative_id, book_year, command)


async def _execute(
    call: CallOf,
    at_least: Mapping[str, int],
    cooperative_id: UUID,
    book_year: int,
    command_in: Callable[[str | None], AnyMeetingCommand],
) -> JSONResponse:
    """Carry out the command that `command_in` makes of the kecamatan in which the cooperative sits now."""
    if first := await call.first_answer():
        return first
    known = await _known(call, cooperative_id, at_least)
    command = command_in(known.kecamatan_code)
    answer = {"cooperative_id": str(cooperative_id), "book_year": book_year}
    return await call.execute(annual_meetings.decider, cooperative_id, command, answer=answer)


async def _known(
    call: CallOf, cooperative_id: UUID, at_least: Mapping[str, int], *, dissolved_too: bool = False
) -> cooperatives.CooperativeRow:
    async with call.view(cooperatives.projection, at_least) as view:
        rows = await view.rows(cooperatives.projection, cooperatives.one(cooperative_id))
    if not rows:
        raise NoSuchCooperative(
            "There is no cooperative with this id, or it was registered a moment ago: pass the registration's"
            " Dinkop-Position as at_least to wait for it."
        )
    if rows[0].dissolved_on and not dissolved_too:
        raise CooperativeDissolved
    return rows[0]


@routes.get(
    "/v1/cooperatives/{cooperative_id}/rats",
    callers=roles.READERS,
    response_model=RecordList,
    summary="All book years of a cooperative",
)
async def get(cooperative_id: UUID, call: CallOf, at_least: AtLeast, response: Response) -> RecordList:
    """Return every record, the void ones with `annulled: true`."""
    await _known(call, cooperative_id, at_least, dissolved_too=True)
    loaded = await call.handler(annual_meetings.decider).load(cooperative_id)
    response.headers["ETag"] = f'"{loaded.version}"'
    return RecordList(items=[_record(cooperative_id, entry) for entry in loaded.state.records()])


def _record(cooperative_id: UUID, entry: Meeting | Attestation) -> Record:
    nothing: dict[str, Any] = dict.fromkeys(Record.model_fields)
    if isinstance(entry, Attestation):
        known = {"book_year": entry.book_year, "source": entry.source, "annulled": False}
    else:
        known = {name: getattr(entry, name) for name in Meeting.__dataclass_fields__}
    return Record(**{**nothing, **known, "cooperative_id": cooperative_id})


@routes.get(
    "/v1/cooperatives/{cooperative_id}/history",
    callers=roles.READERS,
    response_model=HistoryPage,
    summary="Everything recorded about a cooperative's meetings",
)
async def get_history(
    cooperative_id: UUID, call: CallOf, at_least: AtLeast, cursor: Cursor, limit: Limit = 100
) -> HistoryPage:
    """Return the stream, oldest first, with who and when; empty when nothing was recorded yet."""
    await _known(call, cooperative_id, at_least, dissolved_too=True)
    return await history(call, Stream(annual_meetings.decider.stream, cooperative_id), cursor, limit)


@routes.post(
    "/v1/imports",
    callers=roles.OFFICE,
    status_code=200,
    response_model=ImportReport,
    summary="Read the last meetings from a list",
)
async def import_list(
    call: CallOf,
    at_least: AtLeast,
    file: Annotated[UploadFile, File(description="the list, CSV or XLSX")],
    source: Annotated[Literal["ods", "office"], Query(description="whose list")],
    dry_run: Annotated[bool, Query(description="report what it would do, and change nothing")] = False,
) -> JSONResponse:
    """Record one meeting a row, and what grade A attests. Import the list into the registry first."""
    if first := await call.first_answer():
        return first
    if source != "ods":
        raise Invalid("source", "only ods can be imported so far")
    content = await file.read()
    table = await asyncio.to_thread(read_table, content, file.filename or "", ods.NEEDED, ods.OPTIONAL)
    readings = [ods.read_row(row, cells) for row, cells in table.rows]
    async with call.view(cooperatives.projection, at_least) as view:
        register = cooperatives.register_of(await view.rows(cooperatives.projection, cooperatives.every()))
    store = call.runtime.store
    handler = call.handler(annual_meetings.decider)
    loaded = await handler.load_many(await store.stream_ids(annual_meetings.decider.stream))
    states = {cooperative_id: each.state for cooperative_id, each in loaded.items()}
    plan = ods.plan_import(readings, register, states, call.today)
    rejections = list(plan.rejections)
    recorded, attested = plan.recorded, plan.attested
    if not dry_run:
        steps = [(decision.row, decision.cooperative_id, decision.command) for decision in plan.decisions]
        refused = await carry_out(call, handler, loaded, steps, progress)
        for decision in plan.decisions:
            if decision.row in refused:
                recorded, attested = recorded - decision.recorded, attested - decision.attested
                rejections.append(RowProblem(decision.row, ods.LAST_MEETING, None, refused[decision.row]))
    return await call.answer_many(
        {
            "rows": plan.rows,
            "recorded": recorded,
            "attested": attested,
            "unchanged": plan.unchanged,
            "rejected": len({problem.row for problem in rejections}),
            "rejections": notes(rejections),
            "warnings": notes(plan.warnings),
        }
    )


@routes.get(
    "/v1/imports/{key}", callers=roles.OFFICE, response_model=RunningImport, summary="How far a running import is"
)
async def import_progress(key: str) -> RunningImport:
    """Return rows done and rows in all of the import that runs under this Idempotency-Key."""
    return progress.of(key)
