"""Putting rows in a projection's place without replaying anything: for tests of those who read them."""

from collections.abc import Hashable, Mapping
from typing import Any

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint
from chassis.storage import generations
from chassis.storage.database import Database


async def put_in_place(
    database: Database, projection: Projection[Any], rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint
) -> int:
    """Make a generation of these rows live, as if it had been built from the events; return its number."""
    async with generations.lease(database, projection):
        generation = await generations.start(database, projection, "building", "by a test")
        await generation.write([row for row in rows.values() if row is not None], (), checkpoint)
        await generation.finish()
        await generation.swap(_nothing, _nothing)
    return generation.generation


async def _nothing(*_: Any) -> None:
    """There is nothing to catch up with, and nobody keeps a record."""
