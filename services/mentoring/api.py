"""Mentoring's HTTP interface: take a request down, look it up. Personal data is sealed and opened here."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Query, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo

from chassis.definitions import clock
from chassis.definitions.values import Date, KecamatanCode, ShortText, Text, VillageCode
from chassis.engine.handling import Loaded
from chassis.engine.ports import StoredEvent, Stream
from chassis.http.calls import AtLeast, Body, Call, CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.history import HistoryPage, history
from chassis.http.routing import Routes
from chassis.storage.vault import DataKey
from contracts import regions, roles
from services.mentoring.domain import request
from services.mentoring.domain.request import (
    Category,
    Channel,
    MentoringRequested,
    NoSuchCooperative,
    NoSuchRequest,
    Request,
    RequestMentoring,
    State,
)
from services.mentoring.projections import cooperatives, requests
from services.mentoring.publications import publish

routes = Routes()

NO_STORE = {"Cache-Control": "no-store"}
"""Personal data stays out of caches on the way."""


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


class Person(BaseModel):
    """Somebody who is involved."""

    # A person that does not open again must not stand in a log with the reason.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ShortText = Field(examples=["Nama Pemohon"])
    role: ShortText = Field(examples=["ketua"])
    phone: ShortText | None = Field(None, examples=["0800-0000-0000"])


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
    address: str


class RequestItem(Body):
    """One request, with its words and without its people."""

    request_id: UUID
    version: int
    state: State
    cooperative_id: UUID | None
    cooperative_name: str
    location: Place
    complaint: str
    category: Category
    channel: Channel
    letter_number: str | None
    letter_date: date | None
    received_on: date


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


class PeopleList(Body):
    """Everybody involved in a request."""

    items: list[Person]
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


async def _must_exist(cooperative_id: UUID, call: Call, at_least: AtLeast) -> None:
    async with call.view(cooperatives.projection, at_least) as view:
        if not await view.fetch(cooperatives.one(cooperative_id)):
            raise NoSuchCooperative


@routes.get("/v1/requests/{request_id}", callers=roles.MENTORING, response_model=RequestItem, summary="One request")
async def get(request_id: UUID, call: CallOf, response: Response) -> RequestItem:
    """Return one request as it stands now; who is involved is asked for by itself."""
    loaded, asked = await _load(request_id, call)
    key = await call.vault.key(request_id)
    response.headers.update({"ETag": f'"{loaded.version}"', **NO_STORE})
    return _item(request_id, loaded, asked, key)


@routes.get(
    "/v1/requests/{request_id}/people",
    callers=roles.MENTORING,
    response_model=PeopleList,
    summary="Who is involved: personal data",
)
async def get_people(request_id: UUID, call: CallOf, response: Response) -> PeopleList:
    """Return the people of a request."""
    _, asked = await _load(request_id, call)
    key = await call.vault.key(request_id)
    response.headers.update(NO_STORE)
    return PeopleList(items=_people.validate_json(key.open("people", asked.people)), next_cursor=None)


@routes.get(
    "/v1/requests/{request_id}/history",
    callers=roles.READERS,
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


@routes.get("/v1/requests", callers=roles.READERS, response_model=RequestList, summary="Requests")
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

_people = TypeAdapter(list[Person])


def _sealed(body: NewRequest, key: DataKey, today: date) -> RequestMentoring:
    """Return the command; from here on nothing in it can be read without the key."""
    return RequestMentoring(
        cooperative_id=body.cooperative_id,
        cooperative_name=key.seal("cooperative_name", body.cooperative_name.encode()),
        kecamatan_code=body.location.kecamatan_code,
        village_code=body.location.village_code,
        address=key.seal("address", body.location.address.encode()),
        people=key.seal("people", _people.dump_json(body.people)),
        complaint=key.seal("complaint", body.complaint.encode()),
        category=body.category,
        channel=body.channel,
        letter_number=key.seal("letter_number", body.letter_number.encode()) if body.letter_number else None,
        letter_date=body.letter_date,
        received_on=body.received_on or today,
        today=today,
    )


def _item(request_id: UUID, loaded: Loaded[Request], asked: MentoringRequested, key: DataKey) -> RequestItem:
    assert loaded.state.state is not None
    return RequestItem(
        request_id=request_id,
        version=loaded.version,
        state=loaded.state.state,
        cooperative_id=asked.cooperative_id,
        cooperative_name=key.open("cooperative_name", asked.cooperative_name).decode(),
        location=Place(
            kecamatan_code=asked.kecamatan_code,
            village_code=asked.village_code,
            address=key.open("address", asked.address).decode(),
        ),
        complaint=key.open("complaint", asked.complaint).decode(),
        category=asked.category,
        channel=asked.channel,
        letter_number=key.open("letter_number", asked.letter_number).decode() if asked.letter_number else None,
        letter_date=asked.letter_date,
        received_on=asked.received_on,
    )


async def _load(request_id: UUID, call: Call) -> tuple[Loaded[Request], MentoringRequested]:
    loaded = await call.handler(request.decider).load(request_id)
    if loaded.state.asked is None:
        raise NoSuchRequest
    return loaded, loaded.state.asked
