"""A camat report: what it says, computed from verdicts. How it looks is said in `documents`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from contracts.envelope import timestamp
from contracts.regions import Kecamatan, village
from services.reporting.domain.camat_report_asks import Ask, Doubtful, asks, doubtful
from services.reporting.domain.camat_report_changes import Changes
from services.reporting.domain.camat_report_numbers import Numbers, Shares, shares
from services.reporting.domain.counts import tally
from services.reporting.domain.facts import Facts, MentoringClosed, MentoringRequested
from services.reporting.domain.health import State, Status, Verdict
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import Policy


class Part(BaseModel):
    """A part of a report."""

    model_config = ConfigDict(frozen=True)


class Standing(Numbers):
    """Numbers with their shares."""

    shares: Shares


class Year(Part):
    """How one book year of a cooperative stands."""

    book_year: int
    due_on: date
    state: State
    held_on: date | None
    source: str | None


class Line(Part):
    """One cooperative of the kecamatan."""

    cooperative_id: UUID
    name: str
    nik: str | None
    scope: str | None
    village_code: str | None
    village: str | None
    status: Status
    existence: str
    mentoring_open: bool
    book_years: tuple[Year, ...]


class Mentoring(Part):
    """The requests for PUAS from the kecamatan: those open, and what came and went in the year so far."""

    open: int
    received_this_year: int
    closed_this_year: dict[str, int] = Field(description="How many were declined, redirected, completed")


class RuleInForce(Part):
    """What the policy goes by; the dates are those of the book year before the report's day."""

    window: int = Field(description="How many book years count")
    due_on: date
    primary_deadline: date
    secondary_deadline: date


class Previous(Standing):
    """The last issued report of the kecamatan before this one, and what would read otherwise in it by now."""

    report_id: UUID
    period: str
    as_of: date
    changes: Changes


class Report(Standing):
    """What a camat is told of the cooperatives in the kecamatan, at a day and as known at a time.

    `report_id`, `period` and `issued_on` are null while it is not issued. `book_years` are the columns of the list.
    """

    report_id: UUID | None
    period: str | None
    issued_on: date | None
    as_of: date
    known_at: Annotated[datetime, PlainSerializer(timestamp, return_type=str)]
    positions: dict[str, int] = Field(description="Per service, the last event that was read")
    policy: str
    rule: RuleInForce
    kecamatan_code: str
    name: str
    regency: Standing
    previous: Previous | None
    asks: tuple[Ask, ...]
    to_confirm: tuple[Doubtful, ...]
    mentoring: Mentoring
    of_other_scope: int = Field(description="How many of those registered the regency does not supervise")
    book_years: tuple[int, ...]
    cooperatives: tuple[Line, ...]

    @property
    def written_on(self) -> date:
        """Return the day it is written: that of its issue, else the day it is about."""
        return self.issued_on or self.as_of

    @property
    def numbers(self) -> Numbers:
        """Return the numbers alone."""
        return Numbers(**{name: getattr(self, name) for name in Numbers.model_fields})


@dataclass(frozen=True, slots=True)
class Issue:
    """As what a report is issued."""

    report_id: UUID
    period: str
    issued_on: date


@dataclass(frozen=True, slots=True)
class Known:
    """What a report says of its own sources."""

    as_of: date
    known_at: datetime
    positions: Mapping[str, int]
    policy: Policy


