"""The FastAPI application of a service: its routes, and what every service answers besides."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chassis.http import problems
from chassis.http.middleware import Surroundings
from chassis.http.routing import ANYONE, Routes
from chassis.http.runtime import Runtime

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}
_REFUSALS = {
    400: "The request can't be read",
    404: "There is no such thing",
    405: "This can't be done here",
    409: "Not in this state",
    410: "It was erased for good",
    412: "The version in If-Match is stale",
    413: "The request is too large",
    422: "This value can't be right",
    503: "The database can't be reached right now",
    504: "The position asked for was not reached in time",
}


def application(
    name: str,
    description: str,
    routes: Sequence[Routes],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Runtime]],
    unreachable: tuple[type[Exception], ...],
) -> FastAPI:
    """Return the application; `lifespan` makes the runtime when it starts and ends it when it stops."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app) as runtime:
            app.state.runtime = runtime
            yield

    app = FastAPI(
        title=f"dinkop {name}",
        description=description,
        version="1",
        lifespan=life,
        redoc_url=None,
        redirect_slashes=False,
        responses={
            status: {
                "description": text,
                "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}},
            }
            for status, text in _REFUSALS.items()
        },
    )
    app.add_middleware(Surroundings)
    parts = [_operations(), *routes]
    for part in parts:
        app.include_router(part.router)
    problems.install(app, unreachable, lambda path: frozenset().union(*(part.methods_of(path) for part in parts)))
    return app


def _operations() -> Routes:
    routes = Routes()

    @routes.get("/livez", callers=ANYONE, tags=["operations"], summary="The process runs")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @routes.get("/readyz", callers=ANYONE, tags=["operations"], summary="The service can serve")
    async def readyz(request: Request) -> JSONResponse:
        runtime: Runtime = request.app.state.runtime
        if not await runtime.reachable():
            return problems.problem(503, "unavailable", "The database can't be reached right now.")
        return JSONResponse({"status": "ready", "service": runtime.service})

    @routes.get("/metrics", callers=ANYONE, tags=["operations"], summary="Prometheus metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/projections", callers=("operator",), tags=["operations"], summary="Projections and the relay")
    async def projections(request: Request) -> dict[str, Any]:
        status: dict[str, Any] = await request.app.state.runtime.operations()
        return status

    return routes
