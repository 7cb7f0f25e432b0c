"""Policies: the dates and lengths the health rule goes by, each with the period it is valid in."""

from collections.abc import Collection, Iterable
from datetime import date

import msgspec

from chassis.definitions.decider import Invalid

type MonthDay = tuple[int, int]


class Policy(msgspec.Struct, frozen=True):
    """One row of policy. Month and day are those of the year after the book year; all dates are inclusive.

    `valid_from` and `valid_to` say at which `as_of` it applies; None is open. `window` is how many book years
    count. A book year is due on `due`; a meeting after the deadline of its tier is late, but held. A year that
    is attested only counts as held from `attested_from` on, there being no date.
    """

    name: str
    valid_from: date | None
    valid_to: date | None
    window: int
    due: MonthDay
    primary_deadline: MonthDay
    secondary_deadline: MonthDay
    attested_from: MonthDay

    def due_on(self, book_year: int) -> date:
        """Return the last day on which the meeting for `book_year` may be held."""
        return date(book_year + 1, *self.due)

    def deadline(self, book_year: int, tier: str) -> date:
        """Return the office's own deadline for `book_year`, by tier (primary or secondary)."""
        return date(book_year + 1, *(self.secondary_deadline if tier == "secondary" else self.primary_deadline))

    def attested_on(self, book_year: int) -> date:
        """Return the day from which an attested `book_year` counts as held."""
        return date(book_year + 1, *self.attested_from)


# UU 25/1992 art. 26: within six months of the closed book year. The deadlines are the office's own.
RAT_3Y_2024 = Policy(
    name="rat-3y-2024",
    valid_from=None,
    valid_to=None,
    window=3,
    due=(6, 30),
    primary_deadline=(3, 31),
    secondary_deadline=(6, 30),
    attested_from=(12, 31),
)
"""The policy that every office starts with; its table has it as the first row."""


class NoPolicy(Invalid):
    """The office has no policy that is valid on that day."""


def policy_of(name: str, as_of: date, policies: Collection[Policy]) -> Policy:
    """Return the policy that a report on `as_of` went by; should it be gone, that of the day. Raises NoPolicy."""
    return next((policy for policy in policies if policy.name == name), None) or policy_at(as_of, policies)


def policy_at(as_of: date, policies: Iterable[Policy]) -> Policy:
    """Return the policy that applies at `as_of`; of several, the one that came into force last. Raises NoPolicy."""
    valid = [
        policy
        for policy in policies
        if (policy.valid_from is None or policy.valid_from <= as_of)
        and (policy.valid_to is None or as_of <= policy.valid_to)
    ]
    if not valid:
        raise NoPolicy("as_of", f"No policy of the office is valid at {as_of}.")
    return max(valid, key=lambda policy: policy.valid_from or date.min)
