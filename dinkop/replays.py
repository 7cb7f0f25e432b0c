"""Rebuilding projections of a running system, in this process: it has a core and memory of its own."""

from collections.abc import AsyncGenerator, Callable, Collection
from importlib import import_module
from typing import Any

from chassis.bootstrap import Service
from chassis.definitions.projection import Projection
from chassis.engine.projector import SequenceGap
from chassis.engine.rebuild import Rebuild, Report, Unappliable
from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.replay import Batch, LogUnreadable, replay
from chassis.storage import database
from chassis.storage.generations import RebuildRunning, building
from contracts.envelope import SERVICES, STREAM
from dinkop.system import Failed, Misused, System, Unreachable


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
    try:
        return await _rebuild(system, service, projection, progress)
    except LogUnreadable as problem:
        raise Unreachable(str(problem)) from problem
    except (RebuildRunning, SequenceGap, Unappliable) as problem:
        raise Failed(str(problem)) from problem


async def _rebuild(
    system: System, service: str, projection: Projection[Any], progress: Callable[[Report], None]
) -> Report:
    running = system.running

    def from_stream(services: Collection[str], after: int, until: int) -> AsyncGenerator[Batch]:
        return replay(running.nats_url, STREAM, services, after, until)

    async with (
        database.connect(running.databases[service], connections=4) as store,
        connection.connect(running.nats_url, "dinkop-rebuild") as broker,
        building(store, projection) as generation,
    ):
        feed = JetStreamFeed(connection.client(broker))
        return await Rebuild(projection, generation, feed, from_stream, progress).run()
