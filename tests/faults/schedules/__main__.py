"""`python -m schedules`: breaks the system by drawn schedules for as long as it is told, and prints figures."""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schedules import clocks, containers, disk, engine
from schedules.checker import added
from schedules.kept import KEPT
from schedules.run import MODES, PROCESSES, run

SLICE = 150.0
"""Seconds of faults in one run: then all of it is judged, and another begins with the next seed."""


def main() -> None:
    """Run until the time is over or something is wrong; exit 1 then."""
    parser = argparse.ArgumentParser(prog="python -m schedules", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("DINKOP_FAULTS_MINUTES", "10")))
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("DINKOP_FAULTS_SEED") or random.randrange(10**6))
    )
    parser.add_argument("--mode", choices=MODES, action="append", help="several in turn; default: those of processes")
    parser.add_argument("--seconds", type=float, help="of faults in one run, and only one run")
    parser.add_argument("--most", type=int, help="faults in one run, and only one run")
    parser.add_argument("--only", action="append", default=[], help="kinds of faults; default: all")
    parser.add_argument("--kept", action="store_true", help="first the seeds that once failed")
    parser.add_argument("--folder", type=Path, help="where histories and logs go")
    given = parser.parse_args()
    given.mode = given.mode or [*PROCESSES]
    if "containers" in given.mode and (why := containers.missing()):
        parser.exit(2, f"there can't be containers here: {why}\n")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}; histories and logs: {folder}", flush=True)
    lacking = [("disks that lose power, hang or are full", disk.missing())]
    if {*given.mode} & {*PROCESSES}:
        lacking.append(("clock steps", clocks.missing()))
    if "containers" in given.mode:
        lacking.append(("cuts between containers", engine.unwired()))
    for what, why in lacking:
        if why:
            print(f"without {what}: {why}", flush=True)
    if disk.missing() is None:
        disk.apart()
    # Asked to stop, it stops what it started first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(asyncio.run(_runs(given, folder)))


async def _runs(given: argparse.Namespace, folder: Path) -> int:
    figures: list[dict[str, Any]] = []
    until = time.monotonic() + given.minutes * 60
    modes = given.mode
    single = given.seconds is not None or given.most is not None
    # Who names a seed wants to see that one again.
    chosen = bool(os.environ.get("DINKOP_FAULTS_SEED"))
    wanted = [kept for kept in KEPT if given.kept and not chosen and kept.mode in modes]
    seed, failed = given.seed, 0
    while wanted or not figures or (not single and time.monotonic() < until):
        if wanted:
            mode, of, seconds, _, only = wanted.pop(0)
        else:
            only = tuple(given.only)
            mode, of = modes[(seed - given.seed) % len(modes)], seed
            seconds = given.seconds or min(SLICE, max(20.0, until - time.monotonic()))
            seed += 1
        named = folder / f"{mode}-{of}"
        begun = time.monotonic()
        print(f"{mode}, seed {of}, {seconds:.0f} s of faults", flush=True)
        verdict = await run(mode, of, seconds, named, most=given.most, only=only)
        figures.append(verdict.figures)
        print(table(verdict.figures), f"  in {time.monotonic() - begun:.0f} s altogether", sep="\n", flush=True)
        if verdict.problems:
            failed += 1
            again = f"DINKOP_FAULTS_SEED={of} make faults MODE={mode}"
            again += f" (of faults {', '.join(only)} only: see --help)" if only else ""
            print(f"\nFAILED: {mode}, seed {of}. {verdict}\nThe same again: {again}\nSee {named}", flush=True)
    if len(figures) > 1:
        print(f"altogether, {len(figures)} runs", table(added(figures)), sep="\n", flush=True)
    return 1 if failed else 0


def table(figures: Mapping[str, Any]) -> str:
    """Return figures, a line each."""
    lines = [f"  {name:28} {value:>10}" for name, value in figures.items() if name != "faults"]
    broken = ", ".join(f"{name} {count}" for name, count in figures.get("faults", {}).items())
    return "\n".join([*lines, f"  faults: {broken}"])


if __name__ == "__main__":
    main()
