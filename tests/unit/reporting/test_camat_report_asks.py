"""What a camat is asked for."""

from datetime import date
from typing import Any

import pytest
from regency_of_verdicts import called, healthy, judged, steady
from story import Story

from services.reporting.domain.camat_report_asks import AskKind, asks, doubtful
from services.reporting.domain.policy import RAT_3Y_2024

NOVEMBER, APRIL = date(2024, 11, 14), date(2024, 4, 10)


def asked(*stories: Story, on: date = NOVEMBER, written_on: date | None = None) -> dict[str, Any]:
    verdicts = judged([called(f"K{n}", story, n) for n, story in enumerate(stories)], on)
    return {ask.kind: ask for ask in asks(verdicts, written_on or on, RAT_3Y_2024)}


def kinds(*stories: Story, on: date = NOVEMBER) -> list[str]:
    return list(asked(*stories, on=on))


def test_of_a_healthy_cooperative_nothing_is_asked() -> None:
    assert kinds(healthy()) == []


@pytest.mark.parametrize(
    ("story", "kind"),
    [
        (Story().registered(), "confirm_existence"),
        (Story().registered().traced("2024-03-01", "dormant"), "confirm_existence"),
        (healthy().traced("2024-03-01", "not_found"), "confirm_existence"),
        (Story().registered().traced("2024-03-01", "not_found").removal_proposed("2024-06-01"), "village_letter"),
        (Story().registered().traced("2024-03-01", "found"), "press_lapsed"),
        (Story().registered().traced("2024-03-01", "moved"), "press_lapsed"),
        (steady((2021, 2022)), "remind_inconsistent"),
    ],
)
def test_a_cooperative_is_in_the_first_ask_that_fits(story: Story, kind: AskKind) -> None:
    assert kinds(story) == [kind]


def test_who_missed_an_earlier_year_and_held_the_latest_is_left_in_peace() -> None:
    assert kinds(steady((2021, 2023))) == []


def test_before_the_due_date_those_still_to_hold_their_rat_are_reminded() -> None:
    years = (2020, 2021, 2022)
    reminder = asked(steady(years), steady((*years, 2023)), on=APRIL)["remind_due"]
    assert (reminder.book_year, reminder.by, len(reminder.cooperatives)) == (2023, date(2024, 6, 30), 1)


def test_a_meeting_is_wanted_by_its_due_date_or_once_that_is_over_by_the_end_of_the_year() -> None:
    lapsed = Story().registered().traced("2024-03-01", "found")
    for day, by in ((date(2024, 6, 30), date(2024, 6, 30)), (date(2024, 7, 1), date(2024, 12, 31))):
        ask = asked(lapsed, on=day)["press_lapsed"]
        assert (ask.book_year, ask.by) == (2023, by)


def test_what_is_asked_lies_ahead_of_the_day_the_report_is_written() -> None:
    ask = asked(
        Story().registered().traced("2024-03-01", "found"), on=date(2024, 12, 31), written_on=date(2025, 1, 10)
    )["press_lapsed"]
    assert (ask.book_year, ask.by) == (2024, date(2025, 6, 30))


def test_a_village_has_thirty_days_to_answer() -> None:
    assert asked(Story().registered())["confirm_existence"].by == date(2024, 12, 14)


def test_the_soonest_comes_first_and_there_are_never_more_than_five() -> None:
    everything = (
        Story().registered(),
        Story().registered().removal_proposed("2024-04-01"),
        Story().registered().traced("2024-03-01", "found"),
        steady((2020, 2021)),
        steady((2020, 2021, 2022)),
    )
    found = asked(*everything, on=date(2024, 6, 20))
    assert list(found) == [
        "press_lapsed",
        "remind_inconsistent",
        "remind_due",
        "confirm_existence",
        "village_letter",
    ]
    assert all(len(ask.cooperatives) == 1 for ask in found.values())


def test_cooperatives_of_a_whole_province_are_not_the_camats_business() -> None:
    assert kinds(Story().registered(scope="province"), Story().registered(scope="national")) == []
    assert kinds(Story().registered(scope=None)) == ["confirm_existence"]


def test_the_reason_for_doubt_is_told() -> None:
    stories = (
        Story().registered(),
        Story().registered().traced("2024-03-01", "dormant"),
        healthy().traced("2024-03-01", "not_found"),
        Story().registered().traced("2024-03-01", "not_found").removal_proposed("2024-06-01"),
        healthy(),
    )
    verdicts = judged([called(f"K{n}", story, n) for n, story in enumerate(stories)])
    assert [each.doubt for each in doubtful(verdicts)] == ["never_traced", "dormant", "not_found"]
