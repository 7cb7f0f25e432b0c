"""Comparing every store with the stream, and having the relays publish what is missing there."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chassis.bootstrap import Service
from chassis.engine.ports import LogReplaced
from chassis.engine.reconcile import Comparison, Finding, Places, compare
from chassis.messaging import connection, stream
from chassis.messaging.address import Address, Where
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import UNREACHABLE as NATS_AWAY
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.replay import replay_all
from chassis.replaying import AWAY, gone
from chassis.storage import database
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.rebuilds import this_user
from chassis.storage.reconciliations import Reconciliations
from contracts.envelope import SERVICES, STREAM, MalformedEnvelope
from dinkop.embedded.nats import on_disk
from dinkop.replays import manifest
from dinkop.system import Failed, System, Unreachable

CONNECT = 15.0
"""Seconds NATS has to take the connection; its supervisor starts it again within five."""
LAG = 5.0
"""Seconds without a new event on the stream after which what is missing counts as missing."""
STILL = 30.0
"""Seconds without a new event on the stream after which a repair is given up."""
_LOOK = 0.1

type Progress = Callable[[str, int, int], None]
"""(what, done, of how many)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comparing all stores with the stream found. `strangers` are log sequences of messages of no service.

    `on_disk` is whether the files of the stream are where NATS left them; None where they can't be looked at from here.
    """

    identity: str
    log_sequence: int
    on_disk: bool | None
    findings: Mapping[str, Finding]
    strangers: Places

    @property
    def fine(self) -> bool:
        """Whether the stream has every event of every store once and in order, not off the disk, and nothing else."""
        whole = not self.strangers.events and all(found.fine for found in self.findings.values())
        return whole and self.on_disk is not False

    @property
    def behind(self) -> list[str]:
        """Return the services whose store lacks events that the stream has at its end."""
        return [name for name, found in self.findings.items() if found.behind]

    @property
    def damaged(self) -> bool:
        """Whether appending to the stream can't make it right."""
        return bool(self.strangers.events) or any(found.damaged for found in self.findings.values())

    def as_json(self) -> dict[str, Any]:
        """Return it as `dinkop reconcile --json` prints it."""
        return {
            "fine": self.fine,
            "stream": {"identity": self.identity, "log_sequence": self.log_sequence, "on_disk": self.on_disk},
            "strangers": asdict(self.strangers),
            "items": [{"fine": found.fine, **asdict(found)} for found in self.findings.values()],
        }


@dataclass(frozen=True, slots=True)
class Reconciling:
    """The stores and the stream, open. `files` is the directory of the NATS server, where it is on this machine."""

    address: Address
    nats: connection.Broker
    databases: Mapping[str, Database]
    services: Mapping[str, Service]
    files: Path | None = None

    @property
    def _log(self) -> JetStreamLog:
        return JetStreamLog(connection.client(self.nats))

    def _store(self, service: str) -> PostgresEventStore:
        return PostgresEventStore(self.databases[service].pool)

    async def heads(self) -> dict[str, int]:
        """Return the last position of every store."""
        return {service: await self._store(service).head() for service in self.databases}

    async def compare(self, progress: Progress) -> Outcome:
        """Compare everything that is stored by now with everything on the stream, and keep what was found."""
        due = await self.heads()
        await self.published(due, LAG, lambda *_: None)
        identity, until = "", 0
        if await stream.present(connection.client(self.nats).jetstream()):
            feed = JetStreamFeed(connection.client(self.nats))
            identity, until = await feed.identity(), await feed.head()
        comparisons = {
            name: Comparison(name, self._store(name), service.publication()) for name, service in self.services.items()
        }
        strangers = Places()
        if until:
            messages = replay_all(self.address, STREAM, until, identity=identity)
            strangers = await compare(comparisons, messages, lambda at: progress("messages compared", at, until))
        findings = {name: await each.finish(due[name]) for name, each in comparisons.items()}
        kept = None if self.files is None else not until or on_disk(self.files, STREAM)
        actor = f"{this_user()}@{socket.gethostname()}"
        for name, found in findings.items():
            record = Reconciliations(self.databases[name].pool)
            await record.record(actor, found.stored, asdict(found), fine=found.fine and kept is not False)
        return Outcome(identity, until, kept, findings, strangers)

    async def published(self, due: Mapping[str, int], patience: float, progress: Progress) -> bool:
        """Wait until the stream has these events; False after so many seconds in which nothing came."""
        total, before, since = sum(due.values()), -1, time.monotonic()
        while True:
            done = 0
            try:
                for service, position in due.items():
                    done += min(position, (await self._log.last(service)).sequence)
            except (MalformedEnvelope, *NATS_AWAY):
                done = 0  # the one is told of by the comparison, the other passes
            progress("events published", done, total)
            if done >= total:
                return True
            if done != before:
                before, since = done, time.monotonic()
            if time.monotonic() - since > patience:
                return False
            await asyncio.sleep(_LOOK)

    async def remove_stream(self) -> None:
        """Delete the stream; the relays make it anew and publish everything."""
        await stream.remove(connection.client(self.nats).jetstream())


