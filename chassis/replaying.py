"""Replays of a service's projections, whole: rebuilds, checks, inspection copies, and the way back."""

import asyncio
import gc
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import stamina

from chassis.bootstrap import Service
from chassis.definitions import clock, rebuilt
from chassis.definitions.projection import Projection
from chassis.definitions.rebuilt import ProjectionRebuilt, projection_id
from chassis.engine.codec import Codec
from chassis.engine.gate import StoreBehindLog, proven
from chassis.engine.ports import Checkpoint, LogReplaced, Stream
from chassis.engine.projector import BehindLive, Projector, SequenceGap
from chassis.engine.rebuild import MEMORY, NotComparable, Rebuild, Report, Unappliable, Until
from chassis.messaging import connection, public_log
from chassis.messaging.address import Address, Where
from chassis.messaging.ahead import Ahead
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.pulling import Interrupted
from chassis.messaging.replay import Batch, LogUnreadable, replay
from chassis.messaging.samples import samples
from chassis.storage import database, generations
from chassis.storage.comparing import Compared
from chassis.storage.database import UNREACHABLE, Connection, Database, away
from chassis.storage.differences import OtherColumns
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.generations import (
    BuildingGeneration,
    CatchUp,
    NothingToPutBack,
    NotRetirable,
    RebuildReplaced,
    RebuildRunning,
    SwapBlocked,
    Together,
)
from chassis.storage.parked import left_out, waiting
from chassis.storage.read_models import ReadModels
from chassis.storage.rebuilds import Rebuilds, ended
from contracts.envelope import STREAM, MalformedEnvelope

COLLECTED = 50_000
"""Objects between two looks for circular garbage: a fold makes next to none, and looking took a twelfth of its time."""
CONNECT = 15.0
"""Seconds NATS has to take the first connection: longer than it is away when it is started again."""
PATIENCE = 120.0
"""Seconds for which a server that went away is waited for; then whoever asks again goes on from where it was."""
NOTE_SECONDS = 1.0


class Kind(StrEnum):
    """What is asked for. Only a rebuild and a rollback change what readers see."""

    REBUILD = "rebuild"
    DRY_RUN = "dry_run"
    VERIFY = "verify"
    INSPECTION = "inspection"
    ROLLBACK = "rollback"


class Refused(Exception):
    """The new generation would read otherwise than it should, and nobody accepted that."""

    def __init__(self, message: str, outcome: "Outcome") -> None:
        super().__init__(message)
        self.outcome = outcome


FAILURES = (
    RebuildRunning,
    RebuildReplaced,
    SwapBlocked,
    NothingToPutBack,
    NotRetirable,
    SequenceGap,
    Unappliable,
    LogReplaced,
    BehindLive,
    NotComparable,
    StoreBehindLog,
    MalformedEnvelope,
)
"""What a replay ends with when it can't be done; nothing that readers see has changed then."""
AWAY = (LogUnreadable, Interrupted, *public_log.UNREACHABLE, *UNREACHABLE)
"""What may mean that a server is away; `gone` tells."""


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a replay.

    `rows` counts each row as often as it was written; `compared` has how many there are. `state` as in
    storage.rebuilds.Record. `bytes` is what the new generation takes on disk, `seconds` all of it, and
    `rate` events a second of the replay. `compared` is the comparison with the live generation at one common
    position, `consequences` what would read otherwise, for those who read it.
    """

    id: UUID
    projection: str
    kind: Kind
    state: str
    generation: int
    replaced: int | None = None
    version: int
    replaced_version: int | None = None
    events: int = 0
    total: int = 0
    rows: int = 0
    seconds: float = 0.0
    rate: int = 0
    resumed_at: int = 0
    skipped: int = 0
    bytes: int = 0
    positions: Mapping[str, int] = msgspec.field(default_factory=dict)
    compared: Compared | None = None
    consequences: list[dict[str, Any]] = msgspec.field(default_factory=list)
    sentences: list[str] = msgspec.field(default_factory=list)
    """The consequences in words."""

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


async def _nobody(_: Outcome) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be done, by whom and why. `accept` is asked whether differences may go live."""

    kind: Kind = Kind.REBUILD
    actor: str = "local"
    reason: str | None = None
    until: Until = field(default_factory=Until)
    accept: Callable[[Outcome], Awaitable[bool]] = _nobody
    id: UUID = field(default_factory=clock.new_id)


async def accepted(_: Outcome) -> bool:
    """Accept whatever differs."""
    return True


def give_way() -> None:
    """Leave the processor to whoever else wants it, from this moment on.

    Niceness is not enough: who is woken still waits for the rest of a nice one's slice, at each of the dozen steps
    from a request to its answer. Nobody waits for one that is scheduled as idle.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def stand_in_line() -> None:
    """Be scheduled as others are, for others wait for what follows; without the right to (RLIMIT_NICE) it stays."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@asynccontextmanager
