"""Killing a piece of work at every await, one after the other, and finishing it each time."""

import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from awaits import awaits
from forking import Forks, Job, Kill


@dataclass(frozen=True)
class Scenario:
    """One piece of work: what is there before, what must hold between its death and its end, and how it ends.

    `prepare` is called before each child; `between` after a death; `finish` ends the work and checks what came of it.
    With `again`, children also die at points to which they come for the second time.
    """

    work: str
    prepare: Callable[[], Awaitable[None]]
    between: Callable[[], Awaitable[None]]
    finish: Callable[[], Awaitable[None]]
    again: bool = False


@dataclass
class Faults:
    """The fault points of some modules, and those at which a process was killed.

    While it waits, what it asked for may have come about or not: whoever awaits waits together with what it awaits, so
    one kill is for all of them. With `before_too`, it also dies when what it asked before has come about for certain.
    """

    children: Forks
    database_url: str
    nats_url: str
    modules: Sequence[str]
    before_too: bool = True
    killed: list[Kill] = field(default_factory=list)
    _reached: set[Kill] = field(default_factory=set)

    async def kill_at_each(self, scenarios: Sequence[Scenario]) -> None:
        """Kill a process at each moment of the scenarios that no earlier one has come to. Raises AssertionError."""
        failed: list[str] = []
        begun = time.monotonic()
        for scenario in scenarios:
            await scenario.prepare()
            ended, moments = await self.children.run(self._job(scenario))
            assert ended == 0, f"{scenario.work} ended with {ended}"
            await scenario.finish()
            for kill in self._new(moments, scenario.again):
                try:
                    await self._die(scenario, kill)
                except Exception as problem:
                    failed.append(f"{scenario.work}, killed at {kill}: {problem!r}")
        assert not failed, f"{len(failed)} of {len(self.killed)}:\n" + "\n".join(failed)
        print(f"\n{len(self.killed)} processes killed in {time.monotonic() - begun:.0f} s")

    def never_reached(self, excepted: Mapping[str, str]) -> list[str]:
        """Return the awaits to which no process came, but for those of functions that are excepted for a reason."""
        reached = {_place(kill) for kill in self._reached}
        known = {str(at): at.function for name in self.modules for at in awaits(name)}
        assert known.keys() >= reached
        return [at for at, function in known.items() if at not in reached and function not in excepted]

    def _new(self, moments: Sequence[Sequence[Kill]], again: bool) -> Iterator[Kill]:
        waiting = {_place(kill) for moment in moments for kill in moment if not _is_before(kill)}
        for moment in moments:
            new = [
                kill
                for kill in moment
                if kill.time <= 1 + again
                and kill not in self._reached
                and (self.before_too or not _is_before(kill) or _place(kill) not in waiting)
            ]
            self._reached.update(new)
            if new:
                yield new[-1]

    async def _die(self, scenario: Scenario, kill: Kill) -> None:
        # The servers may be quicker than they were, with nothing to wait for: again, and then before it asks at all.
        for each in (kill, kill, _before(kill)):
            await scenario.prepare()
            ended, _ = await self.children.run(self._job(scenario, each))
            if ended != 0:
                break
            await scenario.finish()
        assert ended == -signal.SIGKILL, f"it ended with {ended} instead"
        self.killed.append(each)
        await scenario.between()
        await scenario.finish()

    def _job(self, scenario: Scenario, kill: Kill | None = None) -> Job:
        return Job(scenario.work, self.database_url, self.nats_url, list(self.modules), kill)


def _place(kill: Kill) -> str:
    return kill.point.rpartition(", ")[0]


def _before(kill: Kill) -> Kill:
    return replace(kill, point=f"{_place(kill)}, before")


def _is_before(kill: Kill) -> bool:
    return kill.point.endswith("before")