def report(
    place: Kecamatan,
    known: Known,
    verdicts: Sequence[Verdict],
    requests: Iterable[Facts],
    *,
    mentored: frozenset[UUID] = frozenset(),
    cutoff: int,
    previous: Previous | None = None,
    issue: Issue | None = None,
) -> Report:
    """Return the report on a kecamatan.

    `verdicts` are those of the whole regency, `requests` the facts of all its requests, of which what was recorded
    after `cutoff` (microseconds since 1970 UTC) is not used. `mentored` have an open request about them.
    """
    requests = list(requests)
    open_requests = [code for each in requests if (code := open_in(each, known.as_of, cutoff))]
    counted = tally([place.code], verdicts, open_requests)
    here = sorted((one for one in verdicts if one.kecamatan_code == place.code), key=_by_village)
    return Report(
        **_standing(Numbers.of(counted.by_kecamatan[place.code])),
        report_id=issue and issue.report_id,
        period=issue and issue.period,
        issued_on=issue and issue.issued_on,
        as_of=known.as_of,
        known_at=known.known_at,
        positions=dict(sorted(known.positions.items())),
        policy=known.policy.name,
        rule=_rule(known),
        kecamatan_code=place.code,
        name=place.name,
        regency=Standing(**_standing(Numbers.of(counted.total))),
        previous=previous,
        asks=asks(here, issue.issued_on if issue else known.as_of, known.policy),
        to_confirm=doubtful(here),
        mentoring=mentoring(place.code, requests, known.as_of, cutoff),
        of_other_scope=sum(one.scope not in ("regency", None) for one in here),
        book_years=tuple(sorted({year.book_year for one in here for year in one.book_years})),
        cooperatives=tuple(_line(one, one.cooperative_id in mentored) for one in here),
    )


def previous(numbers: Numbers, *, report_id: UUID, period: str, as_of: date, changes: Changes) -> Previous:
    """Return an issued report as the next one refers to it."""
    return Previous(**_standing(numbers), report_id=report_id, period=period, as_of=as_of, changes=changes)


def mentoring(kecamatan_code: str, requests: Iterable[Facts], as_of: date, cutoff: int) -> Mentoring:
    """Count the requests whose own location is in the kecamatan, in the year up to `as_of`."""
    still_open, received, closed = 0, 0, Counter[str]()
    for request in requests:
        asked: MentoringRequested | None = None
        for fact in request.mentoring:
            if fact.recorded_at > cutoff:
                continue
            match fact:
                case MentoringRequested() if fact.kecamatan_code == kecamatan_code and fact.received_on <= as_of:
                    asked = fact
                case MentoringClosed() if asked and fact.closed_on <= as_of and fact.closed_on.year == as_of.year:
                    closed[fact.how] += 1
                case _:
                    pass
        if asked:
            received += asked.received_on.year == as_of.year
            still_open += open_in(request, as_of, cutoff) == kecamatan_code
    return Mentoring(open=still_open, received_this_year=received, closed_this_year=dict(sorted(closed.items())))


def _rule(known: Known) -> RuleInForce:
    policy, book_year = known.policy, known.as_of.year - 1
    return RuleInForce(
        window=policy.window,
        due_on=policy.due_on(book_year),
        primary_deadline=policy.deadline(book_year, "primary"),
        secondary_deadline=policy.deadline(book_year, "secondary"),
    )


def _standing(numbers: Numbers) -> dict[str, int | Shares]:
    return {**dict(numbers), "shares": shares(numbers)}


def _line(verdict: Verdict, mentoring_open: bool) -> Line:
    place = village(verdict.village_code) if verdict.village_code else None
    return Line(
        cooperative_id=verdict.cooperative_id,
        name=verdict.name,
        nik=verdict.nik,
        scope=verdict.scope,
        village_code=verdict.village_code,
        village=place and place.name,
        status=verdict.status,
        existence=verdict.existence,
        mentoring_open=mentoring_open,
        book_years=tuple(
            Year(
                book_year=year.book_year,
                due_on=year.due_on,
                state=year.state,
                held_on=year.held_on,
                source=year.source,
            )
            for year in verdict.book_years
        ),
    )


def _by_village(verdict: Verdict) -> tuple[bool, str, str, UUID]:
    """Order as a camat goes through them: village by village, those without one last, then by name."""
    place = village(verdict.village_code) if verdict.village_code else None
    return place is None, place.name if place else "", verdict.name.casefold(), verdict.cooperative_id
