"""Putting a service together from its manifest: stores, relay, projectors, reactions, HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from fastapi import FastAPI

from chassis.definitions import clock, rebuilt
from chassis.definitions.consequences import Consequence
from chassis.definitions.decider import Decider
from chassis.definitions.projection import Projection
from chassis.definitions.reaction import Reaction
from chassis.engine.cancelling import heed_cancellation
from chassis.engine.codec import Codec
from chassis.engine.gate import Gate, keep_proving
from chassis.engine.ports import Feed, NothingToFeed, PublicMessage, StoredEvent, Stream
from chassis.engine.projector import Projector
from chassis.engine.reactions import Reactor
from chassis.engine.relay import Relay
from chassis.http.admission import Door
from chassis.http.application import application
from chassis.http.identity import Identity
from chassis.http.limits import Limits
from chassis.http.routing import Routes
from chassis.http.runtime import Runtime
from chassis.messaging import stream
from chassis.messaging.ahead import Ahead
from chassis.messaging.connection import Broker, client, connect
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.hearing import Hearing
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.subscriptions import subscribe, watch
from chassis.operations.children import Children
from chassis.operations.looking import Operations
from chassis.operations.parking import Parking
from chassis.settings import Settings
from chassis.storage import database
from chassis.storage.archive import Archive
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.generations import sweep
from chassis.storage.inbox import PostgresInbox
from chassis.storage.leadership import leadership
from chassis.storage.read_models import ReadModels, View
from chassis.storage.session import store_session
from chassis.storage.vault import Vault
from chassis.telemetry import metrics
from contracts.envelope import SERVICES, Envelope, PublicEvent, nats_subject
from contracts.operations import REBUILT

log = structlog.get_logger()

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
SWEEP_SECONDS = 30.0
PREVIOUS_PACE = 1.0
"""Seconds between two batches of a generation that nobody reads: larger batches cost less."""

type Watcher = Callable[[Runtime, Feed], Awaitable[None]]
"""Work of a service's own that follows the public log, until cancelled."""

type Consequences = Callable[[View, View, date], Awaitable[Sequence[Consequence]]]
"""(generation before, generation after, today) -> what would read otherwise; both are views of one snapshot."""


@dataclass(frozen=True)
class Service:
    """The manifest of a service: everything it can do, on one screen.

    `publish` turns a stored event into its public one, purely; `migrations` are the service's own schema
    versions, if it has any. A service with `personal_data` has a vault, and needs a master key
    and a folder of keys to serve. `watchers` run by name while this process leads; one that fails is started
    again, so it must be safe to kill. `consequences` say, by the name of a projection, what a rebuild of it would
    change for readers.
    """

    name: str
    description: str
    deciders: Sequence[Decider[Any, Any, Any]]
    publish: Callable[[UUID, Any], PublicEvent]
    projections: Sequence[Projection[Any]]
    routes: Sequence[Routes]
    reactions: Sequence[Reaction] = ()
    watchers: Mapping[str, Watcher] = field(default_factory=dict)
    consequences: Mapping[str, Consequences] = field(default_factory=dict)
    migrations: Path | None = None
    personal_data: bool = False

    @property
    def every_decider(self) -> Sequence[Decider[Any, Any, Any]]:
        """Return the service's own deciders, and the one of its projections' streams."""
        return (*self.deciders, rebuilt.decider)

    def public_event(self, stream: Stream, event: Any) -> PublicEvent:
        """Return what the world gets to know of a stored event."""
        if stream.kind == rebuilt.STREAM:
            # Without the reason: an operator wrote it freely.
            return REBUILT[self.name](projection_id=stream.id, **event.model_dump(exclude={"reason"}))
        return self.publish(stream.id, event)

    def publication(self) -> Callable[[StoredEvent], PublicMessage]:
        """Return the way from a stored event to its message on the stream, under the same number."""
        codecs: dict[str, Codec[Any]] = {decider.stream: Codec(decider, clock.new_id) for decider in self.every_decider}

        def message(stored: StoredEvent) -> PublicMessage:
            event = self.public_event(stored.stream, codecs[stored.stream.kind].decode(stored))
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
            return PublicMessage(nats_subject(self.name, name, event.kecamatan_of_subject), envelope, data, event)

        return message


