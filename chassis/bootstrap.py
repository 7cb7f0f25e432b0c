"""Putting a service together from its manifest: stores, relay, projectors, reactions, HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from fastapi import FastAPI

from chassis.definitions import clock
from chassis.definitions.decider import Decider
from chassis.definitions.projection import Projection
from chassis.definitions.reaction import Reaction
from chassis.engine.codec import Codec
from chassis.engine.ports import Feed, NothingToFeed, PublicMessage, StoredEvent
from chassis.engine.projector import Projector
from chassis.engine.reactions import Reactor
from chassis.engine.relay import Relay
from chassis.http.application import application
from chassis.http.routing import Routes
from chassis.http.runtime import Runtime
from chassis.messaging import stream
from chassis.messaging.connection import Broker, client, connect
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.subscriptions import subscribe, watch
from chassis.settings import Settings
from chassis.storage import database
from chassis.storage.archive import Archive
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.inbox import PostgresInbox
from chassis.storage.leadership import leadership
from chassis.storage.read_models import ReadModels
from chassis.storage.vault import Vault
from chassis.telemetry import metrics
from contracts.envelope import SERVICES, Envelope, PublicEvent, nats_subject

log = structlog.get_logger()

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
PREVIOUS_PACE = 1.0
"""Seconds between two batches of a generation that nobody reads: larger batches cost less."""

type Watcher = Callable[[Runtime, Feed], Awaitable[None]]
"""Work of a service's own that follows the public log, until cancelled."""


@dataclass(frozen=True)
class Service:
    """The manifest of a service: everything it can do, on one screen.

    `publish` turns a stored event into its public one, purely; `migrations` are the service's own schema
    versions, if it has any. A service with `personal_data` has a vault, and needs a master key
    and a folder of keys to serve. `watchers` run by name while this process leads; one that fails is started
    again, so it must be safe to kill.
    """

    name: str
    description: str
    deciders: Sequence[Decider[Any, Any, Any]]
    publish: Callable[[UUID, Any], PublicEvent]
    projections: Sequence[Projection[Any]]
    routes: Sequence[Routes]
    reactions: Sequence[Reaction] = ()
    watchers: Mapping[str, Watcher] = field(default_factory=dict)
    migrations: Path | None = None
    personal_data: bool = False

    def publication(self) -> Callable[[StoredEvent], PublicMessage]:
        """Return the way from a stored event to its message on the stream, under the same number."""
        codecs: dict[str, Codec[Any]] = {decider.stream: Codec(decider, clock.new_id) for decider in self.deciders}

        def message(stored: StoredEvent) -> PublicMessage:
            event = self.publish(stored.stream.id, codecs[stored.stream.kind].decode(stored))
            name = event.type_name()
            envelope = Envelope(
                id=stored.id,
                service=self.name,
                type=name,
                schema_version=event.schema_version,
                subject=stored.stream.id,
                time=stored.recorded_at,
                sequence=stored.position,
                stream_version=stored.version,
                correlation_id=stored.metadata.get("correlation_id") or str(stored.id),
                causation_id=stored.metadata.get("causation_id"),
                traceparent=stored.metadata.get("traceparent"),
            )
            data = event.model_dump_json(by_alias=True).encode()
            return PublicMessage(nats_subject(self.name, name, event.kecamatan_of_subject), envelope, data)

        return message


