"""Handling a command: load the stream, decide, append; again when somebody else was faster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.definitions import clock
from chassis.definitions.decider import Claim, Command, Decider, Event, Rejection
from chassis.engine.codec import Codec
from chassis.engine.ports import Appended, Commit, EventStore, Key, Outcome, Stream, WrongVersion
from chassis.telemetry import logs, metrics, tracing

ATTEMPTS = 8


class NothingDecided(Exception):
    """The decision made no event: the command asks for what is already so."""


class Stale(Rejection):
    """The stream has moved on since the version named in If-Match."""

    status = 412
    slug = "stale-version"


@dataclass(frozen=True, slots=True)
class Loaded[S]:
    """A stream folded to its state, at a version."""

    state: S
    version: int


@dataclass(frozen=True, slots=True)
class Order[C: Command]:
    """One command on its way: to which stream, on whose behalf, under which conditions.

    `expected` is the version the caller saw (If-Match), or None for whichever is current.
    """

    id: UUID
    command: C
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expected: int | None = None
    key: Key | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


class Handler[C: Command, S, E: Event]:
    """The write side of one kind of stream."""

    def __init__(
        self, store: EventStore, decider: Decider[C, S, E], appended: Callable[[], None] = lambda: None
    ) -> None:
        """Decide with `decider`, append to `store`; `appended`, called after a command's append, wakes the relay."""
        self.store = store
        self.decider = decider
        self.codec = Codec(decider, clock.new_id)
        self._appended = appended

    async def load(self, stream_id: UUID) -> Loaded[S]:
        """Return the state of a stream; the initial one at version 0 when it does not exist."""
        stored = await self.store.load(Stream(self.decider.stream, stream_id))
        return Loaded(self.decider.fold([self.codec.decode(event) for event in stored]), len(stored))

    async def load_many(self, ids: Sequence[UUID]) -> dict[UUID, Loaded[S]]:
        """Return the states of many streams; absent ones at version 0."""
        streams = await self.store.load_many(self.decider.stream, ids)
        empty = Loaded(self.decider.initial, 0)
        return {
            i: Loaded(self.decider.fold([self.codec.decode(e) for e in streams[i]]), len(streams[i]))
            if i in streams
            else empty
            for i in ids
        }

    async def handle(self, order: Order[C]) -> Appended:
        """Carry out one command.

        Raises the decider's Rejection; Stale when `order.expected` is not current; NothingDecided;
        AlreadyClaimed, KeyReused from the store. A repeat of `order.key` gets the first outcome, also when the
        state has moved on since.
        """
        for attempt in range(ATTEMPTS):
            loaded = await self.load(order.id)
            try:
                if order.expected not in (None, loaded.version):
                    raise Stale(f"The stream is at version {loaded.version}, not {order.expected}: read it again.")
                commit = self.decided(order, loaded)
            except (Rejection, NothingDecided):
                # The first time under this key may itself have made what refuses the second.
                first = await self.store.recall(order.key) if order.key else None
                if first is None:
                    raise
                return first
            try:
                with tracing.span("append"):
                    appended = await self.store.append(commit)
            except WrongVersion:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            _tell([commit], [appended])
            self._appended()
            return appended
        raise AssertionError("unreachable")

    async def handle_many(self, orders: Sequence[Order[C]], loaded: Mapping[UUID, Loaded[S]]) -> list[Outcome]:
        """Carry out commands on different streams in one round trip, deciding on states already loaded.

        The relay is not woken: it finds the events by itself, and whoever has many such batches goes on undisturbed.
        """
        return await self.append([self.decided(order, loaded[order.id]) for order in orders])

    async def append(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Append what was decided, in one round trip; each commit succeeds or is refused on its own, in order."""
        with tracing.span("append"):
            outcomes = await self.store.append_many(commits)
        _tell(commits, outcomes)
        return outcomes

    def decided(self, order: Order[C], loaded: Loaded[S]) -> Commit:
        """Return what the command appends, given the state. Raises Rejection, NothingDecided."""
        return self.commit(order, self.decider.decide(order.command, loaded.state), loaded)

    def commit(self, order: Order[C], events: Sequence[E], loaded: Loaded[S]) -> Commit:
        """Return how events are appended that the order was decided to make, given the state. Raises NothingDecided."""
        if not events:
            raise NothingDecided
        before = self.decider.holds(loaded.state)
        after = self.decider.holds(self.decider.fold(events, loaded.state))
        return Commit(
            stream=Stream(self.decider.stream, order.id),
            expected=loaded.version,
            events=[self.codec.encode(event) for event in events],
            metadata=order.metadata,
            take=_sorted(after - before),
            release=_sorted(before - after),
            key=order.key,
            answer=order.answer,
        )


def _tell(commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
    """Count what was appended just now, and say in one line which positions it got, and on whose request."""
    new = [
        (commit, outcome)
        for commit, outcome in zip(commits, outcomes, strict=True)
        if isinstance(outcome, Appended) and not outcome.repeated
    ]
    if not new:
        return
    types: dict[str, int] = {}
    for commit, _ in new:
        for event in commit.events:
            types[event.type] = types.get(event.type, 0) + 1
    for type_, count in types.items():
        metrics.appended.labels(type_).inc(count)
    logs.followed(
        "events.appended",
        (commit.metadata.get("correlation_id", "") for commit, _ in new),
        types=types,
        last=new[-1][1].position,
    )


def _sorted(claims: frozenset[Claim]) -> list[Claim]:
    return sorted(claims, key=lambda claim: (claim.space, claim.key))
