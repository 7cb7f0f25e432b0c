"""The health rule: from dated facts to a verdict, for any date and as known at any time.

It stands here once, for the list, the one cooperative, the counts, the reports and the past.
"""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from services.reporting.domain.facts import (
    Changes,
    Corrected,
    Facts,
    RATAnnulled,
    RATAttested,
    RATCorrected,
    RATHeld,
    RecordChanged,
    Registered,
    Relocated,
    RemovalApproved,
    RemovalProposed,
    RemovalRejected,
    Traced,
    microseconds,
)
from services.reporting.domain.policy import Policy

type Status = Literal["healthy", "on_track", "inconsistent", "lapsed", "not_yet_due"]
type Existence = Literal["registered", "found", "moved", "dormant", "not_found", "removal_proposed"]
type State = Literal["on_time", "late", "attested", "missed", "pending"]

EVERYTHING = 2**62
"""A `known_at` later than any recorded time: whatever has been read is known."""


class BookYear(msgspec.Struct, frozen=True, gc=False):
    """How one book year stands. `held_on` and `source` are those of the meeting or attestation that counts."""

    book_year: int
    due_on: date
    state: State
    held_on: date | None = None
    source: str | None = None

    @property
    def held(self) -> bool:
        """Return whether the meeting was held, in time or late, or is attested."""
        return self.state in _HELD


_HELD = frozenset(("on_time", "late", "attested"))


class Because(msgspec.Struct, frozen=True, gc=False):
    """Why a verdict is what it is: the rule in words, and the ids of the events that decided it."""

    rule: str
    events: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a cooperative is at a date. `book_years` are the window and, when it is pending, the current year."""

    cooperative_id: UUID
    name: str
    nik: str | None
    tier: str
    scope: str | None
    kecamatan_code: str | None
    village_code: str | None
    existence: str
    status: Status
    book_years: tuple[BookYear, ...]
    held_latest: bool
    as_of: date
    policy: Policy
    events: tuple[str, ...]

    @property
    def obliged(self) -> bool:
        """Return whether the window holds a year, so that the cooperative owes a meeting."""
        return self.status != "not_yet_due"

    @property
    def window(self) -> tuple[BookYear, ...]:
        """Return the book years that decide, without a pending one."""
        return tuple(year for year in self.book_years if year.state != "pending")

    @property
    def because(self) -> Because:
        """Return the reasons of the verdict."""
        return Because(rule=_in_words(self), events=self.events)


class _Record(msgspec.Struct, frozen=True, gc=False):
    """What the register says of a cooperative at one date, by what was known."""

    name: str
    nik: str | None
    tier: str
    scope: str | None
    legal_entity_date: date | None
    kecamatan_code: str | None
    village_code: str | None
    existence: str
    counts: bool


class HealthRule:
    """The rule of one date, one state of knowledge and one policy, made ready to judge many cooperatives.

    At `as_of`, with the current book year the one before: the latest is the current one if its meeting was held
    by then or it has fallen due, else the one before. The latest and those before it, `policy.window` in all and
    none before the year of the legal entity date, are the window, and decide.
    """

    def __init__(self, as_of: date, known_at: datetime | int, policy: Policy) -> None:
        self.as_of = as_of
        self.known_at = known_at if isinstance(known_at, int) else microseconds(known_at)
        self.policy = policy
        self._current = current = as_of.year - 1
        self._has_fallen_due = as_of > policy.due_on(current)
        self._oldest = oldest = current - policy.window
        years = range(oldest, current + 1)
        self._due = {year: policy.due_on(year) for year in years}
        self._attestable = {year for year in years if policy.attested_on(year) <= as_of}
        self._deadline = {
            tier: {year: policy.deadline(year, tier) for year in years} for tier in ("primary", "secondary")
        }
        self._missed = {year: BookYear(year, self._due[year], "missed") for year in years}
        self._pending = BookYear(current, self._due[current], "pending")

    def judge(self, facts: Facts) -> Verdict | None:
        """Return the verdict; None when the cooperative doesn't count: not yet, no longer, or not known of."""
        events: list[str] = []
        record = self._record(facts, events)
        if record is None or not record.counts:
            return None
        held = self._held(facts, record.tier, events)
        current, born = self._current, record.legal_entity_date
        first = self._oldest if born is None else born.year
        latest = current if current in held or self._has_fallen_due else current - 1
        window = range(max(first, latest - self.policy.window + 1), latest + 1)
        book_years = [held[year] if year in held else self._missed[year] for year in window]
        count = sum(map(held.__contains__, window))
        status: Status
        if not book_years:
            status = "not_yet_due"
        elif not count:
            status = "lapsed"
        elif count < len(book_years):
            status = "inconsistent"
        elif count == self.policy.window:
            status = "healthy"
        else:
            status = "on_track"
        if latest != current and current >= first:
            book_years.append(self._pending)
        return Verdict(
            facts.subject,
            record.name,
            record.nik,
            record.tier,
            record.scope,
            record.kecamatan_code,
            record.village_code,
            record.existence,
            status,
            tuple(book_years),
            latest >= first and latest in held,
            self.as_of,
            self.policy,
            tuple(events),
        )

    def seat(self, facts: Facts) -> str | None:
        """Return the kecamatan code of a cooperative, also of one that doesn't count, None when it isn't known."""
        record = self._record(facts, [])
        return record.kecamatan_code if record else None

    def _record(self, facts: Facts, events: list[str]) -> _Record | None:
        """Return what the register says at `as_of`, None when it says nothing; add the deciding ids to `events`.

        Corrections hold from the start; a relocation from its day on, the last by its day, and of two on one day
        the later recorded. So do findings. A proposed removal goes before them until it is decided.
        """
        known_at, as_of = self.known_at, self.as_of
        registered: Registered | None = None
        newest: Relocated | None = None
        seat: Relocated | None = None
        villages: dict[int, str | None] = {}
        traced: Traced | None = None
        undecided: RemovalProposed | None = None
        proposed: RemovalProposed | None = None
        removed = False
        for fact in facts.registry:
            if fact.recorded_at > known_at:
                continue
            match fact:
                case Registered():
                    registered = fact
                    events.append(fact.id)
                case Traced():
                    if fact.traced_on <= as_of and (traced is None or fact.traced_on >= traced.traced_on):
                        traced = fact
                case Corrected() | RecordChanged():
                    changes = fact.changes
                    if newest is not None and isinstance(fact, Corrected) and changes.kecamatan_code is UNSET:
                        if changes.village_code is not UNSET:
                            villages[newest.sequence] = changes.village_code
                        changes = replace(changes, village_code=UNSET)
                    registered = registered and _corrected(registered, changes)
                    events.append(fact.id)
                case Relocated():
                    if newest is None or fact.effective_on >= newest.effective_on:
                        newest = fact
                    if fact.effective_on <= as_of and (seat is None or fact.effective_on >= seat.effective_on):
                        seat = fact
                case RemovalProposed():
                    undecided = fact
                case RemovalApproved() | RemovalRejected():
                    if fact.decided_on <= as_of:
                        removed = removed or isinstance(fact, RemovalApproved)
                    elif undecided is not None and undecided.letter_date <= as_of:
                        proposed = undecided
                    undecided = None
        if registered is None:
            return None
        born = registered.legal_entity_date
        kecamatan_code, village_code = registered.kecamatan_code, registered.village_code
        if seat is not None:
            kecamatan_code, village_code = seat.kecamatan_code, villages.get(seat.sequence, seat.village_code)
            events.append(seat.id)
        if undecided is not None and undecided.letter_date <= as_of:
            proposed = undecided
        existence = "registered"
        if proposed is not None:
            existence = "removal_proposed"
            events.append(proposed.id)
        elif traced is not None:
            existence = traced.finding
            events.append(traced.id)
        return _Record(
            registered.name,
            registered.nik,
            registered.tier,
            registered.scope,
            born,
            kecamatan_code,
            village_code,
            existence,
            not removed and (born is None or born <= as_of),
        )

    def _held(self, facts: Facts, tier: str, events: list[str]) -> dict[int, BookYear]:
        """Return the book years held at `as_of`, of those that can matter; add the deciding ids to `events`.

        A meeting counts with its last corrected date, from that date on. An annulled one doesn't, but an
        attestation of its year still does.
        """
        known_at, as_of, oldest = self.known_at, self.as_of, self._oldest
        meetings: dict[int, tuple[date, str]] = {}
        attested: dict[int, str] = {}
        for fact in facts.rat:
            if fact.book_year < oldest or fact.book_year > self._current or fact.recorded_at > known_at:
                continue
            events.append(fact.id)
            match fact:
                case RATHeld():
                    meetings[fact.book_year] = fact.held_on, fact.source
                case RATAttested():
                    attested[fact.book_year] = fact.source
                case RATCorrected():
                    if fact.book_year in meetings:
                        meetings[fact.book_year] = fact.held_on, meetings[fact.book_year][1]
                case RATAnnulled():
                    meetings.pop(fact.book_year, None)
        held: dict[int, BookYear] = {}
        for year, source in attested.items():
            if year in self._attestable:
                held[year] = BookYear(year, self._due[year], "attested", None, source)
        if meetings:
            deadline = self._deadline[tier]
            for year, (held_on, source) in meetings.items():
                if held_on <= as_of:
                    state: State = "late" if held_on > deadline[year] else "on_time"
                    held[year] = BookYear(year, self._due[year], state, held_on, source)
        return held