async def replays(
    service: Service,
    database_url: str,
    nats: Where,
    memory: int = MEMORY,
    today: date | None = None,
    *,
    gives_way: bool = False,
) -> AsyncGenerator["Replays"]:
    """Open what the replays of a service need. Raises one of AWAY.

    With `gives_way`, this process, which does nothing else, leaves the processor to others while nobody waits for it.
    """
    address = Address.of(nats)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database.connect(database_url, connections=4))
        try:
            async with asyncio.timeout(CONNECT):
                connected = connection.connect(address, f"dinkop-replays-{service.name}")
                broker = await stack.enter_async_context(connected)
        except TimeoutError:
            raise Interrupted(f"NATS at {address} does not answer") from None
        if gives_way:
            gc.freeze()
            gc.set_threshold(COLLECTED)
        yield Replays(service, store, address, connection.client(broker), memory, today, gives_way)


@dataclass
class Replays:
    """The replays of one service's projections, in this process: it needs a core and memory of its own."""

    service: Service
    store: Database
    nats: Address
    client: Any
    memory: int = MEMORY
    today: date | None = None
    gives_way: bool = False

    async def carry_out(
        self, projection: Projection[Any], order: Order, progress: Callable[[Report], None] = lambda report: None
    ) -> Outcome:
        """Do it. Servers that go away are waited for; then a rebuild goes on from where it was.

        Raises Refused or one of FAILURES, and nothing that readers see has changed then; one of AWAY after two minutes.
        """
        async for attempt in stamina.retry_context(on=gone, timeout=PATIENCE, attempts=None, wait_max=2.0):
            with attempt:
                return await _Run(self, projection, order, progress).run()
        raise AssertionError("stamina either returns or raises")

    async def retire(self, projection: Projection[Any], generation: int | None = None) -> int:
        """Give up the generation before the live one, or the one named; return its number.

        Raises NotRetirable, RebuildRunning.
        """
        async with generations.lease(self.store, projection):
            return await generations.retire(self.store, projection, generation)


