"""A rebuild as a process of its own, as `dinkop rebuild` is one: for tests that kill it or measure its memory.

`python rebuilding.py <NATS URL> <database URL> <projection> [<bytes for rows>]` prints what it did as JSON.
"""

import asyncio
import json
import resource
import sys
from dataclasses import asdict

import psutil
from projecting import plots

from chassis.engine.rebuild import MEMORY, Report
from dinkop.replays import rebuild_from
from services.reporting.projections import health_status

PROJECTIONS = {projection.name: projection for projection in (plots, health_status.projection)}


def main() -> None:
    """Rebuild, and print the report with the seconds of CPU taken and the bytes held at most above idle,
    and when each phase was last heard of."""
    nats_url, database_url, name, *memory = sys.argv[1:]
    idle = psutil.Process().memory_info().rss
    phases: dict[str, float] = {}

    def note(report: Report) -> None:
        phases[report.phase] = round(report.seconds, 2)

    report = asyncio.run(
        rebuild_from(nats_url, database_url, PROJECTIONS[name], note, int(memory[0]) if memory else MEMORY)
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    held = usage.ru_maxrss * 1024 - idle
    print(json.dumps({**asdict(report), "cpu": usage.ru_utime + usage.ru_stime, "held": held, "phases": phases}))


if __name__ == "__main__":
    main()
