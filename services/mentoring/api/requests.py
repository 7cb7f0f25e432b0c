"""Requests through HTTP: taken down, looked up, listed."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Query, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field, ValidationInfo

from chassis.definitions import clock
from chassis.definitions.values import LATEST, Date, KecamatanCode, ShortText, Text, VillageCode
from chassis.engine.ports import StoredEvent, Stream
from chassis.http.admission import Within
from chassis.http.calls import AtLeast, Body, Call, CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.history import HistoryPage, history
from chassis.http.routing import Routes
from chassis.storage.vault import DataKey
from contracts import regions, roles
from services.mentoring.api.loading import Existing, caught_up, existing, kecamatan_of, words_of
from services.mentoring.api.words import NO_STORE, Person, Words, seal_people
from services.mentoring.domain import request
from services.mentoring.domain.request import (
    ActivityKind,
    Category,
    Channel,
    MentoringAccepted,
    MentoringDeclined,
    MentoringRedirected,
    NoSuchCooperative,
    NoSuchRequest,
    Outcome,
    RequestMentoring,
    State,
)
from services.mentoring.projections import cooperatives, meetings, requests
from services.mentoring.projections.meetings import MeetingRow
from services.mentoring.publications import publish

routes = Routes()


def _known_kecamatan(code: str) -> str:
    if regions.kecamatan(code) is None:
        raise ValueError(f"{code} is no kecamatan of Kabupaten Malang")
    return code


def _village_within(code: str | None, info: ValidationInfo) -> str | None:
    kecamatan_code = info.data.get("kecamatan_code")
    if code is None or kecamatan_code is None:
        return code
    village = regions.village(code)
    if village is None or village.kecamatan_code != kecamatan_code:
        raise ValueError(f"{code} is no village of {kecamatan_code}")
    return code


# ---------------------------------------------------------------- what comes in


class Location(Body):
    """Where help is needed."""

    kecamatan_code: Annotated[KecamatanCode, AfterValidator(_known_kecamatan)] = Field(examples=["35.07.21"])
    village_code: Annotated[VillageCode | None, AfterValidator(_village_within)] = Field(
        None, examples=["35.07.21.2003"]
    )
    address: Text = Field(examples=["Jl. Raya Wagir 12"])


class NewRequest(Body):
    """A request for mentoring, as it was received."""

    cooperative_id: UUID | None = Field(None, description="null when it is not known which one")
    cooperative_name: ShortText = Field(description="as whoever asks writes it", examples=["Koperasi Tani Contoh"])
    location: Location
    people: list[Person] = Field(max_length=100)
    complaint: Text = Field(examples=["RAT belum terlaksana sejak tahun buku 2021."])
    category: Category = Field(examples=["rat"])
    channel: Channel = Field(examples=["letter"])
    letter_number: ShortText | None = Field(None, examples=["012/KOP/XI/2024"])
    letter_date: Date | None = Field(None, examples=["2024-10-31"])
    received_on: Date | None = Field(None, description="default today", examples=["2024-11-04"])


# ---------------------------------------------------------------- what goes out


class Accepted(Body):
    """What an accepted command answers."""

    request_id: UUID
    version: int


class Place(Body):
    """Where help is needed."""

    kecamatan_code: str
    village_code: str | None
    address: str | None


class Activity(Body):
    """What the team did."""

    kind: ActivityKind
    held_on: date
    participants: int
    notes: str | None


class Rat(Body):
    """An annual members' meeting that the cooperative held while its request was open."""

    book_year: int
    held_on: date


class RequestItem(Body):
    """One request, with its words and without its people. What was forgotten, or is not for the caller, is null."""

    request_id: UUID
    version: int
    state: State
    forgotten: bool = Field(description="its people and all words were erased for good")
    cooperative_id: UUID | None
    cooperative_name: str | None
    location: Place
    complaint: str | None
    category: Category
    channel: Channel
    letter_number: str | None
    letter_date: date | None
    received_on: date
    accepted_on: date | None
    team: list[str] | None
    visit_on: date | None
    declined_on: date | None
    redirected_on: date | None
    redirected_to: str | None
    reason: str | None = Field(description="why it was declined or redirected")
    activities: list[Activity] = Field(description="as they were written down")
    completed_on: date | None
    outcome: Outcome | None
    notes: str | None = Field(description="on how it ended")
    rats: list[Rat] = Field(description="held while the request was open, as the rat service tells; oldest first")
    suggested_outcome: Outcome | None = Field(description="what it could be completed with, from what is known")


class RequestLine(Body):
    """One request in a list: nothing that names a person, and nobody's words."""

    request_id: UUID
    state: State
    cooperative_id: UUID | None
    kecamatan_code: str
    village_code: str | None
    category: Category
    channel: Channel
    letter_date: date | None
    received_on: date


class RequestList(Body):
    """One page of requests."""

    items: list[RequestLine]
    next_cursor: str | None


# ---------------------------------------------------------------- routes