@dataclass
class Background:
    """The background work of one service: what runs while this process leads."""

    service: Service
    settings: Settings
    runtime: Runtime
    relay: Relay | None = None
    projectors: dict[str, Projector[Any]] = field(default_factory=dict)
    leading: bool = False
    error: str | None = None

    async def run(self, store: database.Database) -> None:
        """Carry the relay, projectors and reactions whenever this process leads, until cancelled."""
        async with connect(self.settings.nats_url, f"dinkop-{self.service.name}") as broker:
            while True:
                try:
                    async with leadership(self.settings.database_url) as lost:
                        self.leading = True
                        log.info("background.leading")
                        await self._lead(store, broker, lost)
                except Exception as failed:
                    # Losing the database or the lead is weather; it is waited out and told once.
                    self.error = str(failed) or repr(failed)
                    log.warning("background.waiting", reason=repr(failed))
                    await asyncio.sleep(_SHORTEST_PAUSE)
                finally:
                    self.leading = False

    async def _lead(self, store: database.Database, broker: Broker, lost: asyncio.Future[None]) -> None:
        nats = client(broker)
        await stream.ensure(nats.jetstream(), self.settings.nats_replicas)
        self.relay = Relay(
            self.service.name,
            self.runtime.store,
            JetStreamLog(nats),
            self.service.publication(),
            published=_count_published,
        )
        self.projectors = {
            projection.name: Projector(
                projection, self.runtime.read_models.live(projection), JetStreamFeed(nats), self._moved
            )
            for projection in self.service.projections
        }
        parts: dict[str, Callable[[], Awaitable[None]]] = {"relay": self._guarded_relay(nats, self.relay)}
        for name, projector in self.projectors.items():
            parts[f"projection {name}"] = projector.run
        # The generation before the live one is kept fed too, so that it can come back at once.
        for projection in self.service.projections:
            previous = self.runtime.read_models.previous(projection)
            kept = Projector(projection, previous, JetStreamFeed(nats), pace=PREVIOUS_PACE)
            parts[f"previous {projection.name}"] = kept.run
        if self.service.reactions:
            parts["reactions"] = lambda: self._react(store)
        for name, watcher in self.service.watchers.items():
            parts[name] = partial(watcher, self.runtime, JetStreamFeed(nats))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until(lost))
            for name, part in parts.items():
                tasks.create_task(self._keep(name, part))

    def _guarded_relay(self, nats: Any, relay: Relay) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await stream.assert_durable(self.settings.nats_monitoring_url)
            # Again, for a stream that was lost while this process led is made anew here, and published anew.
            await stream.ensure(nats.jetstream(), self.settings.nats_replicas)
            await relay.run()

        return run

    async def _react(self, store: database.Database) -> None:
        # A connection of its own: FastStream subscribes when a broker starts and lets go when it stops.
        async with connect(self.settings.nats_url, f"dinkop-{self.service.name}-reactions") as broker:
            reactions = {f"{self.service.name}-{reaction.name}": reaction for reaction in self.service.reactions}
            for durable, reaction in reactions.items():
                reactor = Reactor(reaction, PostgresInbox(store.pool), self.runtime.handler)
                subscribe(broker, durable, reaction.event, reactor.handle)
            await broker.start()
            await watch(broker, reactions)

    async def _keep(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                await part()
            except Exception as failed:
                self._tell(name, failed)
                if asyncio.get_running_loop().time() - begun > 10 * _LONGEST_PAUSE:
                    pause = _SHORTEST_PAUSE
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _tell(self, name: str, failed: Exception) -> None:
        reason = str(failed) or repr(failed)
        metrics.failures.labels(name).inc()
        log.error("background.failed", part=name, reason=reason, exc_info=failed)
        if name == "relay" and self.relay:
            self.relay.status.error = reason
        elif name.startswith("projection "):
            self.projectors[name.removeprefix("projection ")].status.error = reason

    def _moved(self, projection: str, positions: Mapping[str, int]) -> None:
        self.runtime.note(projection, positions)
        for service, position in positions.items():
            metrics.projection_position.labels(projection, service).set(position)

    def wake(self) -> None:
        """Say that something was appended."""
        if self.relay:
            self.relay.wake()

    def hold(self) -> None:
        """Say that many appends follow, and a wake after them."""
        if self.relay:
            self.relay.hold()


async def _until(lost: asyncio.Future[None]) -> None:
    await lost


def _count_published(events: Sequence[StoredEvent]) -> None:
    metrics.published.inc(len(events))
    metrics.relay_position.set(events[-1].position)


def build(service: Service, settings: Settings) -> FastAPI:
    """Return the service as an ASGI application; it starts and stops everything with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Runtime]:
        async with database.connect(settings.database_url, settings.connections) as store:
            read_models = ReadModels(store)
            for projection in service.projections:
                with suppress(NothingToFeed):  # a generation of older code is served as it is, and status says so
                    await read_models.live(projection).checkpoint()
            runtime = Runtime(
                service=service.name,
                known_services=frozenset(SERVICES),
                store=PostgresEventStore(store.pool),
                read_models=read_models,
                today=settings.today,
                wake=lambda: background.wake(),
                hold=lambda: background.hold(),
                reachable=store.reachable,
                operations=lambda: status(service, background, store),
                secret=_secret(settings),
                vault=await _vault(service, settings, store),
                archive=Archive(store.pool),
            )
            background = Background(service, settings, runtime)
            task = asyncio.create_task(background.run(store))
            try:
                yield runtime
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return application(service.name, service.description, service.routes, lifespan, database.UNREACHABLE)


async def _vault(service: Service, settings: Settings, store: database.Database) -> Vault | None:
    if not service.personal_data:
        return None
    if settings.master_key_bytes is None or settings.keys is None:
        raise ValueError(f"{service.name} keeps personal data: set the master key and the folder of keys")
    vault = Vault(settings.keys, settings.master_key_bytes)
    await vault.check(used=await PostgresEventStore(store.pool).head() > 0)
    return vault


def _secret(settings: Settings) -> bytes:
    """Return the key of request fingerprints: no secret where no personal data is kept."""
    master = settings.master_key.get_secret_value() if settings.master_key else ""
    return hashlib.sha256(b"fingerprints" + master.encode()).digest()


async def status(service: Service, background: Background, store: database.Database) -> dict[str, Any]:
    """Return what an operator wants to know of one service: store, relay, every projection.

    Lag in events is the number of events on the stream that a projection has not applied; lag in seconds
    is the age of the last event it applied, while there are such events.
    """
    relay = background.relay
    head = await background.runtime.store.head()
    heads = await _heads(background, service) if background.leading else {}
    items = []
    for generation in await background.runtime.read_models.list():
        projector = background.projectors.get(generation.projection)
        positions = dict(generation.checkpoint.positions)
        wanted = {s: heads[s] for s in _services_of(service, generation.projection) if s in heads}
        live = generation.status == "live"
        # Only the live generation is kept up to date: of another one, lag says nothing.
        behind = sum(max(0, at - positions.get(s, 0)) for s, at in wanted.items()) if heads and live else None
        items.append(
            {
                "name": f"{service.name}.{generation.projection}",
                "version": generation.version,
                "generation": generation.generation,
                "status": generation.status,
                "positions": positions,
                "head": wanted,
                "lag_events": behind,
                "lag_seconds": _age(projector.status.event_time if projector and behind else None),
                "paused": generation.paused,
                "parked": 0,
                "last_error": projector.status.error if projector and live else None,
                "moved_at": generation.moved_at.isoformat(),
            }
        )
    return {
        "service": service.name,
        "leading": background.leading,
        "store": {"position": head},
        "relay": {
            "published": relay.status.published if relay else None,
            "backlog": max(0, head - relay.status.published) if relay else None,
            "last_error": relay.status.error if relay else background.error,
        },
        "items": items,
        "next_cursor": None,
    }


async def _heads(background: Background, service: Service) -> dict[str, int]:
    wanted = {name for projection in service.projections for name in projection.services}
    relay = background.relay
    if relay is None:
        return {}
    try:
        async with asyncio.timeout(2):
            return {name: (await relay.log.last(name)).sequence for name in sorted(wanted)}
    except Exception:
        # The stream is unreachable: the relay's own error says so.
        return {}


def _services_of(service: Service, projection: str) -> frozenset[str]:
    return next((p.services for p in service.projections if p.name == projection), frozenset())


def _age(moment: datetime | None) -> float:
    return max(0.0, (clock.now() - moment).total_seconds()) if moment else 0.0
