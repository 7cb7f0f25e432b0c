"""The course of a request through HTTP: accepted, declined or redirected; activities; completed."""

from collections.abc import Callable, Mapping
from uuid import UUID

from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.values import Count, Date, ShortText, Text
from chassis.http.calls import AtLeast, Body, Call, CallOf
from chassis.http.routing import Routes
from contracts import roles
from services.mentoring.api.loading import caught_up, existing, words_of
from services.mentoring.api.requests import Accepted
from services.mentoring.api.words import Words
from services.mentoring.domain import request
from services.mentoring.domain.request import (
    AcceptRequest,
    ActivityKind,
    CompleteMentoring,
    DeclineRequest,
    Outcome,
    RecordActivity,
    RedirectRequest,
    RequestCommand,
)

routes = Routes()

NEEDED = "needed, unless the request's people were forgotten: then it must be left out"
TODAY = "default today"


class Acceptance(Body):
    """Who will come, and when."""

    team: list[ShortText] | None = Field(
        None, min_length=1, max_length=20, description=NEEDED, examples=[["Nama Pendamping"]]
    )
    visit_on: Date | None = Field(None, description=TODAY, examples=["2024-11-20"])
    accepted_on: Date | None = Field(None, description=TODAY, examples=["2024-11-14"])


class Declining(Body):
    """Why the office will not mentor."""

    reason: Text | None = Field(None, description=NEEDED, examples=["Koperasi di luar wilayah Kabupaten Malang."])
    declined_on: Date | None = Field(None, description=TODAY, examples=["2024-11-14"])


class Redirection(Body):
    """To whom the request is handed on, and why."""

    to: ShortText | None = Field(None, description=NEEDED, examples=["Dinas Koperasi Kota Malang"])
    reason: Text | None = Field(None, description=NEEDED, examples=["Alamat koperasi di Kota Malang."])
    redirected_on: Date | None = Field(None, description=TODAY, examples=["2024-11-14"])


class HeldActivity(Body):
    """What the team did; `participants` is how many took part besides the team."""

    kind: ActivityKind = Field(examples=["training"])
    held_on: Date | None = Field(None, description=TODAY, examples=["2024-11-14"])
    participants: Count = Field(examples=[12])
    notes: Text | None = Field(None, description=NEEDED, examples=["Bimtek penyusunan laporan keuangan."])


class Completion(Body):
    """What came of the mentoring."""

    outcome: Outcome = Field(examples=["rat_held"])
    notes: Text | None = Field(None, description=NEEDED, examples=["RAT tahun buku 2023 terlaksana."])
    completed_on: Date | None = Field(None, description=TODAY, examples=["2024-11-14"])


@routes.post(
    "/v1/requests/{request_id}/acceptances",
    callers=roles.MENTORING,
    response_model=Accepted,
    summary="Take a request on",
)
async def accept(request_id: UUID, body: Acceptance, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Take a request on: who will come, and when. The visit may lie ahead."""

    def command(words: Words) -> AcceptRequest:
        return AcceptRequest(
            team=words.seal_names("team", body.team),
            visit_on=body.visit_on or call.today,
            accepted_on=body.accepted_on or call.today,
            today=call.today,
        )

    return await _carry_out(request_id, call, at_least, command)


@routes.post(
    "/v1/requests/{request_id}/declines", callers=roles.MENTORING, response_model=Accepted, summary="Decline a request"
)
async def decline(request_id: UUID, body: Declining, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Decline a request, and say why."""

    def command(words: Words) -> DeclineRequest:
        return DeclineRequest(
            reason=words.seal("reason", body.reason), declined_on=body.declined_on or call.today, today=call.today
        )

    return await _carry_out(request_id, call, at_least, command)


@routes.post(
    "/v1/requests/{request_id}/redirections",
    callers=roles.MENTORING,
    response_model=Accepted,
    summary="Hand a request on",
)
async def redirect(request_id: UUID, body: Redirection, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Hand a request on to somebody else, and say why."""

    def command(words: Words) -> RedirectRequest:
        return RedirectRequest(
            to=words.seal("redirected_to", body.to),
            reason=words.seal("reason", body.reason),
            redirected_on=body.redirected_on or call.today,
            today=call.today,
        )

    return await _carry_out(request_id, call, at_least, command)


@routes.post(
    "/v1/requests/{request_id}/activities",
    callers=roles.MENTORING,
    response_model=Accepted,
    summary="Record an activity",
)
async def record_activity(request_id: UUID, body: HeldActivity, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Record what the team did; it may be written down late."""

    def command(words: Words) -> RecordActivity:
        return RecordActivity(
            kind=body.kind,
            held_on=body.held_on or call.today,
            participants=body.participants,
            notes=words.seal("activity_notes", body.notes),
            today=call.today,
        )

    return await _carry_out(request_id, call, at_least, command)


@routes.post(
    "/v1/requests/{request_id}/completions",
    callers=roles.MENTORING,
    response_model=Accepted,
    summary="End the mentoring",
)
async def complete(request_id: UUID, body: Completion, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """End the mentoring, and say what came of it."""

    def command(words: Words) -> CompleteMentoring:
        return CompleteMentoring(
            outcome=body.outcome,
            notes=words.seal("completion_notes", body.notes),
            completed_on=body.completed_on or call.today,
            today=call.today,
        )

    return await _carry_out(request_id, call, at_least, command)


async def _carry_out(
    request_id: UUID, call: Call, at_least: Mapping[str, int], command_in: Callable[[Words], RequestCommand]
) -> JSONResponse:
    """Carry out the command that `command_in` makes with what seals the request's words."""
    if first := await call.first_answer():
        return first
    await caught_up(call, at_least)
    await existing(request_id, call)
    command = command_in(await words_of(request_id, call))
    return await call.execute(request.decider, request_id, command, answer={"request_id": str(request_id)})
