"""Replays over HTTP: rebuild a projection or check it, put its former generation back, give that up."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.clock import new_id
from chassis.definitions.values import ShortText
from chassis.http.calls import Body, Call, CallOf, Cursor, Limit, cursor_after, uuid_after
from chassis.http.operations import OPERATOR, TAGS, Name, kept
from chassis.http.routing import Routes
from chassis.operations.state import ProjectionState, Told

routes = Routes()


class RebuildOrder(Body):
    """What is to be replayed, and why."""

    projection: str = Field(max_length=100, examples=["health_status"])
    kind: Literal["rebuild", "dry_run", "verify"] = Field(
        "rebuild",
        description="a dry run says what a rebuild would change; verify, whether the live generation is what its"
        " events make; both change nothing",
        examples=["dry_run"],
    )
    reason: ShortText | None = Field(None, description="for the record", examples=["the fold of version 2"])
    accept: bool = Field(False, description="of a rebuild: go live though rows differ from the present ones")


class Begun(Told):
    """A replay that has begun."""

    id: UUID


class RebuildItem(Told):
    """One rebuild, dry run, verification, inspection copy or rollback."""

    id: UUID
    projection: str = Field(examples=["health_status"])
    kind: str = Field(examples=["rebuild"])
    state: str = Field(
        description="running; interrupted (the same again goes on from there); live (its generation went live);"
        " refused (it would change what nobody accepted); failed; of a check equal or different; of a copy kept",
        examples=["live"],
    )
    generation: int | None = Field(description="the one built, or put back", examples=[4])
    replaced: int | None = Field(description="the one that was live", examples=[3])
    version: int = Field(description="of the projection's code", examples=[1])
    code: str = Field(description="SHA-256 of the code")
    actor: str = Field(examples=["local"])
    holder: str = Field(description="the process", examples=["siti@kantor, process 4711"])
    reason: str | None
    progress: dict[str, Any] = Field(examples=[{"events": 3_900, "total": 4_120, "phase": "replay"}])
    outcome: dict[str, Any] = Field(description="range, digests, differences")
    error: str | None
    begun_at: datetime
    moved_at: datetime
    ended_at: datetime | None


class RebuildList(Told):
    """The record, latest first."""

    items: list[RebuildItem]
    next_cursor: str | None


@routes.post(
    "/v1/operations/rebuilds",
    callers=OPERATOR,
    tags=TAGS,
    status_code=202,
    response_model=Begun,
    summary="Begin to rebuild or check a projection",
)
async def begin(body: RebuildOrder, call: CallOf) -> JSONResponse:
    """Begin a replay in a process of its own; what comes of it stands under its id."""
    if first := await call.first_answer():
        return first
    operations = call.runtime.operations
    id_ = new_id()
    words = ["verify"] if body.kind == "verify" else ["rebuild"]
    words += [operations.named(body.projection).name, "--id", str(id_), *_who(call)]
    words += ["--dry-run"] if body.kind == "dry_run" else []
    words += ["--accept"] if body.accept else []
    words += [f"--reason={body.reason}"] if body.reason else []

    async def begun() -> bool:
        return await operations.rebuilds.get(id_) is not None

    await operations.children.start(words, begun)
    return await kept(call, {"id": str(id_)}, 202, {"Location": f"/v1/operations/rebuilds/{id_}"})


@routes.get(
    "/v1/operations/rebuilds",
    callers=OPERATOR,
    tags=TAGS,
    response_model=RebuildList,
    summary="What was rebuilt and checked: who, when, why, and what came of it",
)
async def record(
    call: CallOf,
    cursor: Cursor,
    limit: Limit = 50,
    projection: Annotated[str | None, Query(max_length=100, description="only of this one")] = None,
) -> RebuildList:
    """Return the record, latest first."""
    name = None if projection is None else call.runtime.operations.named(projection).name
    found = await call.runtime.operations.record(name, limit + 1, uuid_after(cursor))
    items = [RebuildItem.model_validate(each) for each in found[:limit]]
    return RebuildList(items=items, next_cursor=cursor_after(str(items[-1].id)) if len(found) > limit else None)


@routes.get(
    "/v1/operations/rebuilds/{rebuild_id}",
    callers=OPERATOR,
    tags=TAGS,
    response_model=RebuildItem,
    summary="One of them: how far it is, or what came of it",
)
async def one(rebuild_id: UUID, call: CallOf) -> RebuildItem:
    """Return one record."""
    return RebuildItem.model_validate(await call.runtime.operations.rebuild(rebuild_id))


@routes.post(
    "/v1/operations/projections/{name}/rollback",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ProjectionState,
    summary="Put the generation before the live one back",
)
async def rollback(name: Name, call: CallOf) -> JSONResponse:
    """Put the former generation back, at once: it was kept fed."""
    return await _done(call, name, "rollback")


@routes.post(
    "/v1/operations/projections/{name}/retire",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ProjectionState,
    summary="Give the generation before the live one up",
)
async def retire(
    name: Name,
    call: CallOf,
    generation: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="another one than that")] = None,
) -> JSONResponse:
    """Give a generation up: it is dropped a minute later."""
    return await _done(call, name, "retire", *([f"--generation={generation}"] if generation else []))


async def _done(call: Call, name: str, command: str, *more: str) -> JSONResponse:
    if first := await call.first_answer():
        return first
    operations = call.runtime.operations
    await operations.children.finish([command, operations.named(name).name, *_who(call), *more])
    return await kept(call, (await operations.projection(name)).model_dump(mode="json"), 200)


def _who(call: Call) -> list[str]:
    return ["--actor", call.metadata["actor"]]
