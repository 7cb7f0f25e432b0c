"""What every read of reporting has in common: which moment is asked for, and one snapshot to answer from."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from chassis.definitions import clock
from chassis.definitions.decider import Missing
from chassis.definitions.projection import Projection
from chassis.definitions.values import EARLIEST, LATEST, Date
from chassis.http.calls import AtLeast, CallOf, in_loop
from chassis.storage.read_models import View
from contracts.envelope import timestamp
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import EVERYTHING, HealthRule, Verdict
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import Policy, policy_at
from services.reporting.projections import health_status
from services.reporting.projections.health_status import facts_of, projection
from services.reporting.tables.policies import policies

_BATCH = 500
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

    async def facts(self, kecamatan_code: str | None = None, after: UUID | None = None) -> AsyncIterator[Facts]:
        """Yield the facts of all cooperatives, by id; with a code, of those that ever sat there."""
        while True:
            query = health_status.cooperatives(kecamatan_code, after).limit(_BATCH)
            rows = await self.view.rows(projection, query)
            for row in rows:
                yield facts_of(row)
            if len(rows) < _BATCH:
                return
            after = rows[-1].subject_id

    async def verdicts(self, kecamatan_code: str | None = None, after: UUID | None = None) -> AsyncIterator[Verdict]:
        """Yield the verdicts of the cooperatives that count, by id; with a code, of those that sit there."""
        async for facts in self.facts(kecamatan_code, after):
            verdict = self.rule.judge(facts)
            if verdict and kecamatan_code in (None, verdict.kecamatan_code):
                yield verdict

    async def one(self, cooperative_id: UUID) -> tuple[Verdict, bool]:
        """Return a verdict, and whether a request about it is open. Raises NoSuchCooperative when it doesn't count."""
        rows = await self.view.rows(projection, health_status.ABOUT_ONE, cooperative_id=cooperative_id)
        for row in rows:
            if row.kind == "cooperative" and (verdict := self.rule.judge(facts_of(row))):
                return verdict, any(self._open_in(each) for each in rows if each.kind == "request")
        raise NoSuchCooperative

    async def seat(self, cooperative_id: UUID) -> str | None:
        """Return where a cooperative sits, also one that no longer counts. Raises NoSuchCooperative."""
        rows = await self.view.rows(projection, health_status.ABOUT_ONE, cooperative_id=cooperative_id)
        for facts in (facts_of(row) for row in rows if row.kind == "cooperative"):
            seat = self.rule.seat(facts)
            if seat is not None or self.rule.judge(facts):
                return seat
        raise NoSuchCooperative

    async def mentored(self, cooperative_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Return which of these cooperatives have an open request."""
        rows = await self.view.rows(projection, health_status.requests_about(cooperative_ids))
        return frozenset(row.cooperative_id for row in rows if row.cooperative_id and self._open_in(row))

    async def requests(self, kecamatan_code: str | None = None) -> list[Facts]:
        """Return the facts of all requests; with a code, of those whose own location is there."""
        rows = await self.view.rows(projection, health_status.requests(kecamatan_code))
        return [facts_of(row) for row in rows]

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
        self.at_least = at_least
        self.given = "as_of" if as_of else "known_at" if known_at else None
        self.as_of = as_of or call.today
        self.known_at = known_at

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """Open one snapshot of the facts to answer from. Raises NotCaughtUp, NoPolicy."""
        async with self.open(projection) as (view, stamp, policy):
            # Without a time everything read is known, even what another machine's clock dates a little ahead.
            yield Reading(view, HealthRule(self.as_of, self.known_at or EVERYTHING, policy), stamp)

    @asynccontextmanager
    async def open(self, read_model: Projection[Any]) -> AsyncIterator[tuple[View, Stamp, Policy]]:
        """Open one snapshot of a read model, with its stamp and the day's policy. Raises NotCaughtUp, NoPolicy."""
        policy = policy_at(self.as_of, await policies(self._call.runtime.read_models, projection))
        async with self._call.view(read_model, self.at_least) as view:
            stamp = Stamp(
                as_of=self.as_of,
                known_at=self.known_at or clock.now(),
                positions=dict(view.positions),
                policy=policy.name,
            )
            yield view, stamp, policy


MomentOf = Annotated[Moment, Depends(in_loop(Moment))]


async def kecamatan_of(cooperative_id: UUID, moment: MomentOf) -> str | None:
    """Return the kecamatan in which a cooperative sat at a moment. Raises NoSuchCooperative."""
    async with moment.read() as reading:
        return await reading.seat(cooperative_id)
