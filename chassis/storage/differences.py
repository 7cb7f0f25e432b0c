"""Where two generations of a projection differ: found by the server, row by row, however many rows they have."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa

from chassis.definitions.projection import Projection, Row
from chassis.storage.read_models import View

_UNDEFINED_COLUMN = "42703"


class OtherColumns(Exception):
    """Only generations that have the columns of today's code can be asked what today's readers ask."""


async def differences[R: Row](
    projection: Projection[R], before: View, after: View
) -> AsyncIterator[tuple[R | None, R | None]]:
    """Yield the row before and the row after, None where it is absent, of every key whose rows differ; in any order.

    Both views must be of one snapshot. The server compares values, so how a jsonb column was written doesn't matter.
    Raises OtherColumns.
    """
    columns = projection.table.columns.keys()
    was, becomes = (projection.table.to_metadata(sa.MetaData(), schema=view.schema) for view in (before, after))
    key = next(iter(projection.table.primary_key.columns)).name
    query = (
        sa.select(was, becomes)
        .select_from(was.outerjoin(becomes, was.c[key] == becomes.c[key], full=True))
        .where(sa.or_(*(was.c[name].is_distinct_from(becomes.c[name]) for name in columns)))
    )

    def row(values: Sequence[Any]) -> R | None:
        return None if values[columns.index(key)] is None else projection.row(*values)

    try:
        async for both in before.stream(query):
            yield row(both[: len(columns)]), row(both[len(columns) :])
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _UNDEFINED_COLUMN:
            raise
        raise OtherColumns(
            f"{before.schema} or {after.schema} was made by code that knows other columns than this one, so what"
            " would read otherwise cannot be told."
        ) from error
