"""Whether a cooperative exists: what officers found on the spot, and its removal, which only the Ministry decides."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.decider import Rejection
from chassis.definitions.values import Date, Flag, ShortText, Text
from chassis.http.calls import Body, CallOf
from chassis.http.routing import Routes
from contracts import roles
from services.registry.api.streams import Accepted, execute, load
from services.registry.domain.cooperative import (
    CooperativeTraced,
    DecideRemoval,
    Finding,
    ProposeRemoval,
    TraceCooperative,
)

routes = Routes()


class OnlyTheMinistryRemoves(Rejection):
    """Only the Ministry can remove a cooperative from the register: trace it, then propose its removal."""

    status = 405


class TracingReport(Body):
    """What an officer found on the spot."""

    traced_on: Date | None = Field(None, description="default today")
    signboard_found: Flag = Field(examples=[False])
    office_found: Flag = Field(examples=[False])
    members_reached: Flag = Field(examples=[True])
    operating: Flag = Field(examples=[False])
    village_letter_number: ShortText | None = Field(None, examples=["470/118/35.07.21.2003/2024"])
    notes: Text | None = Field(None, description="for the office only; never published")
    finding: Finding | None = Field(None, description="the officer's verdict; else it follows from the evidence")


class RemovalProposal(Body):
    """The letter that asks the Ministry to remove a cooperative."""

    letter_number: ShortText = Field(examples=["518/77/35.07.115/2024"])
    letter_date: Date = Field(examples=["2024-10-07"])
    grounds: Text = Field(examples=["Traced twice; neither office nor members were found"])


class RemovalDecision(Body):
    """What the Ministry decided."""

    decision: Literal["approved", "rejected"] = Field(examples=["approved"])
    decree_number: ShortText = Field(examples=["114/KEP/M.KOP/2024"])
    decided_on: Date | None = Field(None, description="default today")
    authority: ShortText = Field(examples=["Kementerian Koperasi"])


class TracingItem(Body):
    """What an officer found on one day."""

    traced_on: date
    signboard_found: bool
    office_found: bool
    members_reached: bool
    operating: bool
    village_letter_number: str | None
    notes: str | None
    finding: str
    recorded_at: datetime


class TracingList(Body):
    """All tracings of a cooperative."""

    items: list[TracingItem]
    next_cursor: str | None


@routes.post(
    "/v1/cooperatives/{cooperative_id}/tracings",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Report what was found on the spot",
)
async def trace(cooperative_id: UUID, body: TracingReport, call: CallOf) -> JSONResponse:
    """Report a tracing; also while a removal is proposed."""
    told = vars(body) | {"traced_on": body.traced_on or call.today}
    return await execute(call, cooperative_id, TraceCooperative(**told, today=call.today))


@routes.post(
    "/v1/cooperatives/{cooperative_id}/removal-proposals",
    callers=(roles.HEAD,),
    response_model=Accepted,
    summary="Record that its removal was proposed",
)
async def propose_removal(cooperative_id: UUID, body: RemovalProposal, call: CallOf) -> JSONResponse:
    """Record the letter to the Ministry; two tracings on different days must have found it dormant or not at all."""
    return await execute(call, cooperative_id, ProposeRemoval(**vars(body), today=call.today))


@routes.post(
    "/v1/cooperatives/{cooperative_id}/removal-decisions",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Record what the Ministry decided",
)
async def decide_removal(cooperative_id: UUID, body: RemovalDecision, call: CallOf) -> JSONResponse:
    """Record the decision on the removal proposed: it dissolves the cooperative, or the last finding holds again."""
    told = vars(body) | {"decided_on": body.decided_on or call.today}
    return await execute(call, cooperative_id, DecideRemoval(**told, today=call.today))


@routes.get(
    "/v1/cooperatives/{cooperative_id}/tracings",
    callers=roles.OFFICE,
    response_model=TracingList,
    summary="What officers found on the spot, with their notes",
)
async def get_tracings(cooperative_id: UUID, call: CallOf) -> TracingList:
    """Return every tracing in the order in which they were recorded; there are a few at most."""
    events = await load(call, cooperative_id)
    return TracingList(
        items=[
            TracingItem(**event.model_dump(exclude={"kecamatan_code"}), recorded_at=at)
            for event, at in events
            if isinstance(event, CooperativeTraced)
        ],
        next_cursor=None,
    )


@routes.delete(
    "/v1/cooperatives/{cooperative_id}", callers=roles.OFFICE, summary="Not possible: only the Ministry can remove"
)
async def remove(cooperative_id: UUID) -> None:
    """Refuse, and say what to do instead."""
    raise OnlyTheMinistryRemoves
