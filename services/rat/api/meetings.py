"""Annual members' meetings over HTTP: record, verify, correct, annul, read."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import fastapi
from fastapi import Path, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.values import Date, Text
from chassis.engine.ports import Stream
from chassis.http.calls import AtLeast, Body, CallOf, Cursor, Limit
from chassis.http.history import HistoryPage, history
from chassis.http.routing import Routes
from contracts import roles
from services.rat.api.commands import Accepted, execute, kecamatan_of, known_cooperative
from services.rat.domain import annual_meetings
from services.rat.domain.annual_meetings import (
    AnnulMeeting,
    Attestation,
    Changes,
    CorrectMeeting,
    Meeting,
    Mode,
    RecordMeeting,
    Report,
    VerifyMeeting,
)

routes = Routes()

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

    return await execute(call, at_least, cooperative_id, body.book_year, command)


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

    return await execute(call, at_least, cooperative_id, book_year, command)


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

    return await execute(call, at_least, cooperative_id, book_year, command)


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

    return await execute(call, at_least, cooperative_id, book_year, command)


@routes.get(
    "/v1/cooperatives/{cooperative_id}/rats",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=RecordList,
    summary="All book years of a cooperative",
)
async def get(cooperative_id: UUID, call: CallOf, at_least: AtLeast, response: Response) -> RecordList:
    """Return every record, the void ones with `annulled: true`."""
    await known_cooperative(call, cooperative_id, at_least)
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
    within=kecamatan_of,
    response_model=HistoryPage,
    summary="Everything recorded about a cooperative's meetings",
)
async def get_history(
    cooperative_id: UUID, call: CallOf, at_least: AtLeast, cursor: Cursor, limit: Limit = 100
) -> HistoryPage:
    """Return the stream, oldest first, with who and when; empty when nothing was recorded yet."""
    await known_cooperative(call, cooperative_id, at_least)
    return await history(call, Stream(annual_meetings.decider.stream, cooperative_id), cursor, limit)
