"""The pieces of work that children of `forking` do, each on servers that a test has prepared."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import nats
from eventually import eventually
from kept_running import kept_running
from ledger import commit, decider, publish
from nats.aio.client import Client
from poisoned import Mistakes
from projecting import plots
from replayed import NONE

from chassis import replaying
from chassis.bootstrap import Service
from chassis.definitions.clock import new_id
from chassis.definitions.consequences import Consequence
from chassis.definitions.projection import Projection
from chassis.engine import relay as relaying
from chassis.engine.ports import Checkpoint, LastPublished, LogMessage, PublicMessage
from chassis.engine.projector import Projector
from chassis.engine.rebuild import Report, Unappliable, Until
from chassis.engine.relay import Relay
from chassis.messaging import feed, stream, wire
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import JetStreamLog
from chassis.replaying import Kind, Order, Outcome, Refused, accepted, replays
from chassis.storage import database, generations
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.generations import RebuildRunning, lease
from chassis.storage.read_models import ReadModels, create_generation
from services.reporting.service import service

STORED = 7
"""Events that a relay finds in the store."""


def same_code(service: str) -> str:
    """Return what stands for the digest of the code: whoever goes on runs the same."""
    return "the code under test"


publication = Service("ledger", "", [decider], publish, projections=[], routes=[]).publication()


def in_small_pieces() -> None:
    """Make everything take several batches, and nothing take long; for a child, since it is for good."""
    relaying.BATCH = 3
    feed.BATCH, feed.IDLE = 8, 0.05
    wire._BLOCK = 32_768
    replaying.NOTE_SECONDS = 0.05
    replaying.code_digest = same_code
    replaying.AfterLive.LOOK = 0.02


@asynccontextmanager
async def servers(database_url: str, nats_url: str) -> AsyncIterator[tuple[Database, Client]]:
    """Open what work needs."""
    async with database.connect(database_url, connections=4) as store:
        client = await nats.connect(nats_url)
        try:
            yield store, client
        finally:
            await client.close()


# ---------------------------------------------------------------- relay


class Rival(JetStreamLog):
    """The stream, on which another relay is quicker with the first batch.

    Who holds `being_replaced` has nobody look at it: a relay finds it before or after, never gone.
    """

    _quicker = True

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.being_replaced = asyncio.Lock()

    async def last(self, service: str) -> LastPublished:
        """Look when nobody replaces it."""
        async with self.being_replaced:
            return await super().last(service)

    async def publish(self, service: str, messages: Sequence[PublicMessage], after: LastPublished) -> LastPublished:
        """Publish after the other one has."""
        if self._quicker and not after.sequence:
            self._quicker = False
            await super().publish(service, messages, after)
        return await super().publish(service, messages, after)


async def relay(database_url: str, nats_url: str) -> None:
    """Publish what is stored, though another relay was quicker; again after the stream's loss; and what comes later."""
    async with servers(database_url, nats_url) as (store, client):
        events = PostgresEventStore(store.pool)
        log = Rival(client)
        one = Relay("ledger", events, log, publication, poll=0.02, look=0.0)

        async def run() -> None:
            await stream.ensure(client.jetstream())
            await one.run()

        async with kept_running(run):
            await eventually(lambda: one.status.published == STORED)
            async with log.being_replaced:
                await stream.remove(client.jetstream())
                await stream.ensure(client.jetstream())
            await eventually(partial(_is_published, client, STORED))
            await events.append(commit())
            one.wake()
            await eventually(lambda: one.status.published == STORED + 1)


async def _is_published(client: Client, sequence: int) -> bool:
    return (await JetStreamLog(client).last("ledger")).sequence == sequence


# ---------------------------------------------------------------- projector


async def project(database_url: str, nats_url: str) -> None:
    """Wait while paused, then read everything, and be paused and resumed once more."""
    async with servers(database_url, nats_url) as (store, client):
        live, idle = ReadModels(store, new_id()).live(plots), asyncio.Event()
        stands_at = live.stands_at

        async def told(checkpoint: Checkpoint) -> bool:
            stands = await stands_at(checkpoint)
            idle.set()
            return stands

        live.stands_at = told  # type: ignore[method-assign]
        projector = Projector(plots, live, JetStreamFeed(client), poll=0.02)

        async def pause(paused: bool) -> None:
            await store.pool.execute("UPDATE projection_controls SET paused = $1", paused)
            await eventually(lambda: projector.status.paused == paused)

        async with kept_running(projector.run):
            await eventually(lambda: projector.status.paused)
            await pause(False)
            await _at_the_head(store, client, "live")
            idle.clear()
            await idle.wait()
            await pause(True)
            await pause(False)


async def project_on(database_url: str, nats_url: str) -> None:
    """Read everything."""
    async with servers(database_url, nats_url) as (store, client):
        projector = Projector(plots, ReadModels(store, new_id()).live(plots), _InOneBatch(client), poll=0.02)
        async with kept_running(projector.run):
            await _at_the_head(store, client, "live")


class _InOneBatch(JetStreamFeed):
    """Delivers what there is in one batch, however the server cuts it: so that something follows a deadly event."""

    async def follow(self, services: Collection[str], after: int) -> AsyncGenerator[list[LogMessage]]:
        head, whole = await self.head(), list[LogMessage]()
        async with aclosing(super().follow(services, after)) as batches:
            async for batch in batches:
                whole += batch
                if not batch or batch[-1].log_sequence >= head:
                    yield whole
                    whole = []


