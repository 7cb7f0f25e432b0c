"""One service as its operator meets it: where everything stands, by samples it takes itself; pause and resume."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from chassis.definitions import clock
from chassis.definitions.decider import Missing
from chassis.definitions.projection import Projection
from chassis.engine.cancelling import heed_cancellation
from chassis.engine.gate import Gate
from chassis.engine.lag import History, Sample
from chassis.engine.projector import Projector
from chassis.engine.relay import Relay
from chassis.messaging.ahead import Ahead
from chassis.operations.children import Children
from chassis.operations.state import (
    OtherGeneration,
    ProjectionState,
    ReconciledState,
    RelayState,
    ServiceState,
    StoreState,
    WritesState,
)
from chassis.storage import standing
from chassis.storage.controls import Controls, Pause
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.read_models import Generation, ReadModels
from chassis.storage.rebuilds import Rebuilds, Record
from chassis.storage.reconciliations import Reconciliations

log = structlog.get_logger()

SAMPLE = 5.0
"""Seconds between two samples."""
PATIENCE = 4.0
"""Seconds that taking one may last."""
_FED = ("live", "previous")
"""Which generations are kept up to date: of another one, lag says nothing."""


class NoSuchProjection(Missing):
    """This service has no projection of that name."""

    slug = "no-such-projection"


class NoSuchRebuild(Missing):
    """Nothing was rebuilt or checked under this id."""

    slug = "no-such-rebuild"


class Work(Protocol):
    """The background work of a service, as far as it is looked at here."""

    leading: bool
    error: str | None
    relay: Relay | None
    ahead: Ahead | None
    projectors: dict[str, Projector[Any]]


@dataclass
class Operations:
    """What an operator sees of one service, and does to it.

    `seen` is what the last sample saw, None when it could not be taken; `running` are the rebuilds of that moment.
    """

    service: str
    projections: Sequence[Projection[Any]]
    database: Database
    gate: Gate
    work: Callable[[], Work]
    children: Children
    seen: ServiceState | None = None
    running: Sequence[Record] = ()
    _histories: dict[str, History] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open what is looked at."""
        self.rebuilds = Rebuilds(self.database.pool)
        self._store = PostgresEventStore(self.database.pool)
        self._read_models = ReadModels(self.database)
        self._controls = Controls(self.database.pool)
        self._reconciliations = Reconciliations(self.database.pool)

    # ------------------------------------------------------------ looking

    async def watch(self) -> None:
        """Take a sample every few seconds until cancelled: trends and metrics come from them, not from any request."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.sample()
            except Exception as failed:
                heed_cancellation(failed)
                # A server that is away is waited out; those who need it tell.
                self.seen, self.running = None, ()
                log.debug("operations.unseen", reason=repr(failed))
            await asyncio.sleep(SAMPLE)

    async def sample(self) -> None:
        """Look once, and keep what was seen."""
        self.running = [record for record in await self.record() if record.state == "running"]
        self.seen = await self.status()
        if not self.seen.leading:
            self._histories.clear()
        for item in self.seen.items:
            if sample := _sample(item):
                self._histories.setdefault(item.name, History()).add(sample)

    async def status(self) -> ServiceState:
        """Return where everything stands at this moment."""
        work = self.work()
        relay = work.relay if work.leading else None
        position = await self._store.head()
        return ServiceState(
            service=self.service,
            leading=work.leading,
            store=StoreState(position=position),
            relay=RelayState(
                published=relay.status.published if relay else None,
                backlog=max(0, position - relay.status.published) if relay else None,
                last_error=relay.status.error if relay else work.error,
            ),
            parked_reactions={
                consumer: count
                for (consumer, generation), count in (await standing.parked(self.database.pool)).items()
                if generation is None
            },
            writes=WritesState(accepted=self.gate.refusal is None, reason=self.gate.refusal),
            reconciled=await self._reconciled(),
            items=await self.generations(),
            next_cursor=None,
        )

    async def _reconciled(self) -> ReconciledState | None:
        last = await self._reconciliations.last()
        if last is None:
            return None
        age = (clock.now() - last.at).total_seconds()
        return ReconciledState(at=last.at, age_seconds=max(0.0, age), position=last.position, fine=last.fine)

    async def generations(self) -> list[ProjectionState]:
        """Return the state of every generation of every projection."""
        work = self.work()
        projections = {projection.name: projection for projection in self.projections}
        # What is left of a projection that the code has no more is fed by nobody, and compared with nothing.
        found = [each for each in await self._read_models.list() if each.projection in projections]
        heads = await self._heads(work)
        pauses = await self._controls.paused()
        parked = await standing.parked(self.database.pool)
        states = []
        for generation in found:
            projection = projections[generation.projection]
            others = [each for each in found if each.projection == projection.name and each.status != "live"]
            state = await self._state(generation, projection, heads, pauses.get(projection.name), work)
            known: dict[str, Any] = {"parked": parked.get((projection.name, generation.generation), 0)}
            if state.live:
                known |= {"others": _told(others), **self._judged(state)}
            states.append(state.model_copy(update=known))
        return states

    async def projection(self, name: str) -> ProjectionState:
        """Return the state of a projection's live generation. Raises NoSuchProjection."""
        full = f"{self.service}.{self.named(name).name}"
        for state in await self.generations():
            if state.name == full and state.live:
                return state
        raise NoSuchProjection(f"{full} has no live generation yet.")

    async def _state(
        self,
        generation: Generation,
        projection: Projection[Any],
        heads: Mapping[str, int],
        pause: Pause | None,
        work: Work,
    ) -> ProjectionState:
        positions = generation.checkpoint.positions
        ahead = {name: heads[name] for name in sorted(projection.services) if name in heads}
        left = {name: at - positions.get(name, 0) for name, at in ahead.items() if at > positions.get(name, 0)}
        known = bool(ahead) and generation.status in _FED
        projector = work.projectors.get(projection.name) if work.leading and generation.status == "live" else None
        return ProjectionState(
            name=f"{self.service}.{projection.name}",
            version=generation.version,
            code_version=projection.version,
            generation=generation.generation,
            status=generation.status,
            positions=dict(positions),
            head=ahead,
            lag_events=sum(left.values()) if known else None,
            lag_seconds=await _age_of_next(work, generation, left) if known else None,
            paused=pause is not None,
            paused_by=pause.by if pause else None,
            paused_since=pause.since if pause else None,
            last_error=(projector.status.error if projector else None) or _beyond(positions, ahead),
            made_at=generation.made_at,
            moved_at=generation.moved_at,
        )

    def _judged(self, state: ProjectionState) -> dict[str, Any]:
        now = _sample(state)
        if now is None:
            return {}
        history = self._histories.get(state.name, History())
        return {"trend": history.trend(now), "stalled": history.stalled(now)}

    async def _heads(self, work: Work) -> Mapping[str, int]:
        if not work.leading or work.ahead is None:
            return {}
        try:
            return await work.ahead.heads(sorted({name for each in self.projections for name in each.services}))
        except Exception:
            # The stream is unreachable: the relay's own error says so.
            return {}

    async def record(self, projection: str | None = None, limit: int = 50, before: UUID | None = None) -> list[Record]:
        """Return the latest replays, of one projection or of all, latest first."""
        at_work = await standing.worked_on(self.database.pool)
        return [_present(each, at_work) for each in await self.rebuilds.list(projection, limit, before)]

    async def rebuild(self, id_: UUID) -> Record:
        """Return one replay. Raises NoSuchRebuild."""
        found = await self.rebuilds.get(id_)
        if found is None:
            raise NoSuchRebuild
        return _present(found, await standing.worked_on(self.database.pool))

    # ------------------------------------------------------------ doing

    def named(self, name: str) -> Projection[Any]:
        """Return the projection that a name means, short or with the service's. Raises NoSuchProjection."""
        for projection in self.projections:
            if name in (projection.name, f"{self.service}.{projection.name}"):
                return projection
        there = ", ".join(sorted(projection.name for projection in self.projections))
        raise NoSuchProjection(f"{self.service} has no projection {name!r}. There are: {there}.")

    async def pause(self, name: str, actor: str) -> bool:
        """Pause a projection; False when it was paused already. Raises NoSuchProjection."""
        return await self._controls.pause(self.named(name).name, actor)

    async def resume(self, name: str, actor: str) -> bool:
        """Let a projection go on; False when it was not paused. Raises NoSuchProjection."""
        return await self._controls.resume(self.named(name).name, actor)


