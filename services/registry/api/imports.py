"""Importing lists: the Ministry's export, and the office's performance sheet."""

import asyncio
from collections import Counter
from typing import Annotated

from fastapi import File, Query, Response, UploadFile

from chassis.definitions import clock
from chassis.definitions.cells import RowProblem
from chassis.http.calls import Body, CallOf
from chassis.http.imports import (
    ANSWERS,
    AsWorkbook,
    Progress,
    RowNote,
    RunningImport,
    Step,
    answer_import,
    carry_out,
    first_import_answer,
    notes,
)
from chassis.http.routing import Routes
from chassis.http.uploads import read_table
from contracts import regions, roles
from services.registry.domain import cooperative, imports, ods, office
from services.registry.domain.cooperative import ListSource

routes = Routes()
progress = Progress()
SHEETS = {sheet.source: sheet for sheet in (ods.SHEET, office.SHEET)}


class ImportReport(Body):
    """What an import did, or with dry_run would do."""

    rows: int
    registered: int
    changed: int
    unchanged: int
    rejected: int
    missing_from_source: int
    rejections: list[RowNote]
    warnings: list[RowNote]


@routes.post(
    "/v1/imports",
    callers=roles.OFFICE,
    status_code=200,
    response_model=ImportReport,
    responses=ANSWERS,
    summary="Read a list into the register",
)
async def import_list(
    call: CallOf,
    as_workbook: AsWorkbook,
    file: Annotated[UploadFile, File(description="the list, CSV or XLSX")],
    source: Annotated[ListSource, Query(description="whose list: the Ministry's export, or the office's sheet")],
    dry_run: Annotated[bool, Query(description="report what it would do, and change nothing")] = False,
) -> Response:
    """Register the new, record what changed, leave the rest. The same file again changes nothing.

    With `Accept` naming XLSX the answer is the file itself, with two columns more: outcome and problem.
    """
    sheet = SHEETS[source]
    content = await file.read()
    table = await asyncio.to_thread(
        read_table, content, file.filename or "", sheet.needed, sheet.optional, sheet.numbers
    )
    if first := await first_import_answer(call, table, as_workbook=as_workbook):
        return first
    readings = [
        sheet.read_row(row, cells, regions.resolve_kecamatan, regions.resolve_village) for row, cells in table.rows
    ]
    store = call.runtime.store
    niks = await store.holders("nik", {reading.nik for reading in readings if reading.nik})
    numbers = await store.holders(
        "legal_entity_number", {reading.number_key for reading in readings if reading.number_key}
    )
    handler = call.handler(cooperative.decider)
    loaded = await handler.load_many(await store.stream_ids(cooperative.decider.stream))
    states = {cooperative_id: each.state for cooperative_id, each in loaded.items()}
    expected = [
        cooperative_id for cooperative_id, state in states.items() if state.source == source and not state.dissolved_on
    ]
    planner = imports.Planner(niks, numbers, states, source, call.today, sheet.columns)
    steps = (
        Step(decision.row, decision.cooperative_id or clock.new_id(), decision.command, decision.events)
        for decision in planner.decide(readings, expected)
        if decision.outcome != "unchanged"
    )
    refused = await carry_out(call, handler, loaded, steps, len(readings), progress, dry_run=dry_run)
    plan = planner.plan
    column = sheet.columns["legal_entity_number"]
    rejections = [*plan.rejections, *(RowProblem(row, column, None, problem) for row, problem in refused.items())]
    outcomes: dict[int, str] = {
        decision.row: decision.outcome
        for decision in plan.decisions
        if decision.outcome != "unchanged" and decision.row not in refused
    }
    done = Counter(outcomes.values())
    report = {
        "rows": plan.rows,
        "registered": done["registered"],
        "changed": done["changed"],
        "unchanged": plan.count("unchanged"),
        "rejected": len({problem.row for problem in rejections}),
        "missing_from_source": len(plan.missing_from_source),
        "rejections": notes(rejections),
        "warnings": notes(plan.warnings),
    }
    return await answer_import(call, table, report, outcomes, as_workbook=as_workbook)


@routes.get(
    "/v1/imports/{key}", callers=roles.OFFICE, response_model=RunningImport, summary="How far a running import is"
)
async def import_progress(key: str) -> RunningImport:
    """Return rows done and rows in all of the import that runs under this Idempotency-Key."""
    return progress.of(key)
