"""A stream, a database and a projection between them, for tests of replays; and logs to put on the stream."""

import random
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from eventually import eventually
from filling import Publication, fill
from kept_running import kept_running
from nats.aio.client import Client
from projecting import Harvested, Planted, Rained, Thundered, message, plots
from rebuilding import rebuild_from
from servers import Nats

from chassis.definitions.clock import new_id
from chassis.definitions.projection import Projection, Row
from chassis.engine.parking import receive
from chassis.engine.ports import LogMessage
from chassis.engine.projector import Projector
from chassis.engine.rebuild import MEMORY, Report
from chassis.messaging.feed import JetStreamFeed
from chassis.replaying import Order, Outcome
from chassis.storage.database import Database
from chassis.storage.read_models import Generation, ReadModels
from contracts.envelope import PublicEvent, nats_subject

NONE = -(10**12)
"""No memory for rows at all: they are written out after every batch."""
PLOTS = [UUID(int=number) for number in range(1, 201)]


def a_log(length: int, seed: int = 1) -> list[LogMessage]:
    """Return a log of two services about 200 plots; now and then something is on it twice."""
    chance, sequences, log = random.Random(seed), {"field": 0, "sky": 0}, []
    for place in range(1, length + 1):
        if log and chance.random() < 0.05:
            log.append(chance.choice(log[-300:]))
            continue
        event = chance.choice(
            [Planted(what=chance.choice("abc")), Harvested(), Rained(millimetres=chance.randint(0, 9)), Thundered()]
        )
        log.append(numbered(event, sequences, chance.choice(PLOTS), place))
    return log


def numbered(event: PublicEvent, sequences: dict[str, int], key: UUID, place: int = 0) -> LogMessage:
    sequences[event.service] = sequences.get(event.service, 0) + 1
    return message(event, sequences[event.service], key, place)


def rain(count: int, after: int = 0) -> list[LogMessage]:
    """Return so many events of one service, one millimetre each."""
    return [message(Rained(millimetres=1), number, PLOTS[number % 7]) for number in range(after + 1, after + count + 1)]


def on_the_wire(log: Iterable[LogMessage]) -> list[Publication]:
    """Return a log as it is published; without the message ids by which the server would drop what comes twice."""
    return [
        (
            nats_subject(each.service, each.type, None),
            {name: value for name, value in each.headers.items() if name != "Nats-Msg-Id"},
            each.data,
        )
        for each in log
    ]


def distinct(log: Iterable[LogMessage]) -> list[LogMessage]:
    """Return a log without what stands on it twice, in order."""
    seen: dict[tuple[str, int], LogMessage] = {}
    for each in log:
        seen.setdefault((each.service, int(each.headers["ce-sequence"])), each)
    return list(seen.values())


def naive[R: Row](projection: Projection[R], log: Iterable[LogMessage]) -> dict[Hashable, R]:
    return projection.fold(r for r in (receive(projection, each) for each in distinct(log)) if r)


def heights(log: Iterable[LogMessage]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for each in distinct(log):
        positions[each.service] = positions.get(each.service, 0) + 1
    return positions


class World:
    """A stream, a database, and one projection between them."""

    def __init__(
        self, nats: Nats, client: Client, database: Database, database_url: str, projection: Projection[Any] = plots
    ) -> None:
        self.nats, self.client, self.database, self.database_url = nats, client, database, database_url
        self.projection = projection
        self.models = ReadModels(database)
        self.order = Order()
        self.projector = Projector(projection, self.models.live(projection), JetStreamFeed(client))

    async def publish(self, log: Iterable[LogMessage]) -> None:
        await fill(self.client, on_the_wire(log))

    async def rows(self) -> dict[Hashable, Row]:
        async with self.models.view(self.projection) as view:
            rows = await view.rows(self.projection, sa.select(self.projection.table))
        return {getattr(row, row.__struct_fields__[0]): row for row in rows}

    async def positions(self) -> Mapping[str, int]:
        return await self.models.positions(self.projection)

    async def reached(self, positions: Mapping[str, int]) -> bool:
        return await self.positions() == positions

    async def project(self, positions: Mapping[str, int]) -> None:
        """Bring the live generation to these positions, as the service does."""
        async with kept_running(self.projector.run):
            await eventually(lambda: self.reached(positions), 30)

    async def rebuild(self, progress: Callable[[Report], None] = lambda report: None, memory: int = MEMORY) -> Outcome:
        return await rebuild_from(
            self.nats.url, self.database_url, self.projection, progress, memory, replace(self.order, id=new_id())
        )

    async def generations(self) -> list[tuple[int, str]]:
        """Return what is kept; nothing else may be there, by any name."""
        kept: list[Generation] = await self.models.list()
        schemas = await self.database.pool.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '_g[0-9]+$' ORDER BY nspname"
        )
        assert [s[0] for s in schemas] == sorted(f"{each.projection}_g{each.generation}" for each in kept)
        return [(each.generation, each.status) for each in kept]
