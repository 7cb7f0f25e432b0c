"""What a camat is asked for: the rule by which a report chooses it."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.reporting.domain.health import Verdict
from services.reporting.domain.policy import Policy

type AskKind = Literal["confirm_existence", "village_letter", "press_lapsed", "remind_inconsistent", "remind_due"]
type Doubt = Literal["not_found", "dormant", "never_traced"]

DAYS_TO_ANSWER = 30
"""How long a village has to look for a cooperative, or to write a letter."""


class Ask(BaseModel):
    """One thing asked for: about which cooperatives, until when; `book_year` is the one whose RAT is wanted."""

    model_config = ConfigDict(frozen=True)

    kind: AskKind
    by: date
    book_year: int | None
    cooperatives: tuple[UUID, ...]


class Doubtful(BaseModel):
    """A cooperative whose existence the camat is asked to confirm, and why there is doubt."""

    model_config = ConfigDict(frozen=True)

    cooperative_id: UUID
    doubt: Doubt = Field(description="The office's last finding, or that it lapsed and nobody ever went to see")


def doubtful(verdicts: Iterable[Verdict]) -> tuple[Doubtful, ...]:
    """Return the cooperatives to be confirmed, of those that the office supervises.

    Those that the office did not find or found dormant, for two visits are needed before a removal can be proposed
    and the village's word counts; and those that have lapsed and were never traced. Not those whose removal is
    proposed: what the office knows of them is with the Ministry already.
    """
    return tuple(
        Doubtful(cooperative_id=verdict.cooperative_id, doubt=doubt)
        for verdict in verdicts
        if _is_ours(verdict) and (doubt := _doubt(verdict))
    )


def asks(verdicts: Sequence[Verdict], written_on: date, policy: Policy) -> tuple[Ask, ...]:
    """Return what the camat is asked for on the day a report is written: at most five things, soonest first.

    Every cooperative that the office supervises (not those of a whole province or the nation) is in at most one,
    the first that fits:

    1. its existence is to be confirmed (`doubtful`): within 30 days;
    2. its removal is proposed: the village's letter that it is gone, within 30 days;
    3. it has lapsed: press it to hold its RAT;
    4. it is inconsistent and has not held the latest: remind it;
    5. the RAT of the current book year is still pending: remind it.

    The RAT wanted is that of the book year before, until it is due, and once that has passed until the end of the
    year. Of two things until the same day the one higher up comes first. What concerns nobody is not asked.
    """
    answer_by, book_year = written_on + timedelta(days=DAYS_TO_ANSWER), written_on.year - 1
    due_on = policy.due_on(book_year)
    hold_by = due_on if written_on <= due_on else date(written_on.year, 12, 31)
    chosen: dict[AskKind, list[UUID]] = {}
    for verdict in verdicts:
        if _is_ours(verdict) and (kind := _kind(verdict)):
            chosen.setdefault(kind, []).append(verdict.cooperative_id)
    made = [
        Ask(
            kind=kind,
            by=answer_by if kind in _ANSWERED else hold_by,
            book_year=None if kind in _ANSWERED else book_year,
            cooperatives=tuple(chosen[kind]),
        )
        for kind in _IN_ORDER
        if kind in chosen
    ]
    return tuple(sorted(made, key=lambda ask: ask.by))


_IN_ORDER: tuple[AskKind, ...] = (
    "confirm_existence",
    "village_letter",
    "press_lapsed",
    "remind_inconsistent",
    "remind_due",
)
_ANSWERED: frozenset[AskKind] = frozenset(("confirm_existence", "village_letter"))


def _kind(verdict: Verdict) -> AskKind | None:
    if _doubt(verdict):
        return "confirm_existence"
    if verdict.existence == "removal_proposed":
        return "village_letter"
    if verdict.status == "lapsed":
        return "press_lapsed"
    if verdict.status == "inconsistent" and not verdict.held_latest:
        return "remind_inconsistent"
    if any(year.state == "pending" for year in verdict.book_years):
        return "remind_due"
    return None


def _doubt(verdict: Verdict) -> Doubt | None:
    match verdict.existence:
        case "not_found":
            return "not_found"
        case "dormant":
            return "dormant"
        case "registered" if verdict.status == "lapsed":
            return "never_traced"
        case _:
            return None


def _is_ours(verdict: Verdict) -> bool:
    """Tell whether the regency supervises it; a list that names no scope is the regency's own."""
    return verdict.scope in ("regency", None)