def _present(record: Record, at_work: Collection[str]) -> Record:
    """Return a record as it is now: what was killed could not say so."""
    if record.state == "running" and record.projection not in at_work:
        return msgspec.structs.replace(record, state="interrupted")
    return record


def _beyond(positions: Mapping[str, int], heads: Mapping[str, int]) -> str | None:
    """Say that a projection has read more than the stream holds, if it has.

    For a while that is so when a lost stream is published anew. If it stays, a store was put back to an older state,
    and events that get those numbers later would be taken for those that were read.
    """
    for service, head in heads.items():
        if positions.get(service, 0) > head:
            return (
                f"has read {service} events up to {positions[service]}, and the stream ends at {head}: if that stays"
                " so, a store was put back without the rest; see `dinkop reconcile`, and restore all of one backup"
            )
    return None


def _told(others: Sequence[Generation]) -> list[OtherGeneration]:
    return [
        OtherGeneration(generation=each.generation, version=each.version, status=each.status, made_at=each.made_at)
        for each in others
    ]


def _sample(state: ProjectionState) -> Sample | None:
    if not state.live or state.lag_events is None:
        return None
    return Sample(time.monotonic(), state.generation, state.positions, state.lag_events, state.paused)


async def _age_of_next(work: Work, generation: Generation, left: Mapping[str, int]) -> float | None:
    """Return the age of the first event that a generation has not applied; 0 without one, None where it can't be told.

    Not that of the last one applied: who has applied nothing since a quiet weekend is not two days behind.
    """
    if not left:
        return 0.0
    checkpoint = generation.checkpoint
    assert work.ahead is not None
    try:
        moments = [
            await work.ahead.waiting_since(name, checkpoint.positions.get(name, 0), checkpoint.log_sequence)
            for name in left
        ]
    except Exception:
        return None
    known = [moment for moment in moments if moment]
    return max(0.0, (clock.now() - min(known)).total_seconds()) if known else None
