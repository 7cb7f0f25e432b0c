"""Replays of a running system's projections, in this process: it has a core and memory of its own."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from importlib import import_module
from typing import Any

from chassis.bootstrap import Service
from chassis.definitions.clock import JAKARTA
from chassis.definitions.projection import Projection
from chassis.engine.rebuild import Report, Until
from chassis.replaying import AWAY, FAILURES, Order, Outcome, Replays, gone, replays
from chassis.storage.looking import look
from contracts.envelope import SERVICES
from dinkop.names import meant
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
    chosen = meant(name, [(service, projection.name) for service, projection in every])
    return [entry for entry in every if (entry[0], entry[1].name) in chosen]


def until(text: str) -> Until:
    """Return where a replay ends: a place in the stream, a day (its end) or a time; without a zone, in Jakarta.

    Raises Misused.
    """
    if text.isdecimal():
        return Until(log_sequence=int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misused(
            f"{text} is no place in the stream and no time: say 4711, 2024-11-14, or 2024-11-14T10:00Z."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=JAKARTA)
    if len(text) == len("2024-11-14"):
        moment = datetime.combine(moment, time(), JAKARTA) + timedelta(days=1) - timedelta(microseconds=1)
    return Until(time=moment)


async def carry_out(
    system: System, service: str, projection: Projection[Any], order: Order, progress: Callable[[Report], None]
) -> Outcome:
    """Replay a projection of a running system as ordered; the live projection, reads and writes go on meanwhile.

    Raises chassis.replaying.Refused, Failed or Unreachable, and nothing that readers see has changed then.
    """
    async with _opened(system, service) as open_:
        return await open_.carry_out(projection, order, progress)


async def retire(system: System, service: str, projection: Projection[Any], generation: int | None) -> int:
    """Give up the generation before the live one, or the one named; return its number. Raises Failed or Unreachable."""
    async with _opened(system, service) as open_:
        return await open_.retire(projection, generation)


async def rows(
    system: System, service: str, projection: Projection[Any], generation: int | None, key: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return rows of any generation, the live one unless it is named, in the order of their keys.

    Raises Failed or Unreachable.
    """
    async with _opened(system, service) as open_:
        try:
            return await look(open_.store, projection, generation, key, limit)
        except LookupError as problem:
            raise Failed(f"{problem}: see `dinkop projections`.") from problem


@asynccontextmanager
async def _opened(system: System, service: str) -> AsyncGenerator[Replays]:
    today = system.running.today
    try:
        database_url = system.database_url(service)
        async with replays(manifest(service), database_url, system.nats, today=today, gives_way=True) as open_:
            yield open_
    except FAILURES as problem:
        raise Failed(str(problem)) from problem
    except AWAY as problem:
        if not gone(problem):
            raise
        raise Unreachable(f"{problem or type(problem).__name__}. What was done is kept: run it again.") from problem
