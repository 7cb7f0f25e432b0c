"""A small regency for reports: cooperatives as facts, judged, and the report on one of its kecamatan."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from story import Story

from contracts.regions import kecamatan
from services.reporting.domain.camat_report import Known, Report, report
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import EVERYTHING, HealthRule, Verdict
from services.reporting.domain.policy import RAT_3Y_2024

WAGIR, TUMPANG = "35.07.21", "35.07.16"
KNOWN_AT = datetime(2024, 11, 14, 2, 30, 5, 250_000, tzinfo=UTC)
AS_OF = date(2024, 11, 14)


def called(name: str, story: Story, number: int) -> Facts:
    """Return the facts of a story as those of a cooperative of its own."""
    facts = story.facts()
    registry = [
        msgspec.structs.replace(fact, name=name) if type(fact).__name__ == "Registered" else fact
        for fact in facts.registry
    ]
    return Facts(UUID(int=1000 + number), registry, facts.rat, facts.mentoring)


def judged(cooperatives: Iterable[Facts], as_of: date = AS_OF) -> list[Verdict]:
    """Return the verdicts of those that count."""
    rule = HealthRule(as_of, EVERYTHING, RAT_3Y_2024)
    return [verdict for facts in cooperatives if (verdict := rule.judge(facts))]


def reported(
    cooperatives: Sequence[Facts] = (),
    requests: Sequence[Facts] = (),
    *,
    as_of: date = AS_OF,
    code: str = WAGIR,
    **more: Any,
) -> Report:
    """Return the report on a kecamatan."""
    place = kecamatan(code)
    assert place
    known = Known(as_of, KNOWN_AT, {"registry": 3, "rat": 7}, RAT_3Y_2024)
    return report(place, known, judged(cooperatives, as_of), requests, cutoff=EVERYTHING, **more)


def healthy(**registration: Any) -> Story:
    """Tell of three years held in time."""
    return steady((2021, 2022, 2023), **registration)


def steady(years: Iterable[int], **registration: Any) -> Story:
    """Tell of the meetings of these book years, each held in time."""
    story = Story().registered(**registration)
    for year in years:
        story.held(year, f"{year + 1}-02-15")
    return story
