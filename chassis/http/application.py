"""The FastAPI application of a service: its routes, and what every service answers besides."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from chassis.http import operations, parked, problems, rebuilds
from chassis.http.middleware import Surroundings
from chassis.http.routing import Routes
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
    401: "No token, or one that nobody is recognised by",
    403: "This caller may not do this",
    404: "There is no such thing",
    405: "This can't be done here",
    409: "Not in this state",
    410: "It was erased for good",
    412: "The version in If-Match is stale",
    413: "The request is too large",
    422: "This value can't be right",
    429: "More than one caller may ask for in so short a time",
    503: "The database or the issuer's keys can't be had right now, or no commands are accepted",
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
    app.state.stopping = False
    app.add_middleware(Surroundings)
    parts = [operations.routes, rebuilds.routes, parked.routes, *routes]
    for part in parts:
        app.include_router(part.router)
    problems.install(app, unreachable, lambda path: frozenset().union(*(part.methods_of(path) for part in parts)))
    return app
