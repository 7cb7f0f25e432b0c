"""Rows of any generation, as an operator looks at them."""

from typing import Any

import msgspec
import sqlalchemy as sa

from chassis.definitions.projection import Projection
from chassis.storage.database import Database
from chassis.storage.read_models import View


async def look(
    database: Database, projection: Projection[Any], generation: int | None, key: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return up to `limit` rows of a generation, None the live one, in the order of their keys; or the one of `key`.

    Whatever code made it: a row has the columns of its generation. Raises LookupError.
    """
    name = next(iter(projection.table.primary_key.columns)).name
    async with database.snapshot() as connection:
        view = await View.of(connection, projection, generation)
        found = await connection.execute(
            sa.text(
                f'SELECT to_jsonb(t)::text FROM "{view.schema}"."{projection.table.name}" AS t'
                f' WHERE CAST(:key AS text) IS NULL OR "{name}"::text = :key ORDER BY "{name}" LIMIT :limit'
            ),
            {"key": key, "limit": limit},
        )
        return [msgspec.json.decode(row[0]) for row in found]
