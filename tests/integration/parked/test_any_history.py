"""Whatever happens in whatever order: the rows are the naive fold of everything but what is parked or discarded."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from behind import Behind
from conftest import Farm
from hypothesis import given, settings
from hypothesis import strategies as st
from poisoned import Mistakes, naive, number
from projecting import KEYS, Harvested, Planted, Plot, Rained, Thundered

from chassis.definitions.projection import Projection
from chassis.engine.parking import receive
from chassis.engine.ports import Checkpoint, GenerationMoved
from chassis.engine.projector import Projector
from chassis.storage import database

kinds = st.sampled_from([Planted, Planted, Planted, Rained, Harvested, Thundered])
fates = st.sampled_from(["fine", "fine", "fine", "broken", "garbled", "unstorable"])
publishing = st.tuples(st.just("publish"), kinds, st.integers(0, 2), fates)
projecting = st.tuples(st.just("project"), st.integers(0, 1), st.integers(1, 6), st.integers(0, 3))
operating = st.one_of(
    st.tuples(st.sampled_from(["retry", "discard", "mend"]), st.integers(0, 9)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
)
histories = st.lists(st.one_of(publishing, publishing, projecting, projecting, operating), min_size=20, max_size=50)


def paired(received: Any) -> Hashable:
    """File two plots under one key, so that a key is more than a subject."""
    return KEYS[0] if received.subject in KEYS[:2] else received.subject


@dataclass
class History:
    """A farm with two projectors, of which each stands wherever it was left."""

    farm: Farm
    given_up: set[tuple[str, int]] = field(default_factory=set)
    projectors: list[Projector[Any]] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    async def begin(self) -> None:
        """Start both projectors."""
        self.projectors = [self.farm.projector() for _ in range(2)]
        self.checkpoints = [await projector.load() for projector in self.projectors]

    async def publish(self, kind: Any, key: int, fate: str) -> None:
        """Publish one event; each is told from all others by its data."""
        count = len(self.farm.log) + 1
        if kind is Planted:
            event = Planted(what=f"{count}\0" if fate == "unstorable" else f"{count}.")
        else:
            event = kind(millimetres=count) if kind is Rained else kind()
        telling = kind in (Planted, Rained)  # whether its data is its own
        self.farm.publish(event, key, broken=fate == "broken", garbled=fate == "garbled" and telling)

    async def project(self, which: int, size: int, back: int) -> None:
        """Let a projector apply the next batch, beginning with some that it knows already."""
        known = sum(self.checkpoints[which].positions.values())
        batch = self.farm.log[max(0, known - back) : known + size]
        if not batch:
            return
        try:
            self.checkpoints[which] = await self.projectors[which].apply(batch, self.checkpoints[which], "log")
        except GenerationMoved:
            self.checkpoints[which] = await self.projectors[which].load()

    async def restart(self, which: int) -> None:
        """End a projector's process, and start another."""
        self.projectors[which] = self.farm.projector()
        self.checkpoints[which] = await self.projectors[which].load()

    async def mend(self, which: int) -> None:
        """Mend one mistake of the code."""
        mistakes = self.farm.mistakes
        for wrong in (mistakes.unfoldable, mistakes.undecodable):
            for each in sorted(wrong)[which : which + 1]:
                wrong.discard(each)  # type: ignore[attr-defined]

    async def retry(self, which: int) -> None:
        """Try one that is parked again."""
        if parked := await self.farm.aside():
            await self.farm.queues.retry(parked[which % len(parked)].id)

    async def discard(self, which: int) -> None:
        """Give one that is parked up."""
        if parked := await self.farm.aside():
            event = parked[which % len(parked)]
            await self.farm.queues.discard(event.id, "siti", "no")
            self.given_up.add((event.parked.message.service, event.parked.sequence))

    async def check(self) -> None:
        """Compare with the naive fold; and nothing of a key was applied after something of it that is parked."""
        farm, projection = self.farm, self.farm.projection
        positions = await farm.models.positions(projection)
        met = [each for each in farm.log if number(each)[1] <= positions.get(each.service, 0)]
        parked = {(each.parked.message.service, each.parked.sequence) for each in await farm.aside()}
        applied = [each for each in met if number(each) not in parked | self.given_up]
        assert await farm.rows() == naive(projection, applied)
        waiting: set[Hashable] = set()
        for each in met:
            received = receive(self._sound, each)
            if received is not None and number(each) not in self.given_up:
                key = projection.key(received)
                assert number(each) in parked or key not in waiting
                waiting |= {key} if number(each) in parked else set()

    @property
    def _sound(self) -> Projection[Plot]:
        return Mistakes().projection(self.farm.key)

    async def end(self) -> None:
        """Mend everything, and let everything be applied but what no table could hold."""
        self.farm.mistakes.mend()
        await self.restart(0)
        await self.project(0, len(self.farm.log), 0)
        for _ in range(3 * len(self.farm.log)):
            first, *_ = [*await self.farm.aside(), None]
            if first is None:
                break
            assert first.is_poison
            released = await self.farm.queues.retry(first.id)
            if released.failed and released.failed.sequence == first.parked.sequence and not released.applied:
                assert released.failed.failure
                assert "RowRefused" in released.failed.failure.exception
                await self.discard(0)
        assert await self.farm.aside() == []


def test_any_history_gives_the_naive_fold(database_url: str, behind: Behind) -> None:
    @settings(max_examples=12, deadline=None)
    @given(histories, st.booleans())
    def run(history: list[tuple[Any, ...]], shared: bool) -> None:
        asyncio.run(_happens(database_url, behind, history, shared=shared))

    run()


async def _happens(database_url: str, behind: Behind, steps: list[tuple[Any, ...]], *, shared: bool) -> None:
    async with database.connect(database_url, 4) as opened:
        await behind("TRUNCATE generations, parked, discarded; DROP SCHEMA IF EXISTS plots_g1 CASCADE")
        history = History(Farm(opened, key=paired if shared else None))
        await history.begin()
        for step, *details in steps:
            if shared and "garbled" in details:
                continue  # of one that can't be decoded only the subject waits, so its key's order is lost
            await getattr(history, step)(*details)
            if step not in ("publish", "project"):
                await history.check()
        await history.check()
        await history.end()
        await history.check()
