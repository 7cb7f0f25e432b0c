"""A rebuild as a process of its own, as `dinkop rebuild` is one: for tests that kill it or measure its memory.

`python rebuilding.py <NATS URL> <database URL> <projection> [<bytes for rows>]` prints what it did as JSON.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from projecting import plots

from chassis.definitions.projection import Projection
from chassis.engine.rebuild import MEMORY, Report
from chassis.replaying import Order, Outcome, accepted, replays
from services.reporting.projections import health_status
from services.reporting.service import service

PROJECTIONS = {projection.name: projection for projection in (plots, health_status.projection)}


async def rebuild_from(
    nats_url: str,
    database_url: str,
    projection: Projection[Any],
    progress: Callable[[Report], None] = lambda report: None,
    memory: int = MEMORY,
    order: Order | None = None,
    gives_way: bool = False,
) -> Outcome:
    """Rebuild a projection in the database at `database_url`, whosever it is, or do as `order` says."""
    owner = replace(service, projections=[projection], consequences={})
    async with replays(owner, database_url, nats_url, memory, gives_way=gives_way) as open_:
        return await open_.carry_out(projection, order or Order(accept=accepted), progress)


def main() -> None:
    """Rebuild, and print the outcome with the seconds of CPU taken and the bytes held at most above idle, when each
    phase was last heard of, and how it was scheduled then."""
    nats_url, database_url, name, *memory = sys.argv[1:]
    idle = psutil.Process().memory_info().rss
    phases: dict[str, float] = {}
    scheduled: dict[str, int] = {}

    def note(report: Report) -> None:
        phases[report.phase] = round(report.seconds, 2)
        scheduled[report.phase] = os.sched_getscheduler(0)

    rows = int(memory[0]) if memory else MEMORY
    outcome = asyncio.run(rebuild_from(nats_url, database_url, PROJECTIONS[name], note, rows, gives_way=True))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    held = _highest() - idle
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps({**outcome.as_json(), "cpu": cpu, "held": held, "phases": phases, "scheduled": scheduled}))


def _highest() -> int:
    """Return the most bytes that were in memory. What getrusage says includes the process that started this one."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
