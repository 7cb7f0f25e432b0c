"""Tells what happened to one cooperative, in the order of recording, and asks the health rule about it."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from services.reporting.domain import facts
from services.reporting.domain.facts import Facts, microseconds
from services.reporting.domain.health import Verdict, verdict
from services.reporting.domain.policy import RAT_3Y_2024, Policy

SUBJECT = UUID(int=7)
ALWAYS = datetime(2100, 1, 1, tzinfo=UTC)


def day(text: str) -> date:
    """Read a date."""
    return date.fromisoformat(text)


class Story:
    """The facts of one cooperative. Each is recorded a second after the one before, unless `recorded` says when."""

    def __init__(self) -> None:
        self.registry: list[facts.RegistryFact] = []
        self.rat: list[facts.RATFact] = []
        self.mentoring: list[facts.MentoringFact] = []
        self._recorded = datetime(2000, 1, 1, tzinfo=UTC)
        self._count = 0

    def _next(self, recorded: str | None) -> tuple[str, int, int]:
        self._count += 1
        self._recorded = datetime.fromisoformat(recorded) if recorded else self._recorded + timedelta(seconds=1)
        if self._recorded.tzinfo is None:
            self._recorded = self._recorded.replace(tzinfo=UTC)
        return str(UUID(int=self._count)), self._count, microseconds(self._recorded)

    def registered(
        self,
        legal_entity_date: str | None = "2000-05-01",
        kecamatan: str | None = "35.07.21",
        village: str | None = "35.07.21.2003",
        tier: str = "primary",
        scope: str | None = "regency",
        recorded: str | None = None,
    ) -> "Story":
        born = day(legal_entity_date) if legal_entity_date else None
        self.registry.append(
            facts.Registered(
                *self._next(recorded), "Koperasi Melati", "3507210020001", born, kecamatan, village, tier, scope
            )
        )
        return self

    def corrected(self, recorded: str | None = None, **changes: object) -> "Story":
        converted = msgspec.convert(changes, facts.Changes)
        self.registry.append(facts.Corrected(*self._next(recorded), converted))
        return self

    def record_changed(self, recorded: str | None = None, **changes: object) -> "Story":
        converted = msgspec.convert(changes, facts.Changes)
        self.registry.append(facts.RecordChanged(*self._next(recorded), converted))
        return self

    def relocated(
        self, effective_on: str, kecamatan: str, village: str | None = None, recorded: str | None = None
    ) -> "Story":
        self.registry.append(facts.Relocated(*self._next(recorded), day(effective_on), kecamatan, village))
        return self

    def traced(self, traced_on: str, finding: str, recorded: str | None = None) -> "Story":
        self.registry.append(facts.Traced(*self._next(recorded), day(traced_on), finding))
        return self

    def removal_proposed(self, letter_date: str, recorded: str | None = None) -> "Story":
        self.registry.append(facts.RemovalProposed(*self._next(recorded), day(letter_date)))
        return self

    def removal_approved(self, decided_on: str, recorded: str | None = None) -> "Story":
        self.registry.append(facts.RemovalApproved(*self._next(recorded), day(decided_on)))
        return self

    def removal_rejected(self, decided_on: str, recorded: str | None = None) -> "Story":
        self.registry.append(facts.RemovalRejected(*self._next(recorded), day(decided_on)))
        return self

    def held(self, book_year: int, held_on: str, recorded: str | None = None, source: str = "office") -> "Story":
        self.rat.append(facts.RATHeld(*self._next(recorded), book_year, day(held_on), source))
        return self

    def attested(self, book_year: int, recorded: str | None = None) -> "Story":
        self.rat.append(facts.RATAttested(*self._next(recorded), book_year, "nik_grade"))
        return self

    def rat_corrected(self, book_year: int, held_on: str, recorded: str | None = None) -> "Story":
        self.rat.append(facts.RATCorrected(*self._next(recorded), book_year, day(held_on)))
        return self

    def annulled(self, book_year: int, recorded: str | None = None) -> "Story":
        self.rat.append(facts.RATAnnulled(*self._next(recorded), book_year))
        return self

    def requested(self, received_on: str, kecamatan: str = "35.07.21", recorded: str | None = None) -> "Story":
        self.mentoring.append(facts.MentoringRequested(*self._next(recorded), day(received_on), kecamatan))
        return self

    def closed(self, closed_on: str, how: str = "completed", recorded: str | None = None) -> "Story":
        self.mentoring.append(facts.MentoringClosed(*self._next(recorded), day(closed_on), how))
        return self

    def facts(self) -> Facts:
        return Facts(SUBJECT, self.registry, self.rat, self.mentoring)

    def find(self, as_of: str, known_at: datetime | str = ALWAYS, policy: Policy = RAT_3Y_2024) -> Verdict | None:
        known = datetime.fromisoformat(known_at) if isinstance(known_at, str) else known_at
        return verdict(self.facts(), day(as_of), known, policy)

    def at(self, as_of: str, known_at: datetime | str = ALWAYS, policy: Policy = RAT_3Y_2024) -> Verdict:
        found = self.find(as_of, known_at, policy)
        assert found is not None, "the cooperative doesn't count then"
        return found


def states(verdict: Verdict) -> dict[int, str]:
    """Return the state of each book year of a verdict."""
    return {year.book_year: year.state for year in verdict.book_years}
