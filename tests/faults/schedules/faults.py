"""Everything that is broken, and how: each fault breaks something of a system, and mends it before it returns."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from schedules.history import History
from schedules.machines import System

LEADER = "the leader"
"""Stands in a schedule for whichever node leads the stream at that time."""
EVERYTHING = "everything"

type Break = Callable[[System, "Fault"], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One entry of a schedule: what breaks, of what (indices into what the system has), how hard, and a rest after."""

    name: str
    of: tuple[str, ...] = ()
    seconds: float = 0.0
    rest: float = 1.0

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, *self.of, f"{self.seconds:.1f} s" if self.seconds else "")))


async def kill(system: System, fault: Fault) -> None:
    """kill -9, of one or several at once."""
    await system.kill(*[await resolved(system, part) for part in fault.of])


async def pause(system: System, fault: Fault) -> None:
    """SIGSTOP, and SIGCONT."""
    await system.pause(await resolved(system, fault.of[0]), fault.seconds)


async def restart(system: System, fault: Fault) -> None:
    """SIGTERM, and a start."""
    await system.restart(fault.of[0])


async def lose_power(system: System, fault: Fault) -> None:
    """What wasn't synced is gone, and so is every process of that machine."""
    await system.lose_power(fault.of[0])


async def full_disk(system: System, fault: Fault) -> None:
    """Not a byte is left on a disk."""
    disk = system.disks[fault.of[0]]
    try:
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(fault.seconds)
    finally:
        await asyncio.to_thread(disk.spare)


async def slow_disk(system: System, fault: Fault) -> None:
    """A disk that hangs for 0.3 s again and again, and in between works for 0.05 s."""
    disk = system.disks[fault.of[0]]
    until = asyncio.get_running_loop().time() + fault.seconds
    while asyncio.get_running_loop().time() < until:
        try:
            await asyncio.to_thread(disk.freeze)
            await asyncio.sleep(0.3)
        finally:
            await asyncio.to_thread(disk.thaw)
        await asyncio.sleep(0.05)


async def hung_disk(system: System, fault: Fault) -> None:
    """A disk that hangs."""
    disk = system.disks[fault.of[0]]
    try:
        await asyncio.to_thread(disk.freeze)
        await asyncio.sleep(fault.seconds)
    finally:
        await asyncio.to_thread(disk.thaw)


async def clock_ahead(system: System, fault: Fault) -> None:
    """A clock that steps ahead, and back after a while."""
    await _stepped(system, fault, +1)


async def clock_behind(system: System, fault: Fault) -> None:
    """A clock that steps back, and ahead after a while."""
    await _stepped(system, fault, -1)


async def _stepped(system: System, fault: Fault, sign: int) -> None:
    assert system.clocks is not None
    part, step = fault.of
    try:
        system.clocks.step(part, sign * float(step))
        await asyncio.sleep(fault.seconds)
    finally:
        system.clocks.step(part, 0.0)


async def cut(system: System, fault: Fault) -> None:
    """Every connection between a process and a server is reset, and none comes about for a while."""
    for wire in fault.of:
        system.wires[wire].cut()
    await asyncio.sleep(fault.seconds)
    for wire in fault.of:
        system.wires[wire].mend()


async def silence(system: System, fault: Fault) -> None:
    """Nothing gets through between a process and a server for a while, and nobody is told."""
    for wire in fault.of:
        system.wires[wire].hold()
    await asyncio.sleep(fault.seconds)
    for wire in fault.of:
        system.wires[wire].mend()


async def isolate(system: System, fault: Fault) -> None:
    """A node of the NATS cluster hears nothing of the others, while clients still reach it."""
    await system.isolate(await resolved(system, fault.of[0]), fault.seconds)


FAULTS: dict[str, Break] = {
    "kill": kill,
    "pause": pause,
    "restart": restart,
    "lose power": lose_power,
    "full disk": full_disk,
    "slow disk": slow_disk,
    "hung disk": hung_disk,
    "clock ahead": clock_ahead,
    "clock behind": clock_behind,
    "cut": cut,
    "silence": silence,
    "isolate": isolate,
}
CUTS = ("cut", "silence", "isolate")