async def project_previous(database_url: str, nats_url: str) -> None:
    """Wait for there to be a generation before the live one, if there is none, and feed it."""
    async with servers(database_url, nats_url) as (store, client):
        previous = ReadModels(store, new_id()).previous(plots)
        looked = asyncio.Event()

        async def paused() -> bool:
            looked.set()
            return False

        previous.paused = paused  # type: ignore[method-assign]
        projector = Projector(plots, previous, JetStreamFeed(client), poll=0.02)
        async with kept_running(projector.run):
            if not await store.pool.fetchval("SELECT count(*) FROM generations WHERE status = 'previous'"):
                for _ in range(3):
                    looked.clear()
                    await looked.wait()
                async with store.engine.begin() as connection:
                    await create_generation(connection, plots, 2, "previous")
            await _at_the_head(store, client, "previous")


async def _at_the_head(store: Database, client: Client, status: str) -> None:
    head = await JetStreamFeed(client).head()
    place = "SELECT log_sequence = $1 FROM generations WHERE status = $2"
    await eventually(lambda: store.pool.fetchval(place, head, status))


# ---------------------------------------------------------------- rebuild

type Progress = Callable[[Report], None]


def _unheard(_: Report) -> None:
    pass


async def carry_out(
    database_url: str,
    nats_url: str,
    order: Order,
    progress: Progress = _unheard,
    projection: Projection[Any] = plots,
) -> Outcome:
    """Do as ordered with no memory for rows, so that they are written batch by batch."""

    async def tell(*_: object) -> list[Consequence]:
        return []

    owner = replace(service, projections=[projection], consequences={projection.name: tell})
    async with replays(owner, database_url, nats_url, NONE) as open_:
        return await open_.carry_out(projection, order, progress)


@dataclass
class Ordered:
    """Work that is one order."""

    order: Order

    async def __call__(self, database_url: str, nats_url: str) -> None:
        await carry_out(database_url, nats_url, self.order)


@dataclass
class Stopped:
    """An order that its operator stops when it comes to a phase."""

    order: Order
    phase: str

    async def __call__(self, database_url: str, nats_url: str) -> None:
        def stop(report: Report) -> None:
            if report.phase == self.phase:
                doing.cancel()

        doing = asyncio.create_task(carry_out(database_url, nats_url, self.order, stop))
        with suppress(asyncio.CancelledError):
            await doing


async def refused(database_url: str, nats_url: str) -> None:
    """Rebuild, and have it refused, for rows differ."""
    with suppress(Refused):
        await carry_out(database_url, nats_url, Order())
        raise AssertionError("it is refused")


async def fail(database_url: str, nats_url: str) -> None:
    """Rebuild with code that can't apply an event."""
    with suppress(Unappliable):
        await carry_out(
            database_url,
            nats_url,
            Order(),
            projection=Mistakes(unfoldable={("sky", number) for number in range(20, 40)}).projection(),
        )
        raise AssertionError("it fails")


async def go_on(database_url: str, nats_url: str) -> None:
    """Rebuild from where another one was stopped, further than the live generation is, which comes along later."""
    behind = asyncio.Event()

    def note(report: Report) -> None:
        if report.phase == "verify":
            behind.set()

    async def live() -> None:
        await behind.wait()
        await project_on(database_url, nats_url)

    await asyncio.gather(carry_out(database_url, nats_url, Order(accept=accepted), note), live())


async def wait_for_lease(database_url: str, nats_url: str) -> None:
    """Rebuild, though somebody holds the lease: be refused, and then wait for it."""
    async with servers(database_url, nats_url) as (store, _):
        async with lease(store, plots):
            generations.LEASE_SECONDS = 0.0
            with suppress(RebuildRunning):
                await carry_out(database_url, nats_url, Order())
            generations.LEASE_SECONDS = 30.0
            doing = asyncio.create_task(carry_out(database_url, nats_url, Order(accept=accepted)))
            await eventually(partial(_asked, store))
        await doing


async def _asked(store: Database) -> bool:
    """Tell whether two sessions have asked for the lease."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock%' AND datname = $1"
    name = await store.pool.fetchval("SELECT current_database()")
    return bool(await store.pool.fetchval(f"{asked} AND query NOT LIKE '%pg_stat_activity%'", name) >= 2)


async def retire(database_url: str, nats_url: str) -> None:
    """Give up the generation before the live one, and have it and what is of no use swept away."""
    owner = replace(service, projections=[plots], consequences={})
    async with replays(owner, database_url, nats_url) as open_:
        await open_.retire(plots)
    await sweep(database_url, nats_url)


async def sweep(database_url: str, nats_url: str) -> None:
    """Sweep away what is of no use any more, without grace."""
    generations.RETIRED_SECONDS = 0.0
    async with servers(database_url, nats_url) as (store, _):
        for _ in range(2):
            await generations.sweep(store, plots, 0)


JOBS: dict[str, Callable[[str, str], Awaitable[None]]] = {
    "relay": relay,
    "project": project,
    "project on": project_on,
    "project previous": project_previous,
    "rebuild": Ordered(Order(accept=accepted)),
    "dry run": Ordered(Order(kind=Kind.DRY_RUN)),
    "inspection": Ordered(Order(kind=Kind.INSPECTION, until=Until(log_sequence=120))),
    "inspection stopped": Stopped(Order(kind=Kind.INSPECTION), "indexes"),
    "rebuild stopped": Stopped(Order(accept=accepted), "swap"),
    "rollback": Ordered(Order(kind=Kind.ROLLBACK)),
    "rollback stopped": Stopped(Order(kind=Kind.ROLLBACK), "swap"),
    "refused": refused,
    "fail": fail,
    "go on": go_on,
    "wait for lease": wait_for_lease,
    "retire": retire,
    "sweep": sweep,
}
"""By name, for a child is told one."""
