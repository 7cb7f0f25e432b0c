"""The registry's HTTP interface: register, correct, relocate, look up, import."""

import asyncio
from datetime import date
from typing import Annotated
from uuid import UUID

import fastapi
import msgspec
from fastapi import File, Query, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions import clock
from chassis.definitions.cells import RowProblem
from chassis.definitions.decider import Invalid, Rejection
from chassis.definitions.values import Date, KecamatanCode, ShortText, Text, VillageCode
from chassis.engine.handling import Loaded
from chassis.engine.ports import AlreadyClaimed, Stream
from chassis.http.calls import AtLeast, Body, CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.history import HistoryPage, history
from chassis.http.imports import Progress, RowNote, RunningImport, carry_out, notes
from chassis.http.routing import Routes
from chassis.http.uploads import read_table
from contracts import regions, roles
from services.registry.domain import cooperative, imports, ods
from services.registry.domain.cooperative import (
    AlreadyRegistered,
    Changes,
    Cooperative,
    CorrectCooperative,
    Existence,
    ListSource,
    NoSuchCooperative,
    RegisterCooperative,
    Registration,
    RelocateCooperative,
)
from services.registry.projections import cooperatives

routes = Routes()
progress = Progress()

EXAMPLE = {
    "name": "Koperasi Tani Contoh",
    "legal_entity_number": "518/12/BH/2012",
    "legal_entity_date": "2012-05-14",
    "kecamatan_code": "35.07.21",
    "village_code": "35.07.21.2003",
    "address": "Jl. Raya Wagir 12",
    "type": "producer",
    "members_total": 42,
}
"""A registration as an office would write it."""


class UnknownKecamatan(Invalid):
    """The kecamatan must be one of this regency's."""


class UnknownVillage(Invalid):
    """The village must be one of this regency's."""


class OnlyTheMinistryRemoves(Rejection):
    """Only the Ministry can remove a cooperative from the register: trace it, then propose its removal."""

    status = 405


class Correction(Body):
    """What was wrong from the start, and why we know."""

    changes: Changes = Field(examples=[{"members_total": 42, "address": "Jl. Raya Wagir 12"}])
    reason: Text = Field(examples=["Member list of 12 March shows 42"])


class Relocation(Body):
    """Where the cooperative moved."""

    kecamatan_code: KecamatanCode = Field(examples=["35.07.21"])
    village_code: VillageCode | None = Field(None, examples=["35.07.21.2003"])
    address: Text = Field(examples=["Jl. Raya Wagir 12"])
    effective_on: Date | None = Field(None, description="first day at the new seat; default today")


class Accepted(Body):
    """What an accepted command answers."""

    cooperative_id: UUID
    version: int


class CooperativeItem(Body):
    """A cooperative as it stands now."""

    cooperative_id: UUID
    version: int
    name: str
    legal_entity_number: str | None
    legal_entity_date: date | None
    nik: str | None
    tier: str
    scope: str | None
    type: str | None
    group: str | None
    sector: str | None
    address: str | None
    kecamatan_code: str | None
    kecamatan_text: str | None
    village_code: str | None
    members_total: int | None
    nik_grade: str | None
    source: str
    existence: str


class CooperativeList(Body):
    """One page of the register."""

    items: list[CooperativeItem]
    next_cursor: str | None


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


