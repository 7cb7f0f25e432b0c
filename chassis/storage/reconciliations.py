"""What comparing a service's store with the stream found, and when: for the status, the metrics and the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from chassis.storage.database import Pool


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One comparison: `position` is the store's last event that it covered, `finding` what it counted."""

    at: datetime
    actor: str
    position: int
    fine: bool
    finding: Mapping[str, Any]


class Reconciliations:
    """The comparisons of one service, kept for ever."""

    def __init__(self, pool: Pool) -> None:
        """Keep them through `pool`."""
        self._pool = pool

    async def record(self, actor: str, position: int, finding: Mapping[str, Any], *, fine: bool) -> None:
        """Keep what a comparison found."""
        await self._pool.execute(
            "INSERT INTO reconciliations (actor, position, fine, finding) VALUES ($1, $2, $3, $4::jsonb)",
            actor,
            position,
            fine,
            msgspec.json.encode(finding).decode(),
        )

    async def last(self) -> Reconciliation | None:
        """Return the latest comparison, None when there was none yet."""
        row = await self._pool.fetchrow(
            "SELECT at, actor, position, fine, finding::text FROM reconciliations ORDER BY id DESC LIMIT 1"
        )
        if row is None:
            return None
        at, actor, position, fine, finding = row
        return Reconciliation(at, actor, position, fine, msgspec.json.decode(finding))
