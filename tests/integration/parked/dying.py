"""Lives and deaths of a service: each life is a process that projects, until it has done so or the fold ends it.

Run as `python dying.py DATABASE_URL EVENTS DEADLY`; prints how each life ended: done or died, and what it had begun.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]

from projecting import KEYS, MemoryFeed, Planted, message, on_planted, plots

from chassis.definitions import clock
from chassis.definitions.projection import Projection, Received
from chassis.engine.projector import Projector
from chassis.storage import database
from chassis.storage.read_models import ReadModels


def deadly(sequence: int) -> Projection[Any]:
    """Return the plots, by a fold that ends its process at one event."""

    def fold(row: Any, received: Received[Planted]) -> Any:
        if received.sequence == sequence:
            os._exit(9)
        return on_planted(row, received)

    return Projection(name="plots", version=1, table=plots.table, row=plots.row, handlers={Planted: fold})


async def live(url: str, events: int, sequence: int) -> None:
    """Project what there is, in two batches."""
    log = [message(Planted(what=f"{n}."), n, KEYS[n % 3], n) for n in range(1, events + 1)]
    async with database.connect(url, 2) as opened:
        model = ReadModels(opened, clock.new_id()).live(deadly(sequence))
        projector = Projector(deadly(sequence), model, MemoryFeed(log))
        checkpoint = await projector.load()
        for batch in (log[: events // 2], log[events // 2 :]):
            checkpoint = await projector.apply(batch, checkpoint, "log")


def main(url: str, events: int, sequence: int) -> None:
    """Live again and again."""
    for _ in range(20):
        child = os.fork()
        if not child:
            asyncio.run(live(url, events, sequence))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("died" if status else "done", flush=True)
        if not status:
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