@routes.post("/v1/cooperatives", callers=roles.OFFICE, response_model=Accepted, summary="Register a cooperative")
async def register(body: Annotated[Registration, fastapi.Body(examples=[EXAMPLE])], call: CallOf) -> JSONResponse:
    """Register a cooperative. A taken NIK, or a taken number without a NIK of its own, is 409 naming the holder."""
    _known(body.kecamatan_code, body.village_code)
    cooperative_id = clock.new_id()
    command = RegisterCooperative(registration=body, today=call.today)
    return await _execute(call, cooperative_id, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/corrections",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Correct what was wrong from the start",
)
async def correct(cooperative_id: UUID, body: Correction, call: CallOf) -> JSONResponse:
    """Correct a record: it was always so."""
    _known(body.changes.get("kecamatan_code"), body.changes.get("village_code"), "changes.")
    command = CorrectCooperative(changes=body.changes, reason=body.reason, today=call.today)
    return await _execute(call, cooperative_id, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/relocations",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Record that it moved",
)
async def relocate(cooperative_id: UUID, body: Relocation, call: CallOf) -> JSONResponse:
    """Record that a cooperative moved its seat."""
    _known(body.kecamatan_code, body.village_code)
    command = RelocateCooperative(
        kecamatan_code=body.kecamatan_code,
        village_code=body.village_code,
        address=body.address,
        effective_on=body.effective_on or call.today,
        today=call.today,
    )
    return await _execute(call, cooperative_id, command)


async def _execute(call: CallOf, cooperative_id: UUID, command: cooperative.CooperativeCommand) -> JSONResponse:
    try:
        return await call.execute(
            cooperative.decider, cooperative_id, command, answer={"cooperative_id": str(cooperative_id)}
        )
    except AlreadyClaimed as taken:
        what = "NIK" if taken.claim.space == "nik" else "legal entity number"
        raise AlreadyRegistered(
            f"Cooperative {taken.holder} carries {what} {taken.claim.key} already.", holder=str(taken.holder)
        ) from None


def _known(kecamatan_code: str | None, village_code: str | None, prefix: str = "") -> None:
    if kecamatan_code is not None and regions.kecamatan(kecamatan_code) is None:
        raise UnknownKecamatan(f"{prefix}kecamatan_code", f"{kecamatan_code} is no kecamatan of Kabupaten Malang")
    if village_code is not None and regions.village(village_code) is None:
        raise UnknownVillage(f"{prefix}village_code", f"{village_code} is no village of Kabupaten Malang")


@routes.get(
    "/v1/cooperatives/{cooperative_id}",
    callers=roles.READERS,
    response_model=CooperativeItem,
    summary="One cooperative",
)
async def get(cooperative_id: UUID, call: CallOf, response: Response) -> CooperativeItem:
    """Return one cooperative as it stands now."""
    loaded = await call.handler(cooperative.decider).load(cooperative_id)
    if not loaded.state.registered:
        raise NoSuchCooperative
    response.headers["ETag"] = f'"{loaded.version}"'
    return _item(cooperative_id, loaded)


def _item(cooperative_id: UUID, loaded: Loaded[Cooperative]) -> CooperativeItem:
    state = loaded.state
    return CooperativeItem(
        cooperative_id=cooperative_id,
        version=loaded.version,
        name=state.name,
        legal_entity_number=state.legal_entity_number,
        legal_entity_date=state.legal_entity_date,
        nik=state.nik,
        tier=state.tier,
        scope=state.scope,
        type=state.type,
        group=state.group,
        sector=state.sector,
        address=state.place.address,
        kecamatan_code=state.place.kecamatan_code,
        kecamatan_text=state.kecamatan_text,
        village_code=state.place.village_code,
        members_total=state.members_total,
        nik_grade=state.nik_grade,
        source=state.source,
        existence=state.existence,
    )


@routes.get(
    "/v1/cooperatives/{cooperative_id}/history",
    callers=roles.READERS,
    response_model=HistoryPage,
    summary="Everything recorded about one cooperative",
)
async def get_history(cooperative_id: UUID, call: CallOf, cursor: Cursor, limit: Limit = 100) -> HistoryPage:
    """Return the stream, oldest first, with who and when."""
    page = await history(call, Stream(cooperative.decider.stream, cooperative_id), cursor, limit)
    if not page.items and cursor is None:
        raise NoSuchCooperative
    return page


