"""The periods that camat reports are issued for: quarters, semesters and months."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

from chassis.definitions.values import EARLIEST, LATEST

_WRITTEN = re.compile(r"([0-9]{4})-(?:Q([1-4])|S([12])|(0[1-9]|1[0-2]))")


@dataclass(frozen=True, slots=True)
class Period:
    """A period of a calendar year, from `first` to `last`, both inclusive."""

    name: str
    first: date
    last: date


def period(name: str) -> Period:
    """Read a period: `2026-Q3` a quarter, `2026-S1` a semester, `2026-07` a month. Raises ValueError."""
    match = _WRITTEN.fullmatch(name)
    if not match or not EARLIEST.year <= int(match[1]) <= LATEST.year:
        raise ValueError("must be a quarter such as 2026-Q3, a semester such as 2026-S1 or a month such as 2026-07")
    year, quarter, semester, month = match.groups()
    if quarter:
        last_month, months = 3 * int(quarter), 3
    elif semester:
        last_month, months = 6 * int(semester), 6
    else:
        last_month, months = int(month), 1
    last_day = monthrange(int(year), last_month)[1]
    return Period(name, date(int(year), last_month - months + 1, 1), date(int(year), last_month, last_day))
