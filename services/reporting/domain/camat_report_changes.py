"""What a report would say otherwise by what has been recorded since: number by number, and by which events.

A report knows the events up to its positions. From there the later ones are taken one by one, in the order in which
they were recorded, and each is made answerable for what it alone moved; so a number then, and all its moves, always
come to the number now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from contracts.envelope import timestamp
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.counts import Counts
from services.reporting.domain.facts import (
    Corrected,
    Fact,
    Facts,
    MentoringClosed,
    RecordChanged,
    Registered,
    Relocated,
    Traced,
)
from services.reporting.domain.health import HealthRule, Verdict
from services.reporting.domain.mentoring import open_in

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTS = ("registry", "rat", "mentoring")


class Cause(BaseModel):
    """One event, recorded since, that moved something of the report."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    event: str = Field(description="Its public type, such as RATCorrected")
    service: str
    sequence: int
    recorded_at: Annotated[datetime, PlainSerializer(timestamp, return_type=str)]
    cooperative_id: UUID | None = Field(description="Null when it is about a request")
    request_id: UUID | None = Field(description="Null when it is about a cooperative")
    name: str | None = Field(description="Of the cooperative, as the report then or now has it")


class Move(BaseModel):
    """By how much one event moved one number."""

    model_config = ConfigDict(frozen=True)

    by: int
    cause: Cause


class NumberChange(BaseModel):
    """A number that would read otherwise: `was` and all that moved it come to `now`."""

    model_config = ConfigDict(frozen=True)

    number: str
    was: int
    now: int
    why: tuple[Move, ...]


class LineChange(BaseModel):
    """A cooperative whose line would read otherwise; a status is null where it is not on the report."""

    model_config = ConfigDict(frozen=True)

    cooperative_id: UUID
    name: str
    was: str | None
    now: str | None
    why: tuple[Cause, ...]


class Changes(BaseModel):
    """What would read otherwise: numbers, and lines of the list of cooperatives."""

    model_config = ConfigDict(frozen=True)

    numbers: tuple[NumberChange, ...]
    cooperatives: tuple[LineChange, ...]


def changes(
    kecamatan_code: str,
    was: Numbers,
    positions: Mapping[str, int],
    rule: HealthRule,
    cooperatives: Iterable[Facts],
    requests: Iterable[Facts],
) -> Changes:
    """Return what has changed of a report on the kecamatan whose numbers were `was`.

    `rule` has the report's day, and what is known now. `cooperatives` and `requests` are all that ever were there.
    """
    moves: dict[str, list[Move]] = {}
    lines: list[LineChange] = []
    for facts in cooperatives:
        before = _line(rule, _until(facts, positions), kecamatan_code)
        first, causes = before, []
        for fact, service, later in _since(facts, positions, rule.known_at):
            after = _line(rule, later, kecamatan_code)
            if _as_printed(after) != _as_printed(before):
                named = after or before
                cause = _cause(fact, service, cooperative_id=facts.subject, name=named.name if named else None)
                causes.append(cause)
                _count(moves, before, after, cause)
            before = after
        if _as_printed(first) != _as_printed(before) and (named := before or first):
            lines.append(
                LineChange(
                    cooperative_id=facts.subject,
                    name=named.name,
                    was=first and first.status,
                    now=before and before.status,
                    why=tuple(causes),
                )
            )
    for facts in requests:
        is_open = _is_open(rule, _until(facts, positions), kecamatan_code)
        for fact, service, later in _since(facts, positions, rule.known_at):
            will_be = _is_open(rule, later, kecamatan_code)
            if will_be != is_open:
                cause = _cause(fact, service, request_id=facts.subject)
                moves.setdefault("mentoring_open", []).append(Move(by=will_be - is_open, cause=cause))
            is_open = will_be
    return Changes(numbers=tuple(_numbers(was, moves)), cooperatives=tuple(lines))


def _numbers(was: Numbers, moves: Mapping[str, Sequence[Move]]) -> Iterator[NumberChange]:
    for number, before in was:
        why = sorted(moves.get(number, ()), key=lambda move: (move.cause.recorded_at, move.cause.event_id))
        if by := sum(move.by for move in why):
            yield NumberChange(number=number, was=before, now=before + by, why=tuple(why))


def _count(moves: dict[str, list[Move]], before: Verdict | None, after: Verdict | None, cause: Cause) -> None:
    then, now = _counted(before), _counted(after)
    for each in fields(Counts):
        if by := getattr(now, each.name) - getattr(then, each.name):
            moves.setdefault(each.name, []).append(Move(by=by, cause=cause))


def _counted(verdict: Verdict | None) -> Counts:
    counts = Counts()
    if verdict:
        counts.add(verdict)
    return counts


def _line(rule: HealthRule, facts: Facts, kecamatan_code: str) -> Verdict | None:
    verdict = rule.judge(facts)
    return verdict if verdict and verdict.kecamatan_code == kecamatan_code else None


def _as_printed(verdict: Verdict | None) -> object:
    """Return what the list of cooperatives shows of a verdict."""
    return verdict and (
        verdict.name,
        verdict.nik,
        verdict.village_code,
        verdict.scope,
        verdict.status,
        verdict.existence,
        verdict.book_years,
    )


def _is_open(rule: HealthRule, facts: Facts, kecamatan_code: str) -> bool:
    return open_in(facts, rule.as_of, rule.known_at) == kecamatan_code


def _until(facts: Facts, positions: Mapping[str, int]) -> Facts:
    """Return the facts up to these positions."""
    return Facts(
        facts.subject,
        *([fact for fact in getattr(facts, part) if fact.sequence <= positions.get(part, 0)] for part in _PARTS),
    )


def _since(facts: Facts, positions: Mapping[str, int], known_at: int) -> Iterator[tuple[Fact, str, Facts]]:
    """Yield the later facts as they were recorded, each with its service and with all facts up to it."""
    later: list[tuple[int, str, Fact]] = [
        (fact.recorded_at, part, fact)
        for part in _PARTS
        for fact in getattr(facts, part)
        if fact.sequence > positions.get(part, 0) and fact.recorded_at <= known_at
    ]
    # A service numbers in the order of its commits; between services only the clock tells.
    later.sort(key=lambda each: (each[0], each[1], each[2].sequence))
    reached = dict(positions)
    for _, part, fact in later:
        reached[part] = max(reached.get(part, 0), fact.sequence)
        yield fact, part, _until(facts, reached)


def _cause(
    fact: Fact,
    service: str,
    cooperative_id: UUID | None = None,
    request_id: UUID | None = None,
    name: str | None = None,
) -> Cause:
    return Cause(
        event_id=UUID(fact.id),
        event=_public_type(fact),
        service=service,
        sequence=fact.sequence,
        recorded_at=_EPOCH + timedelta(microseconds=fact.recorded_at),
        cooperative_id=cooperative_id,
        request_id=request_id,
        name=name,
    )


def _public_type(fact: Fact) -> str:
    match fact:
        case Registered() | Corrected() | Relocated() | Traced():
            return f"Cooperative{type(fact).__name__}"
        case RecordChanged():
            return "MinistryRecordChanged"
        case MentoringClosed():
            return f"Mentoring{fact.how.capitalize()}"
        case _:
            return type(fact).__name__
