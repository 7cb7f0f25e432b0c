"""How the lag of a projection develops, and when it counts as stalled."""

import pytest

from chassis.engine.lag import WINDOW, History, Sample, trend


def sample(at: float, position: int = 10, behind: int = 5, *, generation: int = 1, paused: bool = False) -> Sample:
    return Sample(at, generation, {"registry": position}, behind, paused)


def history(*samples: Sample) -> History:
    kept = History()
    for each in samples:
        kept.add(each)
    return kept


TRENDS = [
    ([], "steady"),
    ([7], "steady"),
    ([0, 0, 0, 0], "steady"),
    ([0, 0, 4, 9], "growing"),
    ([0, 1, 2, 3], "growing"),
    ([1_000, 1_100, 1_200, 1_300], "growing"),
    ([1_000, 1_001, 999, 1_002], "steady"),
    ([9_000, 7_000, 4_000, 2_000], "shrinking"),
    ([9_000, 7_000, 4_000, 0], "steady"),
    ([0, 30, 0, 500, 0, 70], "steady"),
    ([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], "growing"),
    ([3, 3, 3, 3], "steady"),
]


@pytest.mark.parametrize(("lags", "told"), TRENDS, ids=str)
def test_a_trend_is_the_newer_half_against_the_older_and_who_was_level_keeps_up(lags: list[int], told: str) -> None:
    assert trend(lags) == told


def test_what_stood_still_for_a_minute_with_something_to_do_is_stalled() -> None:
    kept = history(*(sample(at) for at in range(0, 60, 5)))
    assert not kept.stalled(sample(WINDOW - 0.1))
    assert kept.stalled(sample(WINDOW))


def test_it_is_not_stalled_when_it_moved_within_the_minute() -> None:
    kept = history(*(sample(at, position=10 + at // 30) for at in range(0, 65, 5)))
    assert not kept.stalled(sample(65, position=12))


def test_it_is_not_stalled_while_there_is_nothing_to_do() -> None:
    kept = history(*(sample(at, behind=0) for at in range(0, 120, 5)))
    assert not kept.stalled(sample(120, behind=0))


def test_the_minute_begins_when_there_is_something_to_do() -> None:
    kept = history(*(sample(at, behind=0) for at in range(0, 120, 5)), sample(120))
    assert not kept.stalled(sample(120 + WINDOW - 1))
    assert kept.stalled(sample(120 + WINDOW))


def test_a_paused_one_is_not_stalled_and_has_a_minute_to_go_on_once_it_is_resumed() -> None:
    kept = history(*(sample(at, paused=True) for at in range(0, 120, 5)))
    assert not kept.stalled(sample(120, paused=True))
    assert not kept.stalled(sample(121))


def test_a_generation_that_has_just_gone_live_is_judged_by_itself() -> None:
    kept = history(*(sample(at, behind=9_000) for at in range(0, 120, 5)))
    now = sample(120, behind=1, generation=2)
    assert not kept.stalled(now)
    assert kept.trend(now) == "steady"


def test_no_more_samples_are_kept_than_the_minute_needs() -> None:
    kept = history(*(sample(at, behind=at) for at in range(10_000)))
    assert len(kept._samples) == WINDOW + 1
    assert kept.stalled(sample(10_000))
