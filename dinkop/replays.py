"""Rebuilding projections of a running system, in this process: it has a core and memory of its own."""

from collections.abc import AsyncGenerator, Callable, Collection
from importlib import import_module
from typing import Any

from chassis.bootstrap import Service
from chassis.definitions.projection import Projection
from chassis.engine.ports import LogReplaced
from chassis.engine.projector import SequenceGap
from chassis.engine.rebuild import MEMORY, BehindLive, Rebuild, Report, Unappliable
from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.pulling import Interrupted
from chassis.messaging.replay import Batch, LogUnreadable, replay
from chassis.storage import database
from chassis.storage.database import UNREACHABLE
from chassis.storage.generations import RebuildReplaced, RebuildRunning, SwapBlocked, building
from contracts.envelope import SERVICES, STREAM, MalformedEnvelope
from dinkop.system import Failed, Misused, System, Unreachable

REFUSALS = (
    RebuildRunning,
    RebuildReplaced,
    SwapBlocked,
    SequenceGap,
    Unappliable,
    LogReplaced,
    BehindLive,
    MalformedEnvelope,
)


def manifest(service: str) -> Service:
    """Return a service's manifest."""
    found: Service = import_module(f"services.{service}.service").service
    return found


def resolve(name: str) -> list[tuple[str, Projection[Any]]]:
    """Return the projections a name means: `reporting.health_status`, a short name that is unique, or `all`.

    Raises Misused.
    """
    every = [(service, projection) for service in SERVICES for projection in manifest(service).projections]
    if name == "all":
        return every
    found = [entry for entry in every if name in (f"{entry[0]}.{entry[1].name}", entry[1].name)]
    if len(found) == 1:
        return found
    what = "several projections" if found else "no projection"
    there = ", ".join(f"{service}.{projection.name}" for service, projection in found or every)
    raise Misused(f"{name} names {what}. There are: {there}, or all.")


async def rebuild(
    system: System, service: str, projection: Projection[Any], progress: Callable[[Report], None]
) -> Report:
    """Replay the stream into a new generation beside the live one, and swap.

    The live projection, reads and writes go on meanwhile. Raises Failed or Unreachable, and has then changed
    nothing.
    """
    running = system.running
    try:
        return await rebuild_from(running.nats_url, running.databases[service], projection, progress)
    except (LogUnreadable, Interrupted, *UNREACHABLE) as problem:
        raise Unreachable(str(problem)) from problem
    except REFUSALS as problem:
        raise Failed(str(problem)) from problem


async def rebuild_from(
    nats_url: str,
    database_url: str,
    projection: Projection[Any],
    progress: Callable[[Report], None] = lambda report: None,
    memory: int = MEMORY,
) -> Report:
    """Rebuild a projection in the database at `database_url`; its rows take at most `memory` bytes.

    Raises one of REFUSALS, LogUnreadable, or what the database's driver raises.
    """

    def from_stream(services: Collection[str], after: int, until: int, identity: str) -> AsyncGenerator[Batch]:
        return replay(nats_url, STREAM, services, after, until, identity=identity)

    async with (
        database.connect(database_url, connections=4) as store,
        connection.connect(nats_url, "dinkop-rebuild") as broker,
        building(store, projection) as generation,
    ):
        feed = JetStreamFeed(connection.client(broker))
        return await Rebuild(projection, generation, feed, from_stream, progress, memory).run()
