"""What is announced of a cooperative's health: every change, and nothing else."""

from datetime import date
from typing import Any
from uuid import UUID

from story import Story

from chassis.testing.decider_spec import DeciderSpec
from contracts import reporting
from services.reporting.domain import announced_health as ah
from services.reporting.domain.health import EVERYTHING, HealthRule
from services.reporting.domain.policy import RAT_3Y_2024
from services.reporting.publications import publish

spec = DeciderSpec(ah.decider)
WHERE: dict[str, Any] = {"kecamatan_code": "35.07.21", "as_of": date(2024, 11, 14), "policy": "rat-3y-2024"}


def announce(status: Any) -> ah.AnnounceHealth:
    return ah.AnnounceHealth(status=status, **WHERE)


def changed(before: Any, after: Any) -> ah.HealthStatusChanged:
    return ah.HealthStatusChanged(before=before, after=after, **WHERE)


def test_the_first_status_is_announced_as_coming_from_none() -> None:
    spec.given().when(announce("lapsed")).then(changed(None, "lapsed"))


def test_another_status_is_announced_with_the_one_before() -> None:
    spec.given(changed(None, "lapsed")).when(announce("inconsistent")).then(changed("lapsed", "inconsistent"))


def test_what_the_world_knows_is_not_announced_again() -> None:
    spec.given(changed(None, "lapsed")).when(announce("lapsed")).then_nothing()


def test_a_cooperative_that_never_counted_is_not_announced() -> None:
    spec.given().when(announce(None)).then_nothing()


def test_that_a_cooperative_counts_no_longer_is_announced_once() -> None:
    spec.given(changed(None, "healthy")).when(announce(None)).then(changed("healthy", None))
    spec.given(changed(None, "healthy"), changed("healthy", None)).when(announce(None)).then_nothing()


def test_one_that_counts_again_is_announced_as_at_first() -> None:
    spec.given(changed(None, "healthy"), changed("healthy", None)).when(announce("healthy")).then(
        changed(None, "healthy")
    )


def test_the_public_event_says_from_what_to_what_and_by_which_policy() -> None:
    public = publish(UUID(int=7), changed("lapsed", "healthy"))
    assert public.model_dump(mode="json") == {
        "cooperative_id": str(UUID(int=7)),
        "kecamatan_code": "35.07.21",
        "from": "lapsed",
        "to": "healthy",
        "as_of": "2024-11-14",
        "policy": "rat-3y-2024",
    }
    assert isinstance(public, reporting.HealthStatusChanged)


def test_a_cooperative_that_counts_no_longer_still_has_the_kecamatan_it_last_sat_in() -> None:
    story = Story().registered().relocated("2023-05-01", "35.07.10").removal_approved("2024-01-01")
    rule = HealthRule(date(2024, 11, 14), EVERYTHING, RAT_3Y_2024)
    assert rule.judge(story.facts()) is None
    assert rule.seat(story.facts()) == "35.07.10"
    assert rule.seat(Story().held(2023, "2024-02-01").facts()) is None