@routes.get("/v1/cooperatives", callers=roles.READERS, response_model=CooperativeList, summary="The register")
async def find(
    call: CallOf,
    at_least: AtLeast,
    cursor: Cursor,
    kecamatan_code: Annotated[KecamatanCode | None, Query()] = None,
    q: Annotated[ShortText | None, Query(description="part of the name or number, or a NIK")] = None,
    existence: Annotated[Existence | None, Query()] = None,
    limit: Limit = 100,
) -> CooperativeList:
    """Return the register, page by page."""
    query = cooperatives.page(
        kecamatan_code=kecamatan_code, q=q, existence=existence, after=uuid_after(cursor), limit=limit
    )
    async with call.view(cooperatives.projection, at_least) as view:
        rows = await view.rows(cooperatives.projection, query)
    items = []
    for row in rows[:limit]:
        values = msgspec.structs.asdict(row)
        del values["moved_on"]
        items.append(CooperativeItem(**values))
    return CooperativeList(
        items=items, next_cursor=cursor_after(str(items[-1].cooperative_id)) if len(rows) > limit else None
    )


@routes.delete(
    "/v1/cooperatives/{cooperative_id}", callers=roles.OFFICE, summary="Not possible: only the Ministry can remove"
)
async def remove(cooperative_id: UUID) -> None:
    """Refuse, and say what to do instead."""
    raise OnlyTheMinistryRemoves


@routes.post(
    "/v1/imports",
    callers=roles.OFFICE,
    status_code=200,
    response_model=ImportReport,
    summary="Read a list into the register",
)
async def import_list(
    call: CallOf,
    file: Annotated[UploadFile, File(description="the list, CSV or XLSX")],
    source: Annotated[ListSource, Query(description="whose list: the Ministry's export, or the office's sheet")],
    dry_run: Annotated[bool, Query(description="report what it would do, and change nothing")] = False,
) -> JSONResponse:
    """Register the new, record what changed, leave the rest. The same file again changes nothing."""
    if first := await call.first_answer():
        return first
    if source != "ods":
        raise Invalid("source", "only ods can be imported so far")
    content = await file.read()
    table = await asyncio.to_thread(read_table, content, file.filename or "", ods.NEEDED, ods.OPTIONAL)
    readings = [
        ods.read_row(row, cells, regions.resolve_kecamatan, regions.resolve_village) for row, cells in table.rows
    ]
    store = call.runtime.store
    niks = await store.holders("nik", {reading.nik for reading in readings if reading.nik})
    numbers = await store.holders(
        "legal_entity_number", {reading.number_key for reading in readings if reading.number_key}
    )
    handler = call.handler(cooperative.decider)
    loaded = await handler.load_many(await store.stream_ids(cooperative.decider.stream))
    states = {cooperative_id: each.state for cooperative_id, each in loaded.items()}
    expected = [cooperative_id for cooperative_id, state in states.items() if state.source == source]
    plan = imports.plan_import(readings, niks, numbers, states, expected, source, call.today, ods.COLUMN_OF)
    rejections = list(plan.rejections)
    done = {"registered": plan.count("registered"), "changed": plan.count("changed")}
    if not dry_run:
        new = {decision.row: clock.new_id() for decision in plan.decisions if decision.cooperative_id is None}
        steps = [
            (decision.row, decision.cooperative_id or new[decision.row], decision.command)
            for decision in plan.decisions
            if decision.outcome != "unchanged"
        ]
        outcome_of = {decision.row: decision.outcome for decision in plan.decisions}
        refused = await carry_out(call, handler, loaded, steps, progress)
        for row, problem in refused.items():
            done[outcome_of[row]] -= 1
            rejections.append(RowProblem(row, ods.NUMBER, None, problem))
    return await call.answer_many(
        {
            "rows": plan.rows,
            **done,
            "unchanged": plan.count("unchanged"),
            "rejected": len({problem.row for problem in rejections}),
            "missing_from_source": len(plan.missing_from_source),
            "rejections": notes(rejections),
            "warnings": notes(plan.warnings),
        }
    )


@routes.get(
    "/v1/imports/{key}", callers=roles.OFFICE, response_model=RunningImport, summary="How far a running import is"
)
async def import_progress(key: str) -> RunningImport:
    """Return rows done and rows in all of the import that runs under this Idempotency-Key."""
    return progress.of(key)
