"""Importing lists over HTTP: the last meetings that the Ministry's export or the office's own sheet tells of."""

import asyncio
from typing import Annotated

from fastapi import File, Query, Response, UploadFile

from chassis.definitions.cells import RowProblem
from chassis.definitions.decider import Invalid
from chassis.http.calls import AtLeast, Body, CallOf
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
from contracts import roles
from services.rat.domain import annual_meetings, ods, office
from services.rat.domain.annual_meetings import Source
from services.rat.domain.imports import Planner, Sheet
from services.rat.projections import cooperatives

routes = Routes()
progress = Progress()

SHEETS: dict[Source, Sheet] = {"ods": ods.SHEET, "office": office.SHEET}


class ImportReport(Body):
    """What an import did, or with dry_run would do."""

    rows: int
    recorded: int
    attested: int
    unchanged: int
    rejected: int
    rejections: list[RowNote]
    warnings: list[RowNote]


@routes.post(
    "/v1/imports",
    callers=roles.OFFICE,
    status_code=200,
    response_model=ImportReport,
    responses=ANSWERS,
    summary="Read the last meetings from a list",
)
async def import_list(
    call: CallOf,
    at_least: AtLeast,
    file: Annotated[UploadFile, File(description="the list, CSV or XLSX")],
    source: Annotated[Source, Query(description="whose list: the Ministry's export, or the office's sheet")],
    as_workbook: AsWorkbook,
    dry_run: Annotated[bool, Query(description="report what it would do, and change nothing")] = False,
    assume_registered: Annotated[
        bool,
        Query(description="in a dry run: as if the registry had read the same list, and registered whom nobody knows"),
    ] = False,
) -> Response:
    """Record one meeting a row, and what grade A attests. Import the list into the registry first."""
    if assume_registered and not dry_run:
        raise Invalid("assume_registered", "only a dry run can take anything for granted")
    sheet = SHEETS[source]
    content = await file.read()
    table = await asyncio.to_thread(
        read_table, content, file.filename or "", sheet.needed, sheet.optional, sheet.numbers
    )
    if first := await first_import_answer(call, table, as_workbook=as_workbook):
        return first
    readings = [sheet.read_row(row, cells) for row, cells in table.rows]
    async with call.view(cooperatives.projection, at_least) as view:
        register = cooperatives.register_of(await view.rows(cooperatives.projection, cooperatives.every()))
    handler = call.handler(annual_meetings.decider)
    loaded = await handler.load_many(await call.runtime.store.stream_ids(annual_meetings.decider.stream))
    states = {cooperative_id: each.state for cooperative_id, each in loaded.items()}
    planner = Planner(register, states, source, call.today, sheet.columns, assume_registered)
    steps = (
        Step(decision.row, decision.cooperative_id, decision.command, decision.events)
        for decision in planner.decide(readings)
    )
    refused = await carry_out(call, handler, loaded, steps, len(readings), progress, dry_run=dry_run)
    plan = planner.plan
    done = [decision for decision in plan.decisions if decision.row not in refused]
    column = sheet.columns["held_on"]
    rejections = [*plan.rejections, *(RowProblem(row, column, None, why) for row, why in refused.items())]
    report = {
        "rows": plan.rows,
        "recorded": sum(decision.recorded for decision in done),
        "attested": sum(decision.attested for decision in done),
        "unchanged": plan.unchanged,
        "rejected": plan.rejected + len(refused),
        "rejections": notes(rejections),
        "warnings": notes(plan.warnings),
    }
    outcomes = {decision.row: "recorded" if decision.recorded else "attested" for decision in done}
    return await answer_import(call, table, report, outcomes, as_workbook=as_workbook)


@routes.get(
    "/v1/imports/{key}", callers=roles.OFFICE, response_model=RunningImport, summary="How far a running import is"
)
async def import_progress(key: str) -> RunningImport:
    """Return rows done and rows in all of the import that runs under this Idempotency-Key."""
    return progress.of(key)
