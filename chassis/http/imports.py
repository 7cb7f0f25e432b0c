"""Carrying out an import: many commands in few round trips, each row whole or refused, progress to be seen."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.definitions.cells import RowProblem
from chassis.definitions.decider import Command, Missing, Rejection
from chassis.engine.handling import Handler, Loaded, NothingDecided, Order
from chassis.engine.ports import AlreadyClaimed, Appended, WrongVersion
from chassis.http.calls import Body, Call

BATCH = 250


class RowNote(Body):
    """What is wrong with a row; `row` is the spreadsheet's, the header being 1."""

    row: int
    column: str
    value: str | None
    problem: str


def notes(problems: Iterable[RowProblem]) -> list[dict[str, Any]]:
    """Return what is wrong with which rows, in the order of the rows, as an answer."""
    return [
        {"row": problem.row, "column": problem.column, "value": problem.value, "problem": problem.problem}
        for problem in sorted(problems, key=lambda problem: problem.row)
    ]


class RunningImport(Body):
    """How far an import is."""

    rows: int
    done: int


class NoSuchImport(Missing):
    """No import runs here under this key."""


@dataclass
class Progress:
    """How far the imports that run in this process are, by idempotency key."""

    _imports: dict[str, RunningImport] = field(default_factory=dict)

    def of(self, key: str) -> RunningImport:
        """Return how far the import under this key is. Raises NoSuchImport."""
        if key not in self._imports:
            raise NoSuchImport
        return self._imports[key]

    def note(self, key: str | None, rows: int, done: int) -> None:
        """Keep how many rows are done; a finished import is forgotten."""
        if key is None:
            return
        if done >= rows:
            self._imports.pop(key, None)
        else:
            self._imports[key] = RunningImport(rows=rows, done=done)


async def carry_out[C: Command](
    call: Call,
    handler: Handler[C, Any, Any],
    loaded: Mapping[UUID, Loaded[Any]],
    steps: Sequence[tuple[int, UUID, C]],
    progress: Progress,
) -> dict[int, str]:
    """Carry out one command a row; return the rows refused, with the reason.

    A row is one commit: whole or not at all. What a crash leaves undone, the same file does when it is
    imported again. `loaded` are the streams' states; a stream not in it is new.
    """
    refused: dict[int, str] = {}
    given = await call.key()
    key = given.key if given else None
    new = Loaded(handler.decider.initial, 0)
    for start in range(0, len(steps), BATCH):
        batch = steps[start : start + BATCH]
        progress.note(key, len(steps), start)
        orders = [Order(stream_id, command, call.metadata) for _, stream_id, command in batch]
        outcomes = await handler.handle_many(orders, {order.id: loaded.get(order.id, new) for order in orders})
        for (row, _, _), order, outcome in zip(batch, orders, outcomes, strict=True):
            if not isinstance(outcome, Appended):
                problem = await _again(handler, order)
                if problem:
                    refused[row] = problem
        await asyncio.sleep(0)  # let other requests have their turn
    progress.note(key, len(steps), len(steps))
    return refused


async def _again[C: Command](handler: Handler[C, Any, Any], order: Order[C]) -> str | None:
    """Decide once more on the present state: somebody changed it since the plan was made."""
    try:
        await handler.handle(order)
    except NothingDecided:
        return None
    except Rejection as rejection:
        return rejection.detail
    except (AlreadyClaimed, WrongVersion) as refused:
        return str(refused)
    return None
