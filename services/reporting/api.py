"""Reporting's HTTP interface: the health of every cooperative and kecamatan, at any date, as known at any time."""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from chassis.definitions import clock
from chassis.definitions.decider import Invalid, Missing
from chassis.definitions.values import EARLIEST, LATEST, Date, KecamatanCode
from chassis.http.calls import AtLeast, CallOf, Cursor, Limit, cursor_after, in_loop
from chassis.http.routing import Routes
from chassis.storage.read_models import View
from contracts import roles
from contracts.envelope import timestamp
from contracts.regions import all_kecamatan, kecamatan
from contracts.registry import Existence, Scope
from services.reporting.domain.counts import Counts, tally
from services.reporting.domain.health import BookYear, HealthRule, State, Status, Verdict
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import policy_at
from services.reporting.projections import health_status
from services.reporting.projections.health_status import facts_of, projection

routes = Routes()

_BATCH = 500
_EVERYTHING = 2**62
"""Later than any recorded time, in microseconds since 1970: whatever the read model holds is known."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _time(value: object) -> datetime:
    try:
        if isinstance(value, str) and _RFC_3339.fullmatch(value):
            found = datetime.fromisoformat(value.upper())
            if EARLIEST <= found.date() <= LATEST:
                return found.astimezone(UTC)
    except ValueError:
        pass
    raise ValueError(f"must be a time such as 2026-03-28T09:30:00.000000Z, between {EARLIEST} and {LATEST}")


type Timestamp = Annotated[datetime, PlainSerializer(timestamp, return_type=str)]
"""RFC 3339 in UTC, always with microseconds."""


class Stamp(BaseModel):
    """What every answer says of itself: the state of which day, known when, from which events, by which rule."""

    as_of: date = Field(description="The state of the world on this day")
    known_at: Timestamp = Field(description="Using only what was recorded by then")
    positions: dict[str, int] = Field(description="Per service, the last event that was read")
    policy: str = Field(description="The policy the rule went by, such as rat-3y-2024")


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


class NoSuchCooperative(Missing):
    """No cooperative with this id counts on that day, as far as was known by then."""


class NoSuchKecamatan(Missing):
    """This is none of the 33 kecamatan of the regency."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One read: the rule of its moment, the snapshot of facts it judges, and what the answer says of both."""

    view: View
    rule: HealthRule
    stamp: Stamp

    async def verdicts(self, kecamatan_code: str | None = None, after: UUID | None = None) -> AsyncIterator[Verdict]:
        """Yield the verdicts of the cooperatives that count, by id; with a code, of those that sit there."""
        while True:
            query = health_status.cooperatives(kecamatan_code, after).limit(_BATCH)
            rows = await self.view.rows(projection, query)
            for row in rows:
                verdict = self.rule.judge(facts_of(row))
                if verdict and kecamatan_code in (None, verdict.kecamatan_code):
                    yield verdict
            if len(rows) < _BATCH:
                return
            after = rows[-1].subject_id

    async def verdict(self, cooperative_id: UUID) -> Verdict:
        """Return one verdict. Raises NoSuchCooperative when it doesn't count."""
        for row in await self.view.rows(projection, health_status.cooperative(cooperative_id)):
            if verdict := self.rule.judge(facts_of(row)):
                return verdict
        raise NoSuchCooperative

    async def mentored(self, cooperative_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Return which of these cooperatives have an open request."""
        rows = await self.view.rows(projection, health_status.requests_about(cooperative_ids))
        return frozenset(row.cooperative_id for row in rows if row.cooperative_id and self._open_in(row))

    async def open_requests(self, kecamatan_code: str | None = None) -> list[str]:
        """Return the kecamatan code of every open request; with a code, of those there."""
        rows = await self.view.rows(projection, health_status.requests(kecamatan_code))
        return [code for row in rows if (code := self._open_in(row))]

    def _open_in(self, row: health_status.HealthRow) -> str | None:
        return open_in(facts_of(row), self.rule.as_of, self.rule.known_at)


class Moment:
    """Which past or present a caller asks for. Handlers take it as `moment: MomentOf`."""

    def __init__(
        self,
        call: CallOf,
        at_least: AtLeast,
        as_of: Annotated[Date | None, Query(description="the state of the world on this day; default today")] = None,
        known_at: Annotated[
            datetime | None,
            BeforeValidator(_time),
            Query(
                description="using only what was recorded by then, RFC 3339; default now",
                examples=["2026-03-28T09:30:00.000000Z"],
            ),
        ] = None,
    ) -> None:
        """Read the question's time."""
        self._call = call
        self._at_least = at_least
        self._as_of = as_of or call.today
        self._known_at = known_at

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """Open one snapshot to answer from. Raises NotCaughtUp."""
        policy = policy_at(self._as_of)
        async with self._call.view(projection, self._at_least) as view:
            stamp = Stamp(
                as_of=self._as_of,
                known_at=self._known_at or clock.now(),
                positions=dict(view.positions),
                policy=policy.name,
            )
            # Without a time everything read is known, even what another machine's clock dates a little ahead.
            rule = HealthRule(self._as_of, self._known_at or _EVERYTHING, policy)
            yield Reading(view, rule, stamp)


MomentOf = Annotated[Moment, Depends(in_loop(Moment))]


@routes.get("/v1/health", callers=roles.READERS, response_model=HealthList, summary="The health of cooperatives")
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
        async for verdict in reading.verdicts(kecamatan_code, _uuid_of(cursor)):
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
    response_model=HealthAnswer,
    summary="The health of one cooperative, and why",
)
async def get(cooperative_id: UUID, moment: MomentOf) -> HealthAnswer:
    """Return one cooperative's health with the rule and the events that decided it."""
    async with moment.read() as reading:
        verdict = await reading.verdict(cooperative_id)
        mentored = await reading.mentored([cooperative_id])
        return health_answer(reading.stamp, verdict, cooperative_id in mentored)


@routes.get("/v1/kecamatan", callers=roles.READERS, response_model=KecamatanList, summary="Counts of every kecamatan")
async def count_all(moment: MomentOf, scope: Annotated[Scope | None, Query()] = None) -> KecamatanList:
    """Return the counts of all 33 kecamatan, of the cooperatives without one (code null), and of all together."""
    async with moment.read() as reading:
        verdicts = [verdict async for verdict in reading.verdicts()]
        return kecamatan_list(reading.stamp, verdicts, await reading.open_requests(), scope)


@routes.get(
    "/v1/kecamatan/{kecamatan_code}",
    callers=roles.READERS,
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


def _uuid_of(cursor: str | None) -> UUID | None:
    try:
        return UUID(cursor) if cursor is not None else None
    except ValueError:
        raise Invalid("cursor", "take it from next_cursor of the page before") from None


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
        because=BecauseItem(rule=because.rule, events=list(because.events)),
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
    counts = tally([code], verdicts, open_requests, scope).by_kecamatan[code]
    item = _kecamatan_item(code, counts)
    return KecamatanAnswer(**dict(stamp), **dict(item), items=[item], total=KecamatanCounts(**asdict(counts)))


def _book_year(year: BookYear) -> BookYearItem:
    return BookYearItem(
        book_year=year.book_year, due_on=year.due_on, state=year.state, held_on=year.held_on, source=year.source
    )


def _kecamatan_item(code: str | None, counts: Counts) -> KecamatanItem:
    place = kecamatan(code) if code else None
    return KecamatanItem(kecamatan_code=code, name=place.name if place else None, **asdict(counts))
