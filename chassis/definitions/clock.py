"""The edge where time and identity enter: nothing else in the code asks for now, today or a fresh id."""

import os
import time
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

JAKARTA = ZoneInfo("Asia/Jakarta")


def now() -> datetime:
    """Return the present moment in UTC, microsecond resolution. Never pinned."""
    return datetime.now(UTC)


def today(pinned: date | None = None) -> date:
    """Return the calendar day in Asia/Jakarta, or `pinned` (DINKOP_TODAY) when given."""
    return pinned or datetime.now(JAKARTA).date()


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): time-ordered, so that indexes on it grow at one end."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    return UUID(
        int=(milliseconds & (2**48 - 1)) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & (2**62 - 1)
    )