@asynccontextmanager
async def opened(
    where: Where, databases: Mapping[str, str], services: Mapping[str, Service], files: Path | None = None
) -> AsyncIterator[Reconciling]:
    """Open the stream and the stores. Raises Unreachable when one of them doesn't answer."""
    address = Address.of(where)
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(CONNECT):
                broker = await stack.enter_async_context(connection.connect(address, "dinkop-reconcile"))
        except TimeoutError:
            raise Unreachable(f"NATS at {address} does not answer: see `dinkop doctor`.") from None
        stores = {
            name: await stack.enter_async_context(database.connect(url, connections=2))
            for name, url in databases.items()
        }
        yield Reconciling(address, broker, stores, services, files)


async def look(system: System, progress: Progress) -> Outcome:
    """Compare all stores of a running system with its stream. Changes nothing. Raises Unreachable, Failed."""

    async def work(reconciling: Reconciling) -> Outcome:
        return await reconciling.compare(progress)

    return await _with(system, work)


async def repair(system: System, progress: Progress, *, replace_stream: bool) -> Outcome:
    """Compare; have the relays publish what is missing; compare again.

    The relays of the running services are the only ones that publish, so that a repair needs no fence of its own.
    Where appending can't mend the stream, it is deleted and published anew, if `replace_stream` allows. Raises Failed
    when it must not or cannot be repaired, Unreachable.
    """

    async def end_nats() -> None:
        # What a server that lost its files works on is gone when it ends: better now than by surprise.
        nats = system.running.processes["nats"].process()
        if nats:
            nats.kill()

    async def work(reconciling: Reconciling) -> Outcome:
        try:
            return await mend(reconciling, progress, end_nats, replace_stream=replace_stream)
        except NothingPublished as nothing:
            raise Failed(f"{nothing} {await _why(system)}") from nothing

    return await _with(system, work)


class NothingPublished(Failed):
    """The relays publish nothing, though something is missing on the stream."""


async def mend(
    reconciling: Reconciling, progress: Progress, end_nats: Callable[[], Awaitable[None]], *, replace_stream: bool
) -> Outcome:
    """Carry out `repair` where everything is open; `end_nats` ends a server that its supervisor starts again."""
    found = await reconciling.compare(progress)
    if found.fine:
        return found
    if found.behind:
        raise Failed(
            f"The database of {' and '.join(found.behind)} lacks events that the stream has: it was restored from an"
            " older state. Nothing was repaired, for the stream knows more: restore the newest backup of that database"
            " (docs/how-to/back-up-and-restore.md)."
        )
    off_disk = found.on_disk is False
    if not off_disk and found.damaged and not replace_stream:
        raise Failed(
            f"The stream is damaged: {'; '.join(damage(found))}. Events are only ever appended to it, so what is"
            " wrong before its end can't be mended. `dinkop reconcile --repair --replace-stream` deletes it and has"
            " all of it published anew, with the same ids; other agencies' durable consumers go with it, and begin"
            " again (docs/how-to/reconcile.md)."
        )
    if off_disk:
        await end_nats()
    elif found.damaged:
        await reconciling.remove_stream()
    if not await reconciling.published(await reconciling.heads(), STILL, progress):
        raise NothingPublished(f"Nothing was published for {STILL:.0f} seconds.")
    return await reconciling.compare(progress)


def damage(found: Outcome) -> list[str]:
    """Return what is wrong, a line each."""
    lines = []
    if found.on_disk is False:
        lines.append("the files of the stream were deleted while NATS works on them; when it ends they are gone")
    for name, each in found.findings.items():
        holes = each.missing.events - each.unpublished
        for places, what in (
            (each.missing, f"missing on the stream{', all at its end' if not holes else ''}"),
            (each.late, "after later ones"),
            (each.doubled, "there more than once"),
            (each.foreign, "on the stream that are none of the store's"),
            (each.differing, "on the stream that say something else than the store"),
        ):
            if places.events:
                lines.append(f"{name}: {places.events:,} events {what} ({places})")
        if each.behind:
            lines.append(f"{name}: the database is older than the stream")
    if found.strangers.events:
        lines.append(f"{found.strangers.events:,} messages are of no service (stream sequence {found.strangers})")
    return lines


async def _with[T](system: System, work: Callable[[Reconciling], Awaitable[T]]) -> T:
    services = {name: manifest(name) for name in SERVICES}
    try:
        databases = {name: system.database_url(name) for name in SERVICES}
        # The files of a NATS server elsewhere can't be looked at from here; what it serves is compared all the same.
        files = system.home.nats if system.here else None
        async with opened(system.nats, databases, services, files) as reconciling:
            return await work(reconciling)
    except LogReplaced as replaced:
        raise Failed(f"The stream was made anew meanwhile ({replaced}): run this again.") from replaced
    except AWAY as problem:
        if not gone(problem):
            raise
        raise Unreachable(f"{problem or repr(problem)}: see `dinkop status`.") from problem


async def _why(system: System) -> str:
    status = await system.status()
    reasons = [
        f"{service['name']}: {problem}"
        for service in status["services"]
        if (problem := service.get("error") or service.get("relay", {}).get("last_error"))
    ]
    return "; ".join(reasons) or "See the logs of the services."