def verdict(facts: Facts, as_of: date, known_at: datetime | int, policy: Policy) -> Verdict | None:
    """Return what a cooperative is at `as_of`, by what was recorded at or before `known_at`.

    None when it doesn't count: not registered by then, before its legal entity date, or from the day on which
    its removal was approved. `known_at` is an aware time, or microseconds since 1970 UTC.
    """
    return HealthRule(as_of, known_at, policy).judge(facts)


def _corrected(registered: Registered, changes: Changes) -> Registered:
    values = {name: getattr(changes, name) for name in changes.__struct_fields__}
    return replace(registered, **{name: value for name, value in values.items() if value is not UNSET})


def _in_words(verdict: Verdict) -> str:
    policy, window = verdict.policy, verdict.window
    pending = [year for year in verdict.book_years if year.state == "pending"]
    rule = f"Policy {policy.name} at {verdict.as_of}: "
    if not window:
        rule += "no book year of this cooperative has fallen due or been held"
    elif len(window) == 1:
        rule += f"book year {window[0].book_year} decides"
    else:
        rule += f"book years {window[0].book_year} to {window[-1].book_year} decide"
    for year in window:
        rule += f"; {year.book_year} (due {year.due_on}) {_WORDS[year.state].format(year.held_on)}"
    for year in pending:
        rule += f"; {year.book_year} is pending until {year.due_on}"
    return f"{rule}: {_MEANINGS[verdict.status].format(policy.window)}."


_WORDS = {
    "on_time": "was held on {}",
    "late": "was held late, on {}",
    "attested": "is attested",
    "missed": "was not held",
}
_MEANINGS = {
    "healthy": "healthy, for {} years in a row were held",
    "on_track": "on_track, for fewer than {} years count and all were held",
    "inconsistent": "inconsistent, for some were held and some were not",
    "lapsed": "lapsed, for none was held",
    "not_yet_due": "not_yet_due, for no year counts",
}
