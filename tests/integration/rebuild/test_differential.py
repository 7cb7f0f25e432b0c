"""Every way to make the rows of every projection agrees with the naive fold, whatever happened."""

from collections.abc import AsyncGenerator, Collection, Hashable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from random import Random
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from any_history import a_history
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from replayed import NONE, heights, naive
from sqlalchemy.dialects import postgresql

from chassis.definitions.projection import Projection
from chassis.engine.ports import LogMessage, Replayed
from chassis.engine.projector import Projector
from chassis.engine.rebuild import MEMORY, Batch, Rebuild
from chassis.messaging.replay import written_out
from chassis.storage import generations
from chassis.storage.database import Database
from chassis.storage.generations import BuildingGeneration
from chassis.storage.read_models import ReadModels
from contracts.envelope import SERVICES, Envelope

PROJECTIONS = [
    pytest.param(projection, id=f"{name}.{projection.name}")
    for name in SERVICES
    for projection in import_module(f"services.{name}.service").service.projections
]
CODE = "the code under test"


class Interrupted(Exception):
    """The rebuild ends here, as though its process did."""


def as_event(message: LogMessage) -> Replayed:
    """Return a message as a replay reads it (engine.ports.Replayed)."""
    kind = f"{message.service}.{message.type}".encode()
    return written_out(message.log_sequence, kind, Envelope.from_headers(message.headers), message.data)


class Log:
    """A log in memory, as a rebuild reads it (engine.ports.Feed, engine.rebuild.Replay), in batches of any size."""

    def __init__(self, chance: Random, messages: Sequence[LogMessage]) -> None:
        self.chance, self.messages = chance, messages
        self.batches_left: int | None = None

    async def identity(self) -> str:
        return "the log"

    async def head(self) -> int:
        return len(self.messages)

    def batches(self, messages: Sequence[LogMessage]) -> Iterator[Sequence[LogMessage]]:
        """Cut messages into batches."""
        at = 0
        while at < len(messages):
            size = self.chance.randint(1, 20)
            yield messages[at : at + size]
            at += size

    async def follow(self, services: Collection[str], after: int) -> AsyncGenerator[list[LogMessage]]:
        """Nobody follows: a rebuild only asks how far the log goes."""
        raise NotImplementedError
        yield []

    async def replay(self, services: Collection[str], after: int, until: int, identity: str) -> AsyncGenerator[Batch]:
        for batch in self.batches(self.messages[after:until]):
            if self.batches_left is not None:
                if not self.batches_left:
                    raise Interrupted
                self.batches_left -= 1
            events = [as_event(each) for each in batch if each.service in services]
            if events:
                yield events


def with_repeats(chance: Random, log: Sequence[LogMessage]) -> list[LogMessage]:
    """Return a log on which some events stand again, later, in the places that they have there."""
    repeated: list[LogMessage] = []
    for each in log:
        repeated.append(each)
        if chance.random() < 0.1:
            repeated.append(chance.choice(repeated[-30:]))
    return [
        LogMessage(place, each.service, each.type, each.headers, each.data) for place, each in enumerate(repeated, 1)
    ]


async def rows(database: Database, projection: Projection[Any], generation: int) -> dict[Hashable, Any]:
    async with ReadModels(database).view(projection, generation) as view:
        found = await view.rows(projection, sa.select(projection.table))
    return {row[0]: row for row in map(msgspec.structs.astuple, (comparable(projection, each) for each in found))}


def comparable(projection: Projection[Any], row: Any) -> Any:
    """Return a row whose JSON is decoded, for PostgreSQL writes the same JSON otherwise."""
    dialect = postgresql.dialect()
    json = {c.name for c in projection.table.columns if c.type.compile(dialect=dialect).upper() == "JSONB"}
    texts = {name: getattr(row, name) for name in json if isinstance(getattr(row, name), str)}
    return msgspec.structs.replace(row, **{name: msgspec.json.decode(text) for name, text in texts.items()})


@pytest.mark.parametrize("projection", PROJECTIONS)
@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each try takes half a second: a history is not made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(chance=st.randoms(use_true_random=False), length=st.integers(1, 120))
async def test_live_rebuilt_in_memory_or_without_any_and_interrupted_the_rows_are_those_of_the_naive_fold(
    service_database: Database, projection: Projection[Any], chance: Random, length: int
) -> None:
    history = a_history(chance, length)
    log = Log(chance, with_repeats(chance, history))
    read = [each for each in history if each.service in projection.services]
    expected = {
        key: msgspec.structs.astuple(comparable(projection, row)) for key, row in naive(projection, history).items()
    }
    database, name = service_database, projection.name
    for generation in (each for each in await ReadModels(database).list() if each.projection == name):
        await database.pool.execute(f"DROP SCHEMA {name}_g{generation.generation} CASCADE")
    await database.pool.execute("DELETE FROM generations; DELETE FROM parked")

    projector = Projector(projection, ReadModels(database).live(projection), log)
    checkpoint = await projector.load()
    for batch in log.batches(log.messages):
        checkpoint = await projector.apply(
            [e for e in batch if e.service in projection.services], checkpoint, "the log"
        )
    assert await rows(database, projection, 1) == expected
    assert await database.pool.fetchval("SELECT count(*) FROM parked") == 0

    async def rebuild(generation: BuildingGeneration, memory: int) -> None:
        replay = Rebuild(projection, generation, log, log.replay, memory=memory)
        await replay.begin()
        await replay.read_what_live_has()
        await replay.catch_up()
        await replay.finish()
        assert {service: at for service, at in replay.positions.items() if at} == heights(read)

    async def building() -> BuildingGeneration:
        return await generations.start(database, projection, "building", CODE)

    for memory in (MEMORY, NONE):
        generation = await building()
        await rebuild(generation, memory)
        assert await rows(database, projection, generation.generation) == expected

    generation = await building()
    log.batches_left = chance.randint(0, 5)
    with suppress(Interrupted):
        await rebuild(generation, NONE)
    log.batches_left = None
    resumed = await generations.resume(database, projection, CODE)
    assert resumed is not None
    await rebuild(resumed, chance.choice([MEMORY, NONE]))
    assert await rows(database, projection, resumed.generation) == expected