@dataclass
class Background:
    """The background work of one service: what runs while this process leads."""

    service: Service
    settings: Settings
    runtime: Runtime
    relay: Relay | None = None
    ahead: Ahead | None = None
    projectors: dict[str, Projector[Any]] = field(default_factory=dict)
    leading: bool = False
    error: str | None = None

    async def run(self, store: database.Database) -> None:
        """Carry the relay, projectors and reactions whenever this process leads, and keep the gate, until cancelled."""
        sessions = partial(store_session, self.settings.database_url)
        async with connect(self.settings, f"dinkop-{self.service.name}") as broker:
            public_log, hearing = JetStreamLog(client(broker)), Hearing()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hearing.listen(client(broker)))
                tasks.create_task(keep_proving(self.service.name, sessions, public_log, self.runtime.gate))
                tasks.create_task(self._take_turns(store, broker, hearing))

    async def _take_turns(self, store: database.Database, broker: Broker, hearing: Hearing) -> None:
        while True:
            try:
                async with leadership(self.settings.database_url, hearing.seconds) as lost:
                    self.leading = True
                    log.info("background.leading")
                    # A task of its own, for a group leaves its task counted as cancelled (until Python 3.13).
                    await asyncio.create_task(self._lead(store, broker, lost))
            except Exception as failed:
                heed_cancellation(failed)
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
        self.ahead = Ahead(nats)
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
        parts["sweeping"] = partial(self._sweep, store)
        for name, watcher in self.service.watchers.items():
            parts[name] = partial(watcher, self.runtime, JetStreamFeed(nats))
        for name in parts:
            metrics.failures.labels(name)  # told as 0 from now on: the first failure is a rise then
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._until(lost))
            for name, part in parts.items():
                tasks.create_task(self._keep(name, part))

    async def _until(self, lost: asyncio.Future[None]) -> None:
        try:
            await lost
        finally:
            self.leading = False  # before the parts have ended, for another process leads by now

    def _guarded_relay(self, nats: Any, relay: Relay) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await stream.assert_durable(self.settings.nats_monitoring_url)
            # Again, for a stream that was lost while this process led is made anew here, and published anew.
            await stream.ensure(nats.jetstream(), self.settings.nats_replicas)
            await relay.run()

        return run

    async def _sweep(self, store: database.Database) -> None:
        """Give up generations that nobody puts back any more."""
        while True:
            for projection in self.service.projections:
                await sweep(store, projection, self.settings.grace_hours * 3600)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _react(self, store: database.Database) -> None:
        await self.runtime.gate.passed()  # an attempt that could not succeed need not be counted against an event
        # A connection of its own: FastStream subscribes when a broker starts and lets go when it stops.
        async with connect(self.settings, f"dinkop-{self.service.name}-reactions") as broker:
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
                heed_cancellation(failed)
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


def _count_published(events: Sequence[StoredEvent]) -> None:
    metrics.published.inc(len(events))
    metrics.relay_position.set(events[-1].position)


def build(service: Service, settings: Settings) -> FastAPI:
    """Return the service as an ASGI application; it starts and stops everything with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Runtime]:
        identity = Identity.of(settings)
        async with database.connect(settings.database_url, settings.connections) as store:
            read_models = ReadModels(store)
            for projection in service.projections:
                with suppress(NothingToFeed):  # a generation of older code is served as it is, and status says so
                    await read_models.live(projection).checkpoint()
            gate = Gate()
            children = Children(service.name, settings.environment())
            operations = Operations(service.name, service.projections, store, gate, lambda: background, children)
            runtime = Runtime(
                service=service.name,
                known_services=frozenset(SERVICES),
                store=PostgresEventStore(store.pool, admit=gate.passed),
                read_models=read_models,
                today=settings.today,
                wake=lambda: background.wake(),
                hold=lambda: background.hold(),
                reachable=store.reachable,
                operations=operations,
                door=Door(identity, Limits(settings.writes_per_second, settings.failed_tokens_per_minute)),
                parking=Parking(
                    service.name,
                    store,
                    service.projections,
                    service.reactions,
                    lambda decider: runtime.handler(decider),
                ),
                secret=_secret(settings),
                vault=await _vault(service, settings, store),
                archive=Archive(store.pool),
                gate=gate,
            )
            background = Background(service, settings, runtime)
            works = (background.run(store), operations.watch(), identity.keys.follow())
            tasks = [asyncio.create_task(work) for work in works]
            try:
                yield runtime
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, children.stop(), return_exceptions=True)

    return application(service.name, service.description, service.routes, lifespan, database.UNREACHABLE)


async def _vault(service: Service, settings: Settings, store: database.Database) -> Vault | None:
    if not service.personal_data:
        return None
    if settings.master_key_bytes is None or settings.keys is None:
        raise ValueError(f"{service.name} keeps personal data: set the master key and the folder of keys")
    vault = Vault(settings.keys, settings.master_key_bytes)
    # Not any event: a rebuild leaves one too, and has no subject.
    events = PostgresEventStore(store.pool)
    await vault.check(used=any([await events.has_streams(decider.stream) for decider in service.deciders]))
    return vault


def _secret(settings: Settings) -> bytes:
    """Return the key of request fingerprints: no secret where no personal data is kept."""
    master = settings.master_key.get_secret_value() if settings.master_key else ""
    return hashlib.sha256(b"fingerprints" + master.encode()).digest()
