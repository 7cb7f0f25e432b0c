"""The policies of the office, as its table has them: another rule is another row."""

import math
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Date, MetaData, SmallInteger, Table, Text, select

from chassis.definitions.projection import Projection
from chassis.storage.read_models import ReadModels, View
from services.reporting.domain.policy import MonthDay, Policy

FRESH = 5.0
"""Seconds after which the table is read again: policies change once in years, and every answer asks for one."""

# In the schema of the service, not of a generation: a rebuild leaves it alone.
table = Table(
    "policies",
    MetaData(schema="public"),
    Column("name", Text, primary_key=True),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("window_years", SmallInteger, nullable=False),
    Column("due", Text, nullable=False),
    Column("primary_deadline", Text, nullable=False),
    Column("secondary_deadline", Text, nullable=False),
    Column("attested_from", Text, nullable=False),
)
_in_order = select(table).order_by(table.c.valid_from.nulls_first())

_kept: WeakKeyDictionary[ReadModels, tuple[float, Sequence[Policy]]] = WeakKeyDictionary()


async def policies(read_models: ReadModels, projection: Projection[Any]) -> Sequence[Policy]:
    """Return all policies of a database, in the order of their periods, at most FRESH seconds old.

    `projection` is any whose rows lie in the same database: it is read through a view of that.
    """
    now = time.monotonic()
    read_at, known = _kept.get(read_models, (-math.inf, ()))
    if now - read_at > FRESH:
        async with read_models.view(projection) as view:
            known = await read(view)
        _kept[read_models] = now, known
    return known


async def read(view: View) -> Sequence[Policy]:
    """Return all policies, in the order of their periods, as they are at the moment of a view of the same database."""
    return [_policy(row) for row in await view.fetch(_in_order)]


def _policy(row: Any) -> Policy:
    return Policy(
        row.name,
        row.valid_from,
        row.valid_to,
        row.window_years,
        _month_day(row.due),
        _month_day(row.primary_deadline),
        _month_day(row.secondary_deadline),
        _month_day(row.attested_from),
    )


def _month_day(text: str) -> MonthDay:
    month, day = text.split("-")
    return int(month), int(day)
