"""Processes that do one piece of work each and may be told where to die; forked from one that has everything imported.

`python forking.py` takes jobs on stdin, a JSON line each, and answers how each ended.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from awaits import Point, Points, points, watch

LONGEST = 60
"""Seconds after which a child is stuck."""


@dataclass(frozen=True)
class Kill:
    """Where a child dies: at a point, as Point prints it, when it comes there for the n-th time."""

    point: str
    time: int = 1

    def __str__(self) -> str:
        return self.point if self.time == 1 else f"{self.point}, time {self.time}"


@dataclass(frozen=True)
class Job:
    """Work by its name in `jobs`, on these servers; the awaits of `modules` are watched."""

    work: str
    database_url: str
    nats_url: str
    modules: list[str]
    kill: Kill | None = None


class Forks:
    """The process that forks, as a test talks to it."""

    def __init__(self, server: "subprocess.Popen[str]", report: Path) -> None:
        self._server, self._report = server, report

    async def run(self, job: Job) -> tuple[int, list[list[Kill]]]:
        """Have a job done; return the exit code, and the moments at which the child could have died, in order.

        Of one that was killed there are none.
        """
        self._report.unlink(missing_ok=True)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(asdict(job) | {"report": str(self._report)}), file=self._server.stdin, flush=True)
        answer = await asyncio.to_thread(self._server.stdout.readline)
        told: dict[str, Any] = json.loads(self._report.read_text()) if self._report.exists() else {}
        assert "error" not in told, f"{job.work} failed:\n{told['error']}"
        return int(answer), [[Kill(*each) for each in moment] for moment in told.get("moments", [])]


@contextmanager
def forks() -> Iterator[Forks]:
    """Start the process that forks; it ends with whoever started it."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        words = [sys.executable, str(Path(__file__))]
        server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}
        )
        with server:
            yield Forks(server, Path(folder) / "report.json")
            assert server.stdin is not None
            server.stdin.close()


def main() -> None:
    """Fork for each job, one at a time."""
    import_module("jobs")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # children log there
    for line in sys.stdin:
        job = json.loads(line)
        watched = _watched(*job["modules"])  # here and once: a child that looks at every object copies all memory
        child = os.fork()
        if child == 0:
            os._exit(_do(job, watched))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


@cache
def _watched(*modules: str) -> Points:
    return points(modules)


def _do(job: dict[str, Any], watched: Points) -> int:
    gc.disable()
    signal.alarm(LONGEST)
    times: dict[Point, int] = {}
    moments: list[tuple[str, list[tuple[str, int]]]] = []
    kill = Kill(**job["kill"]) if job["kill"] else None

    def come(point: Point) -> None:
        times[point] = times.get(point, 0) + 1
        if kill is not None:
            if times[point] == kill.time and str(point) == kill.point:
                os.kill(os.getpid(), signal.SIGKILL)
        elif moments and moments[-1][0] == point.moment:
            # Nothing was sent or answered in between: whoever awaits waits together with what it awaits.
            moments[-1][1].append((str(point), times[point]))
        else:
            moments.append((point.moment, [(str(point), times[point])]))

    told: dict[str, Any]
    try:
        watch(watched, come)
        jobs = import_module("jobs")
        jobs.in_small_pieces()
        asyncio.run(jobs.JOBS[job["work"]](job["database_url"], job["nats_url"]))
        told = {"moments": [points for _, points in moments]}
    except BaseException:
        told = {"error": traceback.format_exc()}
    Path(job["report"]).write_text(json.dumps(told))
    return 0


if __name__ == "__main__":
    main()