class _Run:
    """One attempt at one order."""

    def __init__(
        self, replays: Replays, projection: Projection[Any], order: Order, progress: Callable[[Report], None]
    ) -> None:
        self._replays, self._projection, self._order = replays, projection, order
        self._tell = progress
        self._store = replays.store
        self._records = Rebuilds(replays.store.pool)
        self._code = code_digest(replays.service.name)
        self._report: Report | None = None
        self._outcome = Outcome(
            id=order.id,
            projection=f"{replays.service.name}.{projection.name}",
            kind=order.kind,
            state="running",
            generation=0,
            version=projection.version,
        )

    async def run(self) -> Outcome:
        """Do it under the projection's lease, and keep the record."""
        order, projection = self._order, self._projection
        async with generations.lease(self._store, projection):
            done = await self._records.begin(
                order.id,
                projection.name,
                order.kind,
                version=projection.version,
                code=self._code,
                actor=order.actor,
                reason=order.reason,
            )
            if done:  # by an attempt that lost its connection before it was told
                return msgspec.convert(done, Outcome)
            noting = asyncio.create_task(self._note())
            try:
                await self._steps()
            except Refused as refused:
                await self._end("refused", str(refused))
                raise
            except FAILURES as failed:
                await self._end("failed", str(failed))
                raise
            except asyncio.CancelledError:
                await self._end("interrupted", "stopped by its operator")
                raise
            finally:
                noting.cancel()
            await self._end(self._outcome.state)
        return self._outcome

    async def _steps(self) -> None:
        match self._order.kind:
            case Kind.REBUILD:
                await self._rebuild()
            case Kind.DRY_RUN | Kind.VERIFY:
                await self._check()
            case Kind.INSPECTION:
                await self._inspect()
            case Kind.ROLLBACK:
                await self._roll_back()

    # ------------------------------------------------------------ what is done

    async def _rebuild(self) -> None:
        store, projection = self._store, self._projection
        generation = await generations.resume(store, projection, self._code)
        if generation is None:
            generation = await generations.start(store, projection, "building", self._code)
        try:
            replay = await self._begun(generation)
            await self._prove_store()
            await replay.preflight(samples(self._replays.client, projection.by_type))
            await replay.read_what_live_has()
            if not generation.empty:  # an empty table is filled faster without indexes
                await replay.finish()
            await self._prove(replay, consequences=True)
            self._measured(replay)
            self._outcome.bytes = await generation.bytes()
            assert self._outcome.compared is not None
            if not self._outcome.compared.same and not await self._order.accept(self._outcome):
                raise Refused(self._refusal(), self._outcome)
            await replay.catch_up()
            await replay.finish()
            await replay.catch_up()
            await self._prove_store()
            self._hurry()
            replay.enter("swap")
            await generation.swap(replay.reach, lambda connection, was: self._went_live(connection, was, replay))
        except FAILURES:
            await generation.drop()
            raise
        replay.enter("done")
        self._measured(replay)

    async def _check(self) -> None:
        generation = await generations.start(self._store, self._projection, "trial", self._code)
        try:
            replay = await self._begun(generation)
            await replay.preflight(samples(self._replays.client, self._projection.by_type))
            await replay.read_what_live_has()
            await self._prove(replay, consequences=self._order.kind is Kind.DRY_RUN)
            self._measured(replay)
            self._outcome.bytes = await generation.bytes()
        finally:
            await generation.drop()
        assert self._outcome.compared is not None
        self._outcome.state = "equal" if self._outcome.compared.same else "different"
        replay.enter("done")

    async def _inspect(self) -> None:
        generation = await generations.start(self._store, self._projection, "trial", self._code)
        try:
            replay = await self._begun(generation)
            await replay.read(self._order.until)
            await replay.finish()
            self._outcome.bytes = await generation.bytes()
            await generation.keep()
        except BaseException:
            await generation.drop()
            raise
        self._outcome.state = "kept"
        replay.enter("done")
        self._measured(replay)

    async def _roll_back(self) -> None:
        store, projection, outcome = self._store, self._projection, self._outcome
        generation = await generations.take_back(store, projection)
        outcome.generation, outcome.version = generation.generation, generation.version
        outcome.replaced_version = projection.version
        try:
            reach: CatchUp = _as_it_is  # by other code than this, which can't feed it: it stands where that left it
            if generation.version == projection.version:
                # As it was fed before: what is parked of it stays so, and what comes later of that waits behind it.
                feed = JetStreamFeed(self._replays.client)
                projector = Projector(projection, ReadModels(store).returning(projection), feed)
                self._move(Report(projection.name, generation.generation, phase="catch up"))
                await projector.reach((await generation.live()).positions)
                reach = projector.reach
            self._move(Report(projection.name, generation.generation, phase="swap"))
            await generation.swap(reach, lambda connection, was: self._went_live(connection, was, None))
        except BaseException:
            await generations.give_back(store, projection)
            raise

    # ------------------------------------------------------------ steps of it

    async def _begun(self, generation: BuildingGeneration) -> Rebuild[Any, Together]:
        replays, projection = self._replays, self._projection
        self._take_time()
        self._outcome.generation = generation.generation
        feed = JetStreamFeed(replays.client)

        def from_stream(services: Collection[str], after: int, until: int, identity: str) -> AsyncGenerator[Batch]:
            return replay(replays.nats, STREAM, services, after, until, identity=identity)

        courtesy = AfterLive(generation.live, Ahead(replays.client), projection.services)
        given_up = await left_out(self._store.pool, projection.name)
        run = Rebuild(projection, generation, feed, from_stream, self._move, replays.memory, given_up, courtesy)
        await run.begin()
        self._report = run.report
        return run

    async def _prove(self, replay: Rebuild[Any, Together], *, consequences: bool) -> None:
        """Compare both generations; where they differ, find out what readers would find otherwise."""
        outcome = self._outcome
        self._hurry()
        async with replay.together() as both:
            self._take_time()
            outcome.replaced, outcome.replaced_version = both.before.generation, both.version
            # Rows that parked events belong to lack what is parked: that they differ says nothing against either side.
            parked = await waiting(self._store.pool, self._projection.name, both.before.generation)
            outcome.compared = await both.compare(parked.keys | parked.subjects)
            tell = self._replays.service.consequences.get(self._projection.name)
            if consequences and tell and not outcome.compared.same:
                replay.enter("consequences")
                try:
                    for consequence in await tell(both.before, both.after, clock.today(self._replays.today)):
                        outcome.consequences.append(consequence.as_json())
                        outcome.sentences.append(str(consequence))
                except OtherColumns as unknown:
                    outcome.sentences.append(str(unknown))

    async def _prove_store(self) -> None:
        """Raise StoreBehindLog where recording the rebuild as an event would fork the store's history."""
        await proven(
            self._replays.service.name, PostgresEventStore(self._store.pool), JetStreamLog(self._replays.client)
        )

    async def _went_live(self, connection: Connection, was: int, replay: Rebuild[Any, Together] | None) -> None:
        """Record it where the swap is made: what is live is always on record, and what is on record went live."""
        outcome, service, projection = self._outcome, self._replays.service.name, self._projection.name
        outcome.state, outcome.replaced = "live", was
        if replay:
            self._measured(replay)
        await ended(connection, self._order.id, "live", outcome.as_json(), replaced=was)
        if replay is None or outcome.compared is None:
            return
        compared = outcome.compared
        event = ProjectionRebuilt(
            projection=projection,
            generation=outcome.generation,
            version=self._projection.version,
            code=self._code,
            positions=dict(replay.positions),
            rows=compared.rows,
            digest=compared.after,
            added=compared.added,
            changed=compared.changed,
            removed=compared.removed,
            reason=self._order.reason,
        )
        stream = Stream(rebuilt.STREAM, projection_id(service, projection))
        metadata = {"actor": self._order.actor, "correlation_id": str(self._order.id)}
        new = Codec(rebuilt.decider, clock.new_id).encode(event)
        await PostgresEventStore.append_in(connection, stream, new, metadata)

    def _refusal(self) -> str:
        outcome, name = self._outcome, self._outcome.projection
        kept = f" Generation {outcome.generation} is kept: `dinkop rebuild {name} --accept` puts it in place"
        kept += f", `dinkop retire {name} --generation {outcome.generation}` drops it."
        if outcome.replaced_version != outcome.version:
            return (
                f"Version {outcome.version} of {name} reads otherwise than version {outcome.replaced_version}, which is"
                f" live. Nothing is swapped.{kept}"
            )
        return (
            f"{name} is of the same version, and yet a replay of its events makes other rows than the live ones: the"
            " live generation was changed by hand, or the code was without a new version. Nothing is swapped."
            f"{kept}"
        )

    def _hurry(self) -> None:
        """The live projection stands still for what follows."""
        if self._replays.gives_way:
            stand_in_line()

    def _take_time(self) -> None:
        """Nobody waits for what follows."""
        if self._replays.gives_way:
            give_way()

    # ------------------------------------------------------------ keeping track

    def _move(self, report: Report) -> None:
        self._report = report
        self._tell(report)

    def _measured(self, replay: Rebuild[Any, Together]) -> None:
        report, outcome = replay.report, self._outcome
        outcome.events, outcome.total, outcome.rows = report.events, report.total, report.rows
        outcome.seconds, outcome.rate = round(report.seconds, 3), round(report.rate)
        outcome.resumed_at, outcome.skipped = report.resumed_at, report.skipped
        outcome.positions = dict(replay.positions)

    async def _note(self) -> None:
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            if self._report:
                with suppress(*UNREACHABLE):  # the next one tells more
                    await self._records.note(self._order.id, self._outcome.generation, asdict(self._report))

    async def _end(self, state: str, error: str | None = None) -> None:
        self._outcome.state = state
        await self._records.end(self._order.id, state, self._outcome.as_json(), error)


