"""Policies are rows with periods, and the rule takes the one of the day."""

from datetime import date

import msgspec
import pytest
from story import Story, day, states

from services.reporting.domain.policy import RAT_3Y_2024, NoPolicy, Policy, policy_at

TWO_YEARS = Policy(
    name="rat-2y-2030",
    valid_from=date(2030, 1, 1),
    valid_to=None,
    window=2,
    due=(4, 30),
    primary_deadline=(2, 28),
    secondary_deadline=(2, 28),
    attested_from=(12, 31),
)
THREE_YEARS = msgspec.structs.replace(RAT_3Y_2024, valid_to=date(2029, 12, 31))
POLICIES = (THREE_YEARS, TWO_YEARS)


def test_both_ends_of_a_period_belong_to_it() -> None:
    assert policy_at(date(2029, 12, 31), POLICIES) is THREE_YEARS
    assert policy_at(date(2030, 1, 1), POLICIES) is TWO_YEARS
    assert policy_at(date(1900, 1, 1), POLICIES) is THREE_YEARS


def test_a_day_without_a_policy_is_refused_naming_the_date_that_was_asked_for() -> None:
    with pytest.raises(NoPolicy) as refused:
        policy_at(date(2029, 12, 31), (TWO_YEARS,))
    assert (refused.value.field, refused.value.status) == ("as_of", 422)


def test_the_same_facts_are_judged_by_the_policy_of_the_day() -> None:
    story = Story().registered().held(2027, "2028-03-15").held(2028, "2029-03-15")

    def status(as_of: str) -> str:
        return story.at(as_of, policy=policy_at(day(as_of), POLICIES)).status

    assert status("2029-12-31") == "inconsistent"  # 2026 to 2028, of which the first was missed
    assert status("2030-01-01") == "healthy"  # 2027 and 2028


def test_a_policy_says_when_a_year_is_due_and_when_a_meeting_is_late() -> None:
    story = Story().registered().held(2028, "2029-03-15").held(2027, "2028-02-15")
    assert states(story.at("2030-04-30", policy=TWO_YEARS)) == {2027: "on_time", 2028: "late", 2029: "pending"}
    assert states(story.at("2030-05-01", policy=TWO_YEARS)) == {2028: "late", 2029: "missed"}
