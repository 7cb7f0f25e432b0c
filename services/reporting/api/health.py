"""The health of every cooperative and kecamatan, at any date, as known at any time."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from chassis.definitions.values import KecamatanCode
from chassis.http.admission import Within
from chassis.http.calls import CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.routing import Routes
from contracts import roles
from contracts.regions import all_kecamatan, kecamatan
from contracts.registry import Existence, Scope
from services.reporting.api.reading import MomentOf, NoSuchKecamatan, Stamp, kecamatan_of
from services.reporting.domain.counts import Counts, tally
from services.reporting.domain.health import BookYear, State, Status, Verdict

routes = Routes()


class BookYearItem(BaseModel):
    """How one book year stands."""

    book_year: int
    due_on: date
    state: State
    held_on: date | None = Field(description="Null when it was not held, or is attested only")
    source: str | None = Field(description="office, ods or nik_grade")


class HealthItem(BaseModel):
    """What one cooperative is."""

    cooperative_id: UUID
    name: str
    nik: str | None
    kecamatan_code: str | None
    village_code: str | None
    status: Status
    existence: str
    mentoring_open: bool = Field(description="Whether a request for mentoring of this cooperative is open")
    book_years: list[BookYearItem] = Field(description="The window, and the current year while it is pending")


class BecauseItem(BaseModel):
    """Why: the rule in words, and the ids of the events that decided it."""

    rule: str
    events: list[UUID]


class HealthAnswer(Stamp, HealthItem):
    """One cooperative's health, with its reasons."""

    because: BecauseItem


class HealthList(Stamp):
    """One page of cooperatives."""

    items: list[HealthItem]
    next_cursor: str | None


class KecamatanCounts(BaseModel):
    """How many cooperatives are what, and how many requests are open."""

    registered: int
    obliged: int
    healthy: int
    on_track: int
    inconsistent: int
    lapsed: int
    not_yet_due: int
    held_latest: int
    not_found: int
    removal_proposed: int
    mentoring_open: int


class KecamatanItem(KecamatanCounts):
    """The counts of one kecamatan; code and name are null for the cooperatives without one."""

    kecamatan_code: str | None
    name: str | None


class KecamatanList(Stamp):
    """The counts of all 33 kecamatan, of the cooperatives without one, and of all together."""

    items: list[KecamatanItem]
    total: KecamatanCounts


class KecamatanAnswer(KecamatanList, KecamatanItem):
    """The counts of one kecamatan, and the same again in the shape of the list, whose only item it is."""