async def _as_it_is(_: Mapping[str, int]) -> None:
    pass


class AfterLive:
    """Lets the live projection go first: rests while it falls further behind (engine.rebuild.Courtesy)."""

    LOOK, REST, MOST, ENOUGH = 0.5, 0.25, 5.0, 100
    """Seconds between two looks, of one rest, and of all rests at a time; events that the live one may be behind."""

    def __init__(self, live: Callable[[], Awaitable[Checkpoint]], ahead: Ahead, services: Collection[str]) -> None:
        """Watch the live generation of a projection that reads `services`."""
        self._live, self._ahead, self._services = live, ahead, services
        self._looked = 0.0
        self._lag = 0
        self._positions: Mapping[str, int] = {}

    async def __call__(self) -> int:
        """Wait while the live projection moves and yet falls behind; return how many events it has not read."""
        if time.monotonic() - self._looked >= self.LOOK:
            rested = 0.0
            behind = await self._falls_behind()
            while behind and rested < self.MOST:
                await asyncio.sleep(self.REST)
                rested += self.REST
                behind = await self._falls_behind()
            self._looked = time.monotonic()  # only now: servers that take long to tell are no reason to ask again
        return self._lag

    async def _falls_behind(self) -> bool:
        before, was = self._lag, self._positions
        heads = await self._ahead.heads(self._services)
        self._positions = (await self._live()).positions
        self._lag = sum(max(0, head - self._positions.get(service, 0)) for service, head in heads.items())
        # One that stands still is paused or stopped: nothing that is left to it would help it.
        return self._lag > max(self.ENOUGH, before) and self._positions != was


def gone(error: Exception) -> bool:
    """Tell a server that is away from a mistake of ours."""
    return isinstance(error, AWAY) and (not isinstance(error, UNREACHABLE) or away(error))


def code_digest(service: str) -> str:
    """Return the SHA-256 of the code that replays a service's projections: contracts, chassis, and the service."""
    digest = hashlib.sha256()
    for package in ("contracts", "chassis", f"services.{service}"):
        [root] = import_module(package).__path__
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
