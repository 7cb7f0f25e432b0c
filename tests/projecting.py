"""A projection over two services, and a log and read model in memory, for tests of the projector."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.parking import receive
from chassis.engine.ports import Checkpoint, GenerationMoved, LogMessage, LogReplaced, Parked, SetAside
from contracts.envelope import Envelope, PublicEvent

KEYS = [UUID(int=number) for number in range(1, 4)]
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Planted(PublicEvent):
    """Something was planted."""

    service: ClassVar[str] = "field"
    what: str


class Harvested(PublicEvent):
    """The plot is empty again."""

    service: ClassVar[str] = "field"


class Rained(PublicEvent):
    """Rain fell on the plot."""

    service: ClassVar[str] = "sky"
    millimetres: int


class Thundered(PublicEvent):
    """Nothing that the projection reads, and yet counted."""

    service: ClassVar[str] = "sky"


class Plot(Row, frozen=True):
    """What each service said of one plot, in its own order."""

    plot: UUID
    crops: str
    rain: list[int]


def on_planted(row: Plot | None, received: Received[Planted]) -> Plot:
    """The order within a service shows in the row."""
    row = row or Plot(received.subject, "", [])
    return msgspec.structs.replace(row, crops=row.crops + received.data.what)


def on_harvested(row: Plot | None, received: Received[Harvested]) -> Plot | None:
    """A plot of which nobody else has said anything disappears with its crops."""
    return msgspec.structs.replace(row, crops="") if row and row.rain else None


def on_rained(row: Plot | None, received: Received[Rained]) -> Plot:
    """The order within a service shows in the row."""
    row = row or Plot(received.subject, "", [])
    return msgspec.structs.replace(row, rain=[*row.rain, received.data.millimetres])


plots: Projection[Plot] = Projection(
    name="plots",
    version=1,
    table=sa.Table(
        "plots",
        sa.MetaData(),
        sa.Column("plot", sa.Uuid, primary_key=True),
        sa.Column("crops", sa.Text, nullable=False, index=True),
        sa.Column("rain", postgresql.JSONB, nullable=False),
    ),
    row=Plot,
    handlers={Planted: on_planted, Harvested: on_harvested, Rained: on_rained},
)


def message(event: PublicEvent, sequence: int, key: UUID, log_sequence: int = 0) -> LogMessage:
    """Return an event as it is read back from the log."""
    envelope = Envelope(
        id=UUID(int=sequence << 64 | hash(event.service) & 0xFFFF),
        service=event.service,
        type=event.type_name(),
        schema_version=1,
        subject=key,
        time=MOMENT + timedelta(seconds=sequence),
        sequence=sequence,
        stream_version=1,
        correlation_id="c",
    )
    return LogMessage(
        log_sequence, event.service, event.type_name(), envelope.headers(), event.model_dump_json().encode()
    )


def naive(messages: Iterable[LogMessage]) -> dict[Hashable, Row]:
    """Return the rows of the naive fold over distinct messages in order."""
    return dict(plots.fold(r for r in (receive(plots, m) for m in messages) if r))


@dataclass
class MemoryReadModel:
    """A live generation in a dictionary (engine.ports.ReadModel)."""

    stored: dict[Hashable, Row] = field(default_factory=dict)
    at: Checkpoint = field(default_factory=Checkpoint)
    is_paused: bool = False
    commits: int = 0
    parked: list[Parked] = field(default_factory=list)
    attempts: int = 0

    async def checkpoint(self) -> Checkpoint:
        return self.at

    async def set_aside(self) -> SetAside:
        aside = SetAside()
        for event in self.parked:
            aside.waiting.add(event)
        return aside

    async def stands_at(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.positions == self.at.positions

    async def paused(self) -> bool:
        return self.is_paused

    async def begin(self, before: Checkpoint) -> int:
        self.attempts += 1
        return self.attempts

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        return {key: self.stored[key] for key in keys if key in self.stored}

    async def write(
        self,
        before: Checkpoint,
        after: Checkpoint,
        rows: Mapping[Hashable, Row | None],
        parked: Sequence[Parked] = (),
        attempts: int = 0,
    ) -> None:
        if self.is_paused or dict(before.positions) != dict(self.at.positions):
            raise GenerationMoved
        replaced = {**self.stored, **rows}
        self.stored, self.at = {key: row for key, row in replaced.items() if row is not None}, after
        self.parked += parked
        self.attempts = attempts
        self.commits += 1


@dataclass
class MemoryFeed:
    """A log in a list (engine.ports.Feed), which a test may replace or cut short."""

    messages: list[LogMessage] = field(default_factory=list)
    incarnation: str = "first"
    batch: int = 3
    followed_from: list[int] = field(default_factory=list)

    def add(self, event: PublicEvent, sequence: int, key: UUID = KEYS[0]) -> None:
        """Publish."""
        self.messages.append(message(event, sequence, key, len(self.messages) + 1))

    async def identity(self) -> str:
        return self.incarnation

    async def head(self) -> int:
        return len(self.messages)

    async def follow(self, services: Collection[str], after: int) -> AsyncGenerator[list[LogMessage]]:
        self.followed_from.append(after)
        incarnation = self.incarnation
        while True:
            if incarnation != self.incarnation or after > len(self.messages):
                raise LogReplaced
            batch = self.messages[after : after + self.batch]
            after += len(batch)
            yield [m for m in batch if m.service in services]
            await asyncio.sleep(0 if batch else 0.01)
