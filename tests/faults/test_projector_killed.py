"""A projector killed at any of its awaits: the rows are those of the naive fold, and stand for their positions."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import pytest
import sqlalchemy as sa
from behind import Behind
from dying import Faults, Scenario
from forking import Forks
from jobs import project_on, project_previous
from nats.aio.client import Client
from projecting import Harvested, Planted, Rained, Thundered, plots
from replayed import PLOTS, World, heights, naive, numbered
from servers import Nats

from chassis.engine.ports import LogMessage
from chassis.engine.projector import DEATHS
from chassis.storage.database import Database

MODULES = ["chassis.engine.projector", "chassis.storage.read_models"]
DEADLY, UNSTORABLE = UUID(int=1001), UUID(int=1002)
"""What one event each is about, and nothing else."""
READERS = ["View.of", "View.beside", "View.fetch", "View.stream", "View.rows", "_of_status"]
READERS += [f"ReadModels.{name}" for name in ("view", "row", "positions", "list")]


def a_log() -> list[LogMessage]:
    """Return events of two services; the first may be thought deadly, and one makes a row that no table holds."""
    chance, sequences = random.Random(1), dict[str, int]()
    log = [numbered(Planted(what="a"), sequences, DEADLY)]
    for number in range(1, 30):
        if number == 12:
            log.append(numbered(Planted(what="\0"), sequences, UNSTORABLE))
        event = chance.choice([Planted(what="b"), Harvested(), Rained(millimetres=number), Thundered()])
        log.append(numbered(event, sequences, chance.choice(PLOTS[:9])))
        if number % 7 == 0:
            log.append(log[-3])
    return log


@dataclass
class Feeding:
    """A projection that is fed from a stream, which stays as it is."""

    world: World
    log: list[LogMessage]
    behind: Behind

    async def prepare(self, attempts: int, paused: bool) -> None:
        """Take everything away; unless the projection is paused, make a generation at which so many processes died."""
        pool = self.world.database.pool
        await pool.execute("DROP SCHEMA IF EXISTS plots_g1 CASCADE; DROP SCHEMA IF EXISTS plots_g2 CASCADE")
        await self.behind("TRUNCATE generations, projection_controls, parked")
        if not paused:
            await self.world.models.live(plots).checkpoint()
            await pool.execute("UPDATE generations SET attempts = $1", attempts)
        await pool.execute("INSERT INTO projection_controls VALUES ('plots', $1)", paused)

    async def rows(self, generation: int, without: Collection[UUID]) -> None:
        """Check that the rows are those of the naive fold at the generation's positions."""
        async with self.world.models.view(plots, generation) as view:
            rows = {row.plot: row for row in await view.rows(plots, sa.select(plots.table))}
            seen = {name: at for name, at in view.positions.items() if at}
        read = [each for each in self.log if int(each.headers["ce-sequence"]) <= seen.get(each.service, 0)]
        expected = naive(plots, read)
        for key in without:
            expected.pop(key, None)
        assert rows == expected


@pytest.fixture
async def feeding(
    nats: Nats, public_stream: Client, service_database: Database, database_url: str, behind: Behind
) -> Feeding:
    """The plots."""
    world = World(nats, public_stream, service_database, database_url)
    log = a_log()
    await world.publish(log)
    return Feeding(world, log, behind)


async def test_a_projector_killed_at_any_await_applies_everything_once(children: Forks, feeding: Feeding) -> None:
    world = feeding.world

    def scenario(work: str, generation: int, without: Collection[UUID], attempts: int = 0) -> Scenario:
        async def prepare() -> None:
            await feeding.prepare(attempts, paused=work == "project")

        async def between() -> None:
            if any(kept.generation == generation for kept in await world.models.list()):
                await feeding.rows(generation, without)

        async def finish() -> None:
            await world.database.pool.execute("UPDATE projection_controls SET paused = false")
            await (project_on if generation == 1 else project_previous)(world.database_url, world.nats.url)
            await between()
            [kept] = [kept for kept in await world.models.list() if kept.generation == generation]
            assert kept.checkpoint.positions == heights(feeding.log)
            parked = await world.database.pool.fetch(
                "SELECT subject FROM parked WHERE generation = $1 ORDER BY subject", generation
            )
            assert [row[0] for row in parked] == [str(key) for key in sorted(without)]

        return Scenario(work, prepare, between, finish)

    faults = Faults(children, world.database_url, world.nats.url, MODULES)
    await faults.kill_at_each(
        [
            scenario("project", 1, [UNSTORABLE]),
            scenario("project on", 1, [UNSTORABLE], DEATHS),
            scenario("project on", 1, [DEADLY, UNSTORABLE], 2 * DEATHS),
            scenario("project previous", 2, [UNSTORABLE]),
        ]
    )
    others = dict.fromkeys(READERS, "only reads, for those who serve")
    assert faults.never_reached({**others, "Projector.reach": "a rollback's: test_rebuild_killed"}) == []
