"""How far behind a projection is, over the last minute: whether that grows, and whether it stands still."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Literal

WINDOW = 60.0
"""Seconds that a trend looks back on, and after which a projection that does not move is stalled."""
_NOTICEABLE = 0.05
"""Share by which a lag must change to be more than noise."""

type Trend = Literal["growing", "steady", "shrinking"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Where one generation stood at a moment: `at` in seconds of a monotonic clock, `behind` in events."""

    at: float
    generation: int
    positions: Mapping[str, int]
    behind: int
    paused: bool = False


class History:
    """The samples of one projection, as far back as WINDOW needs them."""

    def __init__(self) -> None:
        """Start without any."""
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Keep a sample; those of before the window go, but for the one it begins with."""
        self._samples.append(sample)
        while len(self._samples) > 1 and self._samples[1].at <= sample.at - WINDOW:
            self._samples.popleft()

    def trend(self, now: Sample) -> Trend:
        """Tell how the lag develops, up to `now`."""
        return trend([each.behind for each in (*self._samples, now) if each.generation == now.generation])

    def stalled(self, now: Sample) -> bool:
        """Tell whether nothing has moved for a minute while there was something to do, and nobody paused it."""
        samples = [*self._samples, now]
        since = now.at
        for before, after in reversed(list(pairwise(samples))):
            if not _stood(before, after):
                break
            since = before.at
        return _waits(now) and now.at - since >= WINDOW


def _waits(sample: Sample) -> bool:
    return sample.behind > 0 and not sample.paused


def _stood(before: Sample, after: Sample) -> bool:
    return _waits(before) and (before.generation, before.positions) == (after.generation, after.positions)


def trend(lags: Sequence[int]) -> Trend:
    """Tell how a lag developed: its newer half against its older one.

    A projection that was level with the stream at any time of the last third keeps up, however its lag flickers.
    """
    half, recent = len(lags) // 2, max(2, len(lags) // 3)
    if not half or not min(lags[-recent:]):
        return "steady"
    before = fmean(lags[:half])
    difference = fmean(lags[half:]) - before
    if abs(difference) <= max(0.5, before * _NOTICEABLE):
        return "steady"
    return "growing" if difference > 0 else "shrinking"
