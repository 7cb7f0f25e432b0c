"""What every service answers to those who operate it: health, metrics, projections, pause and resume."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Path, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field

from chassis.http import problems
from chassis.http.admission import ANYONE, Within
from chassis.http.calls import Call, CallOf
from chassis.http.routing import Routes
from chassis.http.runtime import Runtime
from chassis.operations.levels import levels
from chassis.operations.state import ProjectionList, ProjectionState, ServiceState, Told
from chassis.telemetry import metrics
from contracts import roles

routes = Routes()

OPERATOR = (roles.OPERATOR,)
TAGS = ["operations"]

Name = Annotated[
    str, Path(max_length=100, description="health_status, or reporting.health_status", examples=["health_status"])
]


class ProjectionSwitch(Told):
    """A projection after it was paused or resumed."""

    name: str = Field(examples=["reporting.health_status"])
    paused: bool = Field(examples=[True])
    changed: bool = Field(description="false when it was so already", examples=[True])
    paused_by: str | None = Field(examples=["local"])
    paused_since: str | None = Field(examples=["2024-11-14T03:01:12.000417Z"])
    positions: dict[str, int] = Field(
        description="where it stands", examples=[{"registry": 2588, "rat": 1371, "mentoring": 30}]
    )


@routes.get("/livez", callers=ANYONE, tags=TAGS, summary="The process runs")
async def livez() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "alive"}


@routes.get("/readyz", callers=ANYONE, tags=TAGS, summary="The service can serve")
async def readyz(request: Request) -> JSONResponse:
    """Answer 200 when the database can be reached and nobody has told the process to stop; lag doesn't matter."""
    runtime: Runtime = request.app.state.runtime
    if request.app.state.stopping:
        return problems.problem(503, "stopping", "This process is stopping; ask another one.")
    if not await runtime.reachable():
        return problems.problem(503, "unavailable", "The database can't be reached right now.")
    return JSONResponse({"status": "ready", "service": runtime.service})


@routes.get(
    "/metrics",
    callers=roles.EVERY,
    within=Within.UNPLACED,
    from_loopback=True,
    tags=TAGS,
    summary="Prometheus metrics",
    include_in_schema=False,
)
async def prometheus(request: Request) -> Response:
    """Tell what was counted, and what the last sample saw: a scrape asks no database."""
    operations = request.app.state.runtime.operations
    accepting = operations.gate.refusal is None
    present = levels(operations.work().leading, accepting, operations.seen, operations.running)
    return Response(metrics.exposed(present), media_type=CONTENT_TYPE_LATEST)


@routes.get(
    "/v1/projections", callers=OPERATOR, tags=TAGS, response_model=ServiceState, summary="Projections and the relay"
)
async def service_state(call: CallOf) -> ServiceState:
    """Return where everything of this service stands."""
    return await call.runtime.operations.status()


@routes.get(
    "/v1/operations/projections",
    callers=OPERATOR,
    tags=TAGS,
    response_model=ProjectionList,
    summary="Every generation of every projection",
)
async def projections(call: CallOf) -> ProjectionList:
    """Return where every projection stands."""
    return ProjectionList(items=await call.runtime.operations.generations(), next_cursor=None)


@routes.get(
    "/v1/operations/projections/{name}",
    callers=OPERATOR,
    tags=TAGS,
    response_model=ProjectionState,
    summary="One projection: its live generation, and which others there are",
)
async def projection(name: Name, call: CallOf) -> ProjectionState:
    """Return where one projection stands."""
    return await call.runtime.operations.projection(name)


@routes.post(
    "/v1/operations/projections/{name}/pause",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ProjectionSwitch,
    summary="Let a projection stand still, until it is resumed",
)
async def pause(name: Name, call: CallOf) -> JSONResponse:
    """Pause a projection, for every replica and through restarts; from the answer on it applies nothing."""
    return await _switched(call, name, call.runtime.operations.pause)


@routes.post(
    "/v1/operations/projections/{name}/resume",
    callers=OPERATOR,
    tags=TAGS,
    status_code=200,
    response_model=ProjectionSwitch,
    summary="Let a paused projection go on",
)
async def resume(name: Name, call: CallOf) -> JSONResponse:
    """Let a projection go on from where it stood."""
    return await _switched(call, name, call.runtime.operations.resume)


async def _switched(call: Call, name: str, switch: Callable[[str, str], Awaitable[bool]]) -> JSONResponse:
    if first := await call.first_answer():
        return first
    changed = await switch(name, call.metadata["actor"])
    state = await call.runtime.operations.projection(name)
    told = state.model_dump(mode="json", include=set(ProjectionSwitch.model_fields))
    return await kept(call, {**told, "changed": changed}, 200)


async def kept(
    call: Call, body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Answer, and keep the answer for repeats of the idempotency key."""
    if key := await call.key():
        await call.runtime.store.remember(key, {"body": body, "status": status, "headers": headers or {}})
    return JSONResponse(body, status, headers)
