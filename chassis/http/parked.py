"""Parked events over HTTP: list them, look at one, try it again, give it up."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.decider import Invalid
from chassis.definitions.masking import masked, without
from chassis.definitions.values import ShortText, Text
from chassis.engine.ports import LogMessage, Parked
from chassis.http.calls import Body, Call, CallOf, Cursor, Limit, cursor_after
from chassis.http.operations import OPERATOR, TAGS, kept
from chassis.http.routing import Routes
from chassis.operations.parking import Parking
from chassis.operations.state import Told
from chassis.storage.parked import DiscardedEvent, ParkedEvent, Released

routes = Routes()

_EXCEPTION = "KeyError: 'held_on'"

Id = Annotated[UUID, Path(description="as the list gives it", examples=["0191f3c0-6a54-7d3e-9c41-2f6b8a90d1e7"])]


class ParkedItem(Told):
    """An event that a projection or reaction put aside."""

    id: UUID
    consumer: str = Field(description="projection or reaction", examples=["reporting.health_status"])
    generation: int | None = Field(description="of the projection; a reaction has none", examples=[3])
    state: Literal["failed", "waiting"] = Field(
        description="failed: it could not be applied; waiting: one before it could not", examples=["failed"]
    )
    service: str = Field(description="which published the event", examples=["rat"])
    sequence: int = Field(description="its ce-sequence", examples=[1371])
    event_id: str | None = Field(description="its ce-id", examples=["01920c4e-1f0a-7a53-8b6b-3f5ad8a2c9b1"])
    type: str = Field(examples=["RATHeld"])
    subject: str = Field(description="its ce-subject", examples=["01920c4d-77f2-7f0e-a9f5-0b1c2d3e4f50"])
    key: str | None = Field(
        description="later events of this key wait behind it; null when it could not be told: all of the subject do",
        examples=["01920c4d-77f2-7f0e-a9f5-0b1c2d3e4f50"],
    )
    exception: str | None = Field(description="why it could not be applied", examples=[_EXCEPTION])
    attempts: int = Field(description="times it was tried", examples=[1])
    parked_at: datetime = Field(examples=["2024-11-14T03:04:05.060708Z"])
    tried_at: datetime | None = Field(description="when an operator last had it tried again")


class ParkedPage(Told):
    """A page of parked events, in the order in which they were parked."""

    items: list[ParkedItem]
    next_cursor: str | None


class ParkedDetail(ParkedItem):
    """A parked event with its headers and data. Whatever its contract leaves open, such as a name, is `***`."""

    headers: dict[str, str]
    data: Any = Field(description="null when it is not JSON, or of a type that is not read here any more")
    bytes: int = Field(description="length of the data", examples=[412])
    traceback: str | None


class Discarding(Body):
    """Why an event is given up."""

    reason: Text = Field(
        description="is kept for ever", examples=["recorded twice by a bug that is mended: see RATAnnulled 1372"]
    )


class ReleasedAnswer(Told):
    """What came of it."""

    id: UUID
    applied: int = Field(description="events that were applied, in order", examples=[4])
    still_parked: int = Field(description="events connected with it that are still parked", examples=[0])
    exception: str | None = Field(description="why the first of these could not be applied")


class DiscardedItem(Told):
    """An event that was given up for ever."""

    id: UUID
    consumer: str = Field(examples=["reporting.health_status"])
    service: str = Field(examples=["rat"])
    sequence: int = Field(examples=[1371])
    type: str = Field(examples=["RATHeld"])
    subject: str
    key: str | None
    exception_type: str | None = Field(description="what it had failed with", examples=["KeyError"])
    attempts: int = Field(examples=[2])
    parked_at: datetime
    discarded_at: datetime
    discarded_by: str = Field(examples=["local"])
    reason: str


class DiscardedPage(Told):
    """A page of discarded events, the first one first."""

    items: list[DiscardedItem]
    next_cursor: str | None


@routes.get(
    "/v1/operations/parked",
    callers=OPERATOR,
    tags=TAGS,
    response_model=ParkedPage,
    summary="Events that a projection or reaction could not apply, and those that wait behind them",
)
async def parked(
    call: CallOf,
    cursor: Cursor,
    limit: Limit = 100,
    consumer: Annotated[
        ShortText | None, Query(description="only of this projection or reaction", examples=["health_status"])
    ] = None,
    state: Annotated[Literal["failed", "waiting"] | None, Query(description="only those")] = None,
) -> ParkedPage:
    """Return what is parked."""
    parking = _parking(call)
    name = consumer.removeprefix(f"{parking.service}.") if consumer else None
    found = await parking.events.list(
        _place(cursor), limit + 1, name, failed=None if state is None else state == "failed"
    )
    page = found[:limit]
    return ParkedPage(
        items=[_item(parking, event) for event in page],
        next_cursor=cursor_after(str(page[-1].place)) if len(found) > limit else None,
    )


@routes.get(
    "/v1/operations/discarded",
    callers=OPERATOR,
    tags=TAGS,
    response_model=DiscardedPage,
    summary="Events that were given up: by whom, when and why",
)
async def discarded(call: CallOf, cursor: Cursor, limit: Limit = 100) -> DiscardedPage:
    """Return what was discarded; no generation of the projection applies it any more."""
    found = await _parking(call).events.given_up_after(_place(cursor), limit + 1)
    page = found[:limit]
    return DiscardedPage(
        items=[_given_up(_parking(call), event) for event in page],
        next_cursor=cursor_after(str(page[-1].place)) if len(found) > limit else None,
    )


@routes.get(
    "/v1/operations/parked/{id}",
    callers=OPERATOR,
    tags=TAGS,
    response_model=ParkedDetail,
    summary="One parked event: headers, exception, data with people's words hidden",
)
async def one(id: Id, call: CallOf) -> ParkedDetail:
    """Return a parked event."""
    parking = _parking(call)
    event = await parking.find(id)
    data, words = _data(parking, event.consumer, event.parked.message)
    failure = event.parked.failure
    return ParkedDetail(
        **_item(parking, event).model_dump(),
        headers=dict(event.parked.message.headers),
        data=data,
        bytes=len(event.parked.message.data),
        traceback=without(words, failure.traceback) if failure else None,
    )


@routes.post(
    "/v1/operations/parked/{id}/retry",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ReleasedAnswer,
    summary="Try a parked event again, and apply what waits behind it",
)
async def retry(id: Id, call: CallOf) -> JSONResponse:
    """Apply it and what waits behind it, in order; what fails again stays parked with the rest."""
    if first := await call.first_answer():
        return first
    parking = _parking(call)
    event = await parking.find(id)
    return await _kept(call, event, await parking.retry(id))


@routes.post(
    "/v1/operations/parked/{id}/discard",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ReleasedAnswer,
    summary="Give a parked event up for ever, and apply what waits behind it",
)
async def discard(id: Id, body: Discarding, call: CallOf) -> JSONResponse:
    """Leave the event out of this projection for ever, in rebuilds too; who did it and why is kept."""
    if first := await call.first_answer():
        return first
    parking = _parking(call)
    event = await parking.find(id)
    return await _kept(call, event, await parking.discard(id, call.metadata["actor"], body.reason))


async def _kept(call: Call, event: ParkedEvent, released: Released) -> JSONResponse:
    """Answer, and keep the answer for repeats of the idempotency key."""
    answer = ReleasedAnswer(
        id=event.id,
        applied=released.applied,
        still_parked=released.still_parked,
        exception=_exception(_parking(call), event.consumer, released.failed) if released.failed else None,
    )
    return await kept(call, answer.model_dump(mode="json"), 200)


def _parking(call: Call) -> Parking:
    assert call.runtime.parking is not None
    return call.runtime.parking


def _item(parking: Parking, event: ParkedEvent) -> ParkedItem:
    message, failure = event.parked.message, event.parked.failure
    return ParkedItem(
        id=event.id,
        consumer=f"{parking.service}.{event.consumer}",
        generation=event.generation,
        state="failed" if failure else "waiting",
        service=message.service,
        sequence=event.parked.sequence,
        event_id=message.headers.get("ce-id"),
        type=message.type,
        subject=event.parked.subject,
        key=event.parked.key,
        exception=_exception(parking, event.consumer, event.parked),
        attempts=event.parked.attempts,
        parked_at=event.parked_at,
        tried_at=event.tried_at,
    )


def _given_up(parking: Parking, event: DiscardedEvent) -> DiscardedItem:
    return DiscardedItem(
        id=event.id,
        consumer=f"{parking.service}.{event.consumer}",
        service=event.service,
        sequence=event.sequence,
        type=event.type,
        subject=event.subject,
        key=event.key,
        exception_type=event.exception.partition(":")[0] if event.exception else None,
        attempts=event.attempts,
        parked_at=event.parked_at,
        discarded_at=event.discarded_at,
        discarded_by=event.discarded_by,
        reason=event.reason,
    )


def _exception(parking: Parking, consumer: str, parked: Parked) -> str | None:
    _, words = _data(parking, consumer, parked.message)
    return without(words, parked.failure.exception) if parked.failure else None


def _data(parking: Parking, consumer: str, message: LogMessage) -> tuple[Any, set[str]]:
    contract = parking.contract(consumer, message)
    try:
        return masked(contract, message.data) if contract else (None, set())
    except (ValueError, RecursionError):
        return None, set()


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Invalid("cursor", "take it from next_cursor of the page before")
    return int(cursor)
