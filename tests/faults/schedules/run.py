"""One run: a system, clients, a schedule of faults for so long; then rest, and a verdict."""

import asyncio
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ports import free_ports

from schedules import audit
from schedules.checker import Verdict, examine
from schedules.clients import Clients
from schedules.containers import Containers
from schedules.faults import Schedule, carry_out
from schedules.history import History
from schedules.machines import OneMachine, Servers, System, running

PROCESSES = ("one", "servers")
MODES = (*PROCESSES, "containers")
WARM = 20
"""Commands acknowledged before the first fault."""
ANSWERED = 120.0
"""Seconds within which every command must be answered once nothing breaks any more."""


async def run(
    mode: str, seed: int, seconds: float, folder: Path, *, most: int | None = None, only: Sequence[str] = ()
) -> Verdict:
    """Break a system of a `mode` by the schedule of a seed, and judge it; `most` bounds the number of faults.

    What happened stands in `folder`: history.jsonl, verdict.json, and the logs of every part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = _place(folder)
    history = History(folder / "history.jsonl")
    verdict = Verdict()
    try:
        system = _system(mode, place)
        async with running(system, folder):
            await _worked(system, history, seed, seconds, most, only)
            history.add("rests")
            await audit.at_rest(system)
            stores, stream = await asyncio.gather(audit.stored(system), audit.published(system))
            verdict = examine(history.lines, stores, stream)
            await audit.compare(system, stream, verdict)
            await audit.proven(system, verdict)
            verdict.figures["events"] = len(stores)
    except Exception as failed:
        verdict.add("came to no rest", _told(failed))
        unjudged = {"lost": "unknown", "doubled": "unknown"}
        verdict.figures = verdict.figures or examine(history.lines, (), ()).figures | unjudged
    finally:
        history.close()
        shutil.rmtree(place, ignore_errors=True)
    verdict.figures["other problems"] = sum(kind not in ("lost", "doubled") for kind, _ in verdict.problems)
    told = {"mode": mode, "seed": seed, "figures": verdict.figures, "problems": verdict.problems}
    (folder / "verdict.json").write_text(json.dumps(told, indent=1))
    return verdict


def _system(mode: str, place: Path) -> System:
    match mode:
        case "one":
            return OneMachine(place, free_ports(7)[0])
        case "servers":
            return Servers(place)
        case "containers":
            return Containers(place)
    raise AssertionError(mode)


async def _worked(
    system: System, history: History, seed: int, seconds: float, most: int | None, only: Sequence[str]
) -> None:
    schedule = Schedule.of(seed, system, only)
    async with asyncio.timeout(None) as deadline, Clients(system.urls, system.token(), history, seed).working() as told:
        while told.acknowledged < WARM:
            await asyncio.sleep(0.05)
        until, done = time.monotonic() + seconds, 0
        while time.monotonic() < until and (most is None or done < most):
            fault = schedule.next()
            await carry_out(fault, system, history)
            await asyncio.sleep(fault.rest)
            done += 1
        deadline.reschedule(asyncio.get_running_loop().time() + ANSWERED)


def _told(failed: BaseException) -> str:
    if isinstance(failed, BaseExceptionGroup):
        return "; ".join(_told(each) for each in failed.exceptions)
    return f"{type(failed).__name__}: {failed}"


def _place(folder: Path) -> Path:
    """Return a new short folder on a path that every account may pass: sockets' names are limited."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="df-"))
    place.chmod(0o755)
    with suppress(OSError):
        (folder / "place").write_text(str(place))
    return place.resolve()