@routes.post("/v1/requests", callers=roles.MENTORING, response_model=Accepted, summary="Take down a request")
async def take_down(body: NewRequest, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Take down a request for mentoring; `at_least=registry:123` waits for a cooperative registered just now."""
    if first := await call.first_answer():
        return first
    if body.cooperative_id is not None:
        await _must_exist(body.cooperative_id, call, at_least)
    key = DataKey.new(clock.new_id())
    command = _sealed(body, key, call.today)
    # A request that a rule refuses leaves no key behind.
    request.decide(command, request.decider.initial)
    await call.vault.keep(key)
    return await call.execute(request.decider, key.subject, command, answer={"request_id": str(key.subject)})


async def _must_exist(cooperative_id: UUID, call: Call, at_least: Mapping[str, int]) -> None:
    if await call.row(cooperatives.projection, cooperative_id, at_least) is None:
        raise NoSuchCooperative


@routes.get(
    "/v1/requests/{request_id}",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=RequestItem,
    summary="One request",
)
async def get(request_id: UUID, call: CallOf, at_least: AtLeast, response: Response) -> RequestItem:
    """Return one request as it stands now, to who does not mentor without its words; the people are another read."""
    await caught_up(call, at_least)
    found = await existing(request_id, call)
    words = await words_of(request_id, call)
    readable = words if call.caller.roles.intersection(roles.MENTORING) else Words(None)
    response.headers.update({"ETag": f'"{found.version}"', **NO_STORE})
    return _item(found, readable, await _meetings(found, call), forgotten=words.forgotten)


async def _meetings(found: Existing, call: Call) -> list[MeetingRow]:
    """Return the annual meetings that the request's cooperative held while the request was open."""
    if found.asked.cooperative_id is None:
        return []
    query = meetings.held_between(found.asked.cooperative_id, found.asked.received_on, found.state.closed_on or LATEST)
    async with call.view(meetings.projection) as view:
        return await view.rows(meetings.projection, query)


@routes.get(
    "/v1/requests/{request_id}/history",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=HistoryPage,
    summary="Everything recorded about one request",
)
async def get_history(request_id: UUID, call: CallOf, cursor: Cursor, limit: Limit = 100) -> HistoryPage:
    """Return the stream, oldest first, with who and when, and of what was recorded the public part."""
    codec = call.handler(request.decider).codec

    def public(stored: StoredEvent) -> dict[str, Any]:
        return publish(request_id, codec.decode(stored)).model_dump(mode="json")

    page = await history(call, Stream(request.decider.stream, request_id), cursor, limit, public)
    if not page.items and cursor is None:
        raise NoSuchRequest
    return page


@routes.get("/v1/requests", callers=roles.READERS, within=Within.LISTED, response_model=RequestList, summary="Requests")
async def find(
    call: CallOf,
    at_least: AtLeast,
    cursor: Cursor,
    state: Annotated[State | None, Query()] = None,
    kecamatan_code: Annotated[KecamatanCode | None, Query()] = None,
    cooperative_id: Annotated[UUID | None, Query()] = None,
    limit: Limit = 100,
) -> RequestList:
    """Return the requests page by page, in the order they were taken down."""
    query = requests.page(
        state=state,
        kecamatan_code=kecamatan_code,
        cooperative_id=cooperative_id,
        after=uuid_after(cursor),
        limit=limit,
    )
    async with call.view(requests.projection, at_least) as view:
        rows = await view.rows(requests.projection, query)
    items = [RequestLine(**msgspec.structs.asdict(row)) for row in rows[:limit]]
    more = len(rows) > limit
    return RequestList(items=items, next_cursor=cursor_after(str(items[-1].request_id)) if more else None)


# ---------------------------------------------------------------- sealing and opening


def _sealed(body: NewRequest, key: DataKey, today: date) -> RequestMentoring:
    """Return the command; from here on nothing in it can be read without the key."""
    return RequestMentoring(
        cooperative_id=body.cooperative_id,
        cooperative_name=key.seal("cooperative_name", body.cooperative_name.encode()),
        kecamatan_code=body.location.kecamatan_code,
        village_code=body.location.village_code,
        address=key.seal("address", body.location.address.encode()),
        people=seal_people(key, body.people),
        complaint=key.seal("complaint", body.complaint.encode()),
        category=body.category,
        channel=body.channel,
        letter_number=key.seal("letter_number", body.letter_number.encode()) if body.letter_number else None,
        letter_date=body.letter_date,
        received_on=body.received_on or today,
        today=today,
    )


def _item(found: Existing, words: Words, held: list[MeetingRow], *, forgotten: bool) -> RequestItem:
    asked, state = found.asked, found.state
    assert state.state is not None
    accepted = state.decision if isinstance(state.decision, MentoringAccepted) else None
    declined = state.decision if isinstance(state.decision, MentoringDeclined) else None
    redirected = state.decision if isinstance(state.decision, MentoringRedirected) else None
    turned_away = declined or redirected
    ended = state.completed
    return RequestItem(
        request_id=found.id,
        version=found.version,
        state=state.state,
        forgotten=forgotten,
        cooperative_id=asked.cooperative_id,
        cooperative_name=words.open("cooperative_name", asked.cooperative_name),
        location=Place(
            kecamatan_code=asked.kecamatan_code,
            village_code=asked.village_code,
            address=words.open("address", asked.address),
        ),
        complaint=words.open("complaint", asked.complaint),
        category=asked.category,
        channel=asked.channel,
        letter_number=words.open("letter_number", asked.letter_number),
        letter_date=asked.letter_date,
        received_on=asked.received_on,
        accepted_on=accepted.accepted_on if accepted else None,
        team=words.open_names("team", accepted.team) if accepted else None,
        visit_on=accepted.visit_on if accepted else None,
        declined_on=declined.declined_on if declined else None,
        redirected_on=redirected.redirected_on if redirected else None,
        redirected_to=words.open("redirected_to", redirected.to) if redirected else None,
        reason=words.open("reason", turned_away.reason) if turned_away else None,
        activities=[
            Activity(
                kind=each.kind,
                held_on=each.held_on,
                participants=each.participants,
                notes=words.open("activity_notes", each.notes),
            )
            for each in state.activities
        ],
        completed_on=ended.completed_on if ended else None,
        outcome=ended.outcome if ended else None,
        notes=words.open("completion_notes", ended.notes) if ended else None,
        rats=[Rat(book_year=row.book_year, held_on=row.held_on) for row in held],
        suggested_outcome="rat_held" if held and state.state == "accepted" else None,
    )
