"""Carrying out an import: many commands in few round trips, each row whole or refused, progress to be seen."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse

from chassis.definitions.cells import RowProblem
from chassis.definitions.decider import Command, Event, Missing, Rejection
from chassis.engine.handling import Handler, Loaded, NothingDecided, Order
from chassis.engine.ports import AlreadyClaimed, Appended, Commit, WrongVersion
from chassis.http.accept import preferred
from chassis.http.annotated import annotated
from chassis.http.calls import Body, Call
from chassis.http.uploads import Table

BATCH = 250
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}
}
"""For the declaration of an import's route: what it answers besides its JSON report."""


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


@dataclass(frozen=True, slots=True)
class Step[C: Command]:
    """What one row does: its command, and the events that it was decided to make of the stream as it was loaded."""

    row: int
    stream_id: UUID
    command: C
    events: Sequence[Event]


async def carry_out[C: Command](
    call: Call,
    handler: Handler[C, Any, Any],
    loaded: Mapping[UUID, Loaded[Any]],
    steps: Iterable[Step[C]],
    rows: int,
    progress: Progress,
    *,
    dry_run: bool,
) -> dict[int, str]:
    """Carry out one command a row; return the rows refused, with the reason. A dry run only has the steps decided.

    A row is one commit: whole or not at all. What a crash leaves undone, the same file does when it is
    imported again. `loaded` are the streams' states that the steps are decided on; a stream not in it is new. A step
    whose stream has moved on since is decided again. `rows` is how many rows the import has.
    """
    refused: dict[int, str] = {}
    if dry_run:
        deque(steps, maxlen=0)
        return refused
    given = await call.key()
    key = given.key if given else None
    metadata, new = call.metadata, Loaded(handler.decider.initial, 0)

    async def append(batch: Sequence[tuple[int, Order[C]]], commits: Sequence[Commit]) -> None:
        outcomes = await handler.append(commits)
        for (row, order), outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Appended) and (problem := await _again(handler, order)):
                refused[row] = problem

    call.runtime.hold()
    # While a batch is appended the next one is decided; never two at once, for events keep the order of the rows.
    appending: asyncio.Task[None] | None = None
    try:
        for number, taken in enumerate(batched(steps, BATCH)):
            batch = [(step.row, Order(step.stream_id, step.command, metadata)) for step in taken]
            commits = [
                handler.commit(order, step.events, loaded.get(order.id, new))
                for step, (_, order) in zip(taken, batch, strict=True)
            ]
            if appending:
                await appending
            progress.note(key, rows, number * BATCH)
            appending = asyncio.create_task(append(batch, commits))
            await asyncio.sleep(0)  # let it begin, and other requests have their turn
    finally:
        if appending:
            await appending
    call.runtime.wake()
    progress.note(key, rows, rows)
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


# ---------------------------------------------------------------- the answer


async def _prefers_workbook(request: Request) -> bool:
    return prefers_workbook(request.headers.get("accept", ""))


AsWorkbook = Annotated[bool, Depends(_prefers_workbook)]
"""Whether the caller asked for the upload annotated (`Accept`) rather than for the report in JSON."""


def prefers_workbook(accept: str) -> bool:
    """Tell whether a workbook is asked for, and not less than JSON."""
    return preferred(accept, {"json": "application/json", "xlsx": XLSX}) == "xlsx"


async def answer_import(
    call: Call, table: Table, report: Mapping[str, Any], outcomes: Mapping[int, str], *, as_workbook: bool
) -> Response:
    """Answer with the report, or with the upload annotated, and keep both for repeats of the idempotency key.

    `report` has `rejections` and `warnings` as `notes` makes them; `outcomes` are those of the accepted rows that
    changed something, by the spreadsheet's row.
    """
    answer: Mapping[str, Any] = {
        "body": report,
        "headers": {"Dinkop-Position": f"{call.runtime.service}:{await call.runtime.store.head()}"},
        "outcomes": {str(row): outcome for row, outcome in outcomes.items()},
    }
    if key := await call.key():
        await call.runtime.store.remember(key, answer)
    # What is kept, so that a repeat is the same to the byte, also one that was faster than this.
    return await first_import_answer(call, table, as_workbook=as_workbook) or await _answered(
        table, answer, as_workbook=as_workbook
    )


async def first_import_answer(call: Call, table: Table, *, as_workbook: bool) -> Response | None:
    """Return the first answer when this import repeats an idempotency key, in the form asked for now."""
    key = await call.key()
    first = await call.runtime.store.recall(key) if key else None
    return await _answered(table, first.answer, as_workbook=as_workbook) if first else None


async def _answered(table: Table, answer: Mapping[str, Any], *, as_workbook: bool) -> Response:
    report, headers = answer["body"], answer["headers"]
    if not as_workbook:
        return JSONResponse(report, headers=headers)
    outcomes = {int(row): outcome for row, outcome in answer.get("outcomes", {}).items()}
    content = await asyncio.to_thread(annotated, table, outcomes, report["rejections"], report["warnings"])
    disposition = {"Content-Disposition": 'attachment; filename="import.xlsx"'}
    return Response(content, headers={**headers, **disposition}, media_type=XLSX)
