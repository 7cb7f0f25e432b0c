"""The numbers of each kecamatan, counted from verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from services.reporting.domain.health import Verdict


@dataclass(slots=True)
class Counts:
    """How many cooperatives of one kecamatan, or of all, are what; and how many requests are open there."""

    registered: int = 0
    obliged: int = 0
    healthy: int = 0
    on_track: int = 0
    inconsistent: int = 0
    lapsed: int = 0
    not_yet_due: int = 0
    held_latest: int = 0
    not_found: int = 0
    removal_proposed: int = 0
    mentoring_open: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one cooperative."""
        self.registered += 1
        self.obliged += verdict.obliged
        self.held_latest += verdict.held_latest
        match verdict.status:
            case "healthy":
                self.healthy += 1
            case "on_track":
                self.on_track += 1
            case "inconsistent":
                self.inconsistent += 1
            case "lapsed":
                self.lapsed += 1
            case "not_yet_due":
                self.not_yet_due += 1
        match verdict.existence:
            case "not_found":
                self.not_found += 1
            case "removal_proposed":
                self.removal_proposed += 1


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts by kecamatan code, None being those without one, and of all together."""

    by_kecamatan: dict[str | None, Counts]
    total: Counts

    @classmethod
    def of(cls, kecamatan_codes: Iterable[str]) -> Self:
        """Begin to count.

        Every one of `kecamatan_codes` has counts, if only zeros, and so has None. A code beyond them counts under
        None, so that the parts always make the total.
        """
        return cls({**{code: Counts() for code in kecamatan_codes}, None: Counts()}, Counts())

    def add(self, verdict: Verdict) -> None:
        """Count one cooperative."""
        self._at(verdict.kecamatan_code).add(verdict)
        self.total.add(verdict)

    def add_request(self, kecamatan_code: str) -> None:
        """Count one open request, by the code of its own location."""
        self._at(kecamatan_code).mentoring_open += 1
        self.total.mentoring_open += 1

    def _at(self, kecamatan_code: str | None) -> Counts:
        return self.by_kecamatan.get(kecamatan_code) or self.by_kecamatan[None]


def tally(
    kecamatan_codes: Iterable[str],
    verdicts: Iterable[Verdict],
    open_requests: Iterable[str],
    scope: str | None = None,
) -> Tally:
    """Count verdicts, and open requests by the code of their own location.

    `scope` keeps only cooperatives of that scope; requests have none.
    """
    counted = Tally.of(kecamatan_codes)
    for verdict in verdicts:
        if scope is None or verdict.scope == scope:
            counted.add(verdict)
    for code in open_requests:
        counted.add_request(code)
    return counted