@routes.get(
    "/v1/health",
    callers=roles.READERS,
    within=Within.LISTED,
    response_model=HealthList,
    summary="The health of cooperatives",
)
async def find(
    moment: MomentOf,
    cursor: Cursor,
    kecamatan_code: Annotated[KecamatanCode | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
    existence: Annotated[Existence | None, Query()] = None,
    scope: Annotated[Scope | None, Query()] = None,
    limit: Limit = 100,
) -> HealthList:
    """Return the cooperatives that count on a day, page by page."""
    found: list[Verdict] = []
    async with moment.read() as reading:
        async for verdict in reading.verdicts(kecamatan_code, uuid_after(cursor)):
            if (
                status in (None, verdict.status)
                and existence in (None, verdict.existence)
                and scope in (None, verdict.scope)
            ):
                found.append(verdict)
                if len(found) > limit:
                    break
        page = found[:limit]
        mentored = await reading.mentored([verdict.cooperative_id for verdict in page])
        next_cursor = cursor_after(str(page[-1].cooperative_id)) if len(found) > limit else None
        return health_list(reading.stamp, page, mentored, next_cursor)


@routes.get(
    "/v1/health/{cooperative_id}",
    callers=roles.READERS,
    within=kecamatan_of,
    response_model=HealthAnswer,
    summary="The health of one cooperative, and why",
)
async def get(cooperative_id: UUID, moment: MomentOf) -> HealthAnswer:
    """Return one cooperative's health with the rule and the events that decided it."""
    async with moment.read() as reading:
        verdict, mentored = await reading.one(cooperative_id)
        return health_answer(reading.stamp, verdict, mentored)


@routes.get(
    "/v1/kecamatan",
    callers=roles.READERS,
    within=Within.SHOWN,
    response_model=KecamatanList,
    summary="Counts of every kecamatan",
)
async def count_all(call: CallOf, moment: MomentOf, scope: Annotated[Scope | None, Query()] = None) -> KecamatanList:
    """Return the counts of all 33 kecamatan, of the cooperatives without one (code null), and of all together.

    A camat gets those of their own kecamatan, and the total of it.
    """
    own = call.confined_to
    async with moment.read() as reading:
        verdicts = [verdict async for verdict in reading.verdicts(own)]
        requests = await reading.open_requests(own)
        if own is None:
            return kecamatan_list(reading.stamp, verdicts, requests, scope)
        return kecamatan_list_of_one(reading.stamp, own, verdicts, requests, scope)


@routes.get(
    "/v1/kecamatan/{kecamatan_code}",
    callers=roles.READERS,
    within=Within.PATH,
    response_model=KecamatanAnswer,
    summary="Counts of one kecamatan",
)
async def count_one(
    kecamatan_code: str, moment: MomentOf, scope: Annotated[Scope | None, Query()] = None
) -> KecamatanAnswer:
    """Return the counts of one kecamatan."""
    if kecamatan(kecamatan_code) is None:
        raise NoSuchKecamatan
    async with moment.read() as reading:
        verdicts = [verdict async for verdict in reading.verdicts(kecamatan_code)]
        requests = await reading.open_requests(kecamatan_code)
        return kecamatan_answer(reading.stamp, kecamatan_code, verdicts, requests, scope)


def health_item(verdict: Verdict, mentoring_open: bool) -> HealthItem:
    """Return a verdict as an item of the list."""
    return HealthItem(
        cooperative_id=verdict.cooperative_id,
        name=verdict.name,
        nik=verdict.nik,
        kecamatan_code=verdict.kecamatan_code,
        village_code=verdict.village_code,
        status=verdict.status,
        existence=verdict.existence,
        mentoring_open=mentoring_open,
        book_years=[_book_year(year) for year in verdict.book_years],
    )


def health_answer(stamp: Stamp, verdict: Verdict, mentoring_open: bool) -> HealthAnswer:
    """Return a verdict as the answer about one cooperative."""
    because = verdict.because
    return HealthAnswer(
        **dict(stamp),
        **dict(health_item(verdict, mentoring_open)),
        because=BecauseItem(rule=because.rule, events=[UUID(id_) for id_ in because.events]),
    )


def health_list(
    stamp: Stamp, verdicts: Sequence[Verdict], mentored: frozenset[UUID], next_cursor: str | None
) -> HealthList:
    """Return one page of verdicts; `mentored` are the cooperatives with an open request."""
    items = [health_item(verdict, verdict.cooperative_id in mentored) for verdict in verdicts]
    return HealthList(**dict(stamp), items=items, next_cursor=next_cursor)


def kecamatan_list(
    stamp: Stamp, verdicts: Iterable[Verdict], open_requests: Iterable[str], scope: str | None = None
) -> KecamatanList:
    """Return the counts per kecamatan; `open_requests` are the kecamatan codes of the open requests."""
    counted = tally([place.code for place in all_kecamatan()], verdicts, open_requests, scope)
    return KecamatanList(
        **dict(stamp),
        items=[_kecamatan_item(code, counts) for code, counts in counted.by_kecamatan.items()],
        total=KecamatanCounts(**asdict(counted.total)),
    )


def kecamatan_answer(
    stamp: Stamp, code: str, verdicts: Iterable[Verdict], open_requests: Iterable[str], scope: str | None = None
) -> KecamatanAnswer:
    """Return the counts of one kecamatan."""
    listed = kecamatan_list_of_one(stamp, code, verdicts, open_requests, scope)
    return KecamatanAnswer(**dict(listed), **dict(listed.items[0]))


def kecamatan_list_of_one(
    stamp: Stamp, code: str, verdicts: Iterable[Verdict], open_requests: Iterable[str], scope: str | None = None
) -> KecamatanList:
    """Return the counts of one kecamatan in the shape of the list, whose only item it is."""
    counts = tally([code], verdicts, open_requests, scope).by_kecamatan[code]
    item = _kecamatan_item(code, counts)
    return KecamatanList(**dict(stamp), items=[item], total=KecamatanCounts(**asdict(counts)))


def _book_year(year: BookYear) -> BookYearItem:
    return BookYearItem(
        book_year=year.book_year, due_on=year.due_on, state=year.state, held_on=year.held_on, source=year.source
    )


def _kecamatan_item(code: str | None, counts: Counts) -> KecamatanItem:
    place = kecamatan(code) if code else None
    return KecamatanItem(kecamatan_code=code, name=place.name if place else None, **asdict(counts))