async def resolved(system: System, part: str) -> str:
    """Return the part that a word of a schedule stands for."""
    return (await system.leader() or system.nodes[0]) if part == LEADER else part


class Schedule:
    """Draws one fault after another, of the kinds that this system and machine can have."""

    def __init__(self, chance: Random, system: System, only: Sequence[str] = ()) -> None:
        """Draw from `chance`; of these kinds `only`, where any are named."""
        self._chance = chance
        self._system = system
        weights = {"kill": 9, "pause": 4, "restart": 2}
        if system.disks:
            weights |= {"lose power": 3, "full disk": 1, "slow disk": 2, "hung disk": 1}
        if system.timed:
            weights |= {"clock ahead": 1, "clock behind": 1}
        if system.wires:
            weights |= {"cut": 4, "silence": 4}
        if system.nodes:
            weights |= {"isolate": 2}
        self._weights = {name: weight for name, weight in weights.items() if not only or name in only}

    @classmethod
    def of(cls, seed: int, system: System, only: Sequence[str] = ()) -> "Schedule":
        """Return the schedule of a seed: as long as one likes, and for one system always the same."""
        return cls(Random(seed), system, only)

    def next(self) -> Fault:
        """Return the next fault."""
        chance = self._chance
        [name] = chance.choices([*self._weights], [*self._weights.values()])
        seconds, of = 0.0, self._of(name)
        match name:
            case "pause":
                seconds = chance.uniform(0.5, 6.0)
            case "full disk" | "slow disk" | "clock ahead" | "clock behind":
                seconds = chance.uniform(2.0, 6.0)
            case "hung disk":
                seconds = chance.uniform(1.0, 4.0)
            case "cut" | "silence" | "isolate":
                seconds = chance.uniform(0.5, 8.0)
        return Fault(name, of, round(seconds, 1), round(chance.uniform(0.2, 2.5), 1))

    def _of(self, name: str) -> tuple[str, ...]:
        chance, system = self._chance, self._system
        nodes = [*system.nodes, LEADER] if system.nodes else []
        match name:
            case "kill":
                # The nodes are three parts of thirteen, and the more interesting ones.
                parts = [*system.parts, *nodes, *(LEADER for _ in nodes)]
                several = min(len(system.parts), chance.choice((1, 1, 1, 1, 2, 2, 3)))
                found = tuple(sorted({chance.choice(parts) for _ in range(several)}))
                return found if LEADER not in found else tuple(p for p in found if p not in system.nodes)
            case "pause":
                return (chance.choice([*system.parts, *nodes]),)
            case "restart":
                return (chance.choice(system.parts),)
            case "lose power":
                return (chance.choice([*system.disks, *([EVERYTHING] if len(system.disks) > 1 else [])]),)
            case "full disk" | "slow disk" | "hung disk":
                return (chance.choice([*system.disks]),)
            case "clock ahead" | "clock behind":
                return (chance.choice(system.timed), str(chance.choice((0.5, 5, 59, 600, 3600, 40_000))))
            case "cut" | "silence":
                return self._wires()
            case "isolate":
                return (chance.choice(nodes),)
        raise AssertionError(name)

    def _wires(self) -> tuple[str, ...]:
        """Return one wire; or all of one process, of one server, or between one process and all of NATS."""
        chance, wires = self._chance, [*self._system.wires]
        wire = chance.choice(wires)
        process, server = wire.split()
        match chance.choice(("one", "process", "server", "nats")):
            case "process":
                return tuple(each for each in wires if each.startswith(f"{process} "))
            case "server":
                return tuple(each for each in wires if each.endswith(f" {server}"))
            case "nats" if self._system.nodes:
                return tuple(f"{process} {node}" for node in self._system.nodes)
        return (wire,)


async def carry_out(fault: Fault, system: System, history: History) -> None:
    """Break it, write it down, mend it."""
    more: dict[str, Any] = {}
    if fault.name == "kill":
        more["kills"] = len(fault.of)
    if fault.name in CUTS:
        more["cuts"] = 1
    history.add("broke", fault=fault.name, about=str(fault), **more)
    await FAULTS[fault.name](system, fault)
    history.add("mended", fault=fault.name, about=str(fault))
