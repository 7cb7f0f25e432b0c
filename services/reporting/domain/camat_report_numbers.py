"""The numbers of a report, and what share of those obliged each is."""

from dataclasses import asdict
from typing import Self

from pydantic import BaseModel, ConfigDict

from services.reporting.domain.counts import Counts


class Numbers(BaseModel):
    """How many cooperatives of a kecamatan, or of the regency, are what; and how many requests are open there.

    registered = not_yet_due + obliged, and obliged = healthy + on_track + inconsistent + lapsed.
    """

    model_config = ConfigDict(frozen=True)

    registered: int
    not_yet_due: int
    obliged: int
    healthy: int
    on_track: int
    inconsistent: int
    lapsed: int
    held_latest: int
    not_found: int
    removal_proposed: int
    mentoring_open: int

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return the numbers that were counted."""
        return cls(**asdict(counts))


class Shares(BaseModel):
    """Percentages of those obliged, each rounded to one decimal; null when nobody is obliged."""

    model_config = ConfigDict(frozen=True)

    healthy: float | None
    on_track: float | None
    inconsistent: float | None
    lapsed: float | None
    held_latest: float | None


def shares(numbers: Numbers) -> Shares:
    """Return what share of those obliged is what."""
    return Shares(**{name: percentage(getattr(numbers, name), numbers.obliged) for name in Shares.model_fields})


def percentage(part: int, whole: int) -> float | None:
    """Return `part` of `whole` in percent, rounded half up to one decimal; None of nothing.

    Equal shares are equal percentages, in every row of every report; that four of them may add up to 99.9 is the
    price. The numbers beside them do add up.
    """
    return (2000 * part + whole) // (2 * whole) / 10 if whole else None
