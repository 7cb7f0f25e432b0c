"""A rebuild, a check or a rollback killed at any of its awaits: readers notice nothing, and the next one is as good."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import sqlalchemy as sa
from behind import Behind
from dying import Faults, Scenario
from forking import Forks
from jobs import JOBS, carry_out, same_code
from kept_running import kept_running
from nats.aio.client import Client
from projecting import plots
from replayed import World, a_log, heights, naive
from servers import Nats

from chassis import replaying
from chassis.definitions.projection import Row
from chassis.engine.ports import LogMessage
from chassis.engine.rebuild import Until
from chassis.replaying import Kind, Order, accepted
from chassis.storage.database import Database
from chassis.storage.rebuilds import Rebuilds

MODULES = [
    "chassis.replaying",
    "chassis.engine.rebuild",
    "chassis.engine.projector:Projector.reach",
    "chassis.storage.generations",
    "chassis.storage.rebuilds",
]
EXCEPTED = {
    "Rebuilds.get": "only reads, for those who look",
    "_Run._prove_store": "only reads, and refuses",
    "AfterLive.__call__": "rests, and does nothing else",
}
EVENTS, READ = 200, 150
"""Events on the stream, and of those the ones that the live generation has read."""
COPIED = Until(log_sequence=120)
ENDED = {Kind.REBUILD: "live", Kind.ROLLBACK: "live", Kind.DRY_RUN: "different", Kind.INSPECTION: "kept"}
CHANGED = "UPDATE plots_g1.plots SET crops = 'by hand' WHERE plot = (SELECT min(plot::text)::uuid FROM plots_g1.plots)"


@dataclass
class Rebuilding:
    """A projection whose live generation has read a part of a stream, which stays as it is."""

    world: World
    log: list[LogMessage]
    behind: Behind
    by_hand: dict[Hashable, Row] | None = None
    """Rows of the first generation, where one of them was changed by hand."""

    async def equal(self) -> None:
        """Make the first generation, and nothing else."""
        world, self.by_hand = self.world, None
        for kept in await world.models.list():
            await world.database.pool.execute(f"DROP SCHEMA plots_g{kept.generation} CASCADE")
        await self.behind("TRUNCATE generations, parked, rebuilds, events")
        checkpoint = await world.projector.load()
        await world.projector.apply(self.log[:READ], checkpoint, await world.projector.feed.identity())

    async def elsewhere(self) -> None:
        """Have it read from another log than this one."""
        await self.equal()
        await self.world.database.pool.execute("UPDATE generations SET log = 'another', log_sequence = 0")

    async def different(self) -> None:
        """Change a row of it by hand, so that a replay makes another one."""
        await self.equal()
        await self.world.database.pool.execute(CHANGED)
        self.by_hand = await self.world.rows()

    async def rebuilt(self) -> None:
        """Put a second generation in its place."""
        await self.equal()
        await self.do(Kind.REBUILD)

    async def ahead(self) -> None:
        """Leave a rebuild that was stopped after it had read more than the live generation has."""
        await self.equal()
        await JOBS["rebuild stopped"](self.world.database_url, self.world.nats.url)
        assert await self.world.generations() == [(1, "live"), (2, "building")]

    async def do(self, kind: Kind) -> None:
        """Do something, whatever it changes."""
        order = Order(kind=kind, accept=accepted, until=COPIED)
        await carry_out(self.world.database_url, self.world.nats.url, order)

    # ------------------------------------------------------------ what must hold

    async def readable(self) -> None:
        """Check that there is one live generation, whole; and that so are copies to look at."""
        [live] = [number for number, status in await self.world.generations() if status == "live"]
        rows, positions = await self.world.rows(), await self.world.positions()
        if live == 1 and self.by_hand is not None:
            assert rows == self.by_hand
        else:
            read = [each for each in self.log if int(each.headers["ce-sequence"]) <= positions.get(each.service, 0)]
            assert rows == naive(plots, read)
        for number, status in await self.world.generations():
            if status == "inspection":
                async with self.world.models.view(plots, number) as view:
                    copied = await view.rows(plots, sa.select(plots.table))
                assert {row.plot: row for row in copied} == naive(plots, self.log[: COPIED.log_sequence])

    async def recorded(self, kind: Kind) -> None:
        """Check that what went live by a rebuild is on record, and an event, once; and that nothing runs any more."""
        records = [*reversed(await Rebuilds(self.world.database.pool).list())]
        went_live = [each.generation for each in records if each.kind == "rebuild" and each.state == "live"]
        events = await self.world.database.pool.fetch(
            "SELECT position, (data->>'generation')::integer FROM events ORDER BY position"
        )
        assert [tuple(row) for row in events] == list(enumerate(went_live, 1))
        assert records[-1].state == ENDED[kind]
        assert {each.state for each in records} <= {"interrupted", "refused", "failed", *ENDED.values()}

    async def settled(self) -> None:
        """Check that whatever is left is of use, or on its way out."""
        assert {status for _, status in await self.world.generations()} <= {"live", "previous", "retired", "inspection"}

    # ------------------------------------------------------------ how it ends

    async def rebuild(self) -> None:
        """Rebuild again, while the live projection goes on."""
        async with kept_running(self.world.projector.run):
            await self.do(Kind.REBUILD)
        await self.readable()
        assert await self.world.rows() == naive(plots, self.log)
        assert await self.world.positions() == heights(self.log)
        await self.recorded(Kind.REBUILD)
        await self.settled()

    async def look(self, kind: Kind) -> None:
        """Check or copy again: the live generation is as it was."""
        await self.do(kind)
        await self.readable()
        assert (await self.world.generations())[0] == (1, "live")
        await self.recorded(kind)
        await self.settled()

    async def roll_back(self) -> None:
        """Roll back again, unless that was done."""
        if (await self.world.generations())[0] != (1, "live"):
            await self.do(Kind.ROLLBACK)
        await self.readable()
        assert await self.world.generations() == [(1, "live"), (2, "previous")]
        assert await self.world.positions() == heights(self.log)
        await self.recorded(Kind.ROLLBACK)
        await self.settled()


async def test_a_rebuild_killed_at_any_await_disturbs_nobody(
    children: Forks,
    nats: Nats,
    public_stream: Client,
    service_database: Database,
    database_url: str,
    behind: Behind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "code_digest", same_code)
    log = a_log(EVENTS)
    it = Rebuilding(World(nats, public_stream, service_database, database_url), on_places(log), behind)
    await it.world.publish(log)
    faults = Faults(children, database_url, nats.url, MODULES, before_too=False)
    check, copy = partial(it.look, Kind.DRY_RUN), partial(it.look, Kind.INSPECTION)
    await faults.kill_at_each(
        [
            Scenario("rebuild", it.different, it.readable, it.rebuild),
            Scenario("rebuild", it.elsewhere, it.readable, it.rebuild),
            Scenario("go on", it.ahead, it.readable, it.rebuild),
            Scenario("refused", it.different, it.readable, it.rebuild),
            Scenario("fail", it.equal, it.readable, it.rebuild),
            Scenario("wait for lease", it.equal, it.readable, it.rebuild),
            Scenario("dry run", it.different, it.readable, check),
            Scenario("inspection", it.equal, it.readable, copy),
            Scenario("inspection stopped", it.equal, it.readable, copy),
            Scenario("rollback", it.rebuilt, it.readable, it.roll_back),
            Scenario("rollback stopped", it.rebuilt, it.readable, it.roll_back),
            Scenario("retire", it.rebuilt, it.readable, it.rebuild),
        ]
    )
    assert faults.never_reached(EXCEPTED) == []


def on_places(log: list[LogMessage]) -> list[LogMessage]:
    """Return a log with the places that its events get on a new stream."""
    return [replace(each, log_sequence=place) for place, each in enumerate(log, 1)]
