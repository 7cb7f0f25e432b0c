"""Routes: each says who may call it, and refuses query parameters it does not know."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

type Endpoint = Callable[..., Any]


class Actor(str):
    """Who does it, as it is written into every event's metadata."""


LOCAL = Actor("local")


def admit(callers: tuple[str, ...]) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """Return the check that stands before a route: the one place for a rule about callers.

    On one machine everything listens on loopback and every caller is `local`.
    """

    async def check(request: Request) -> None:
        request.state.actor = LOCAL

    return check


class StrictRoute(APIRoute):
    """A route that answers 422 to a query parameter it does not know: a typo must not change a number."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the check."""
        known = set(_query_parameters(self.dependant))
        parts = {part.alias for part in self.dependant.body_params if isinstance(part.field_info, params.Form)}
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            unknown = [name for name in request.query_params if name not in known]
            if unknown:
                offered = ", ".join(sorted(known)) or "none"
                raise _refused("query", unknown, f"unknown parameter; this route takes: {offered}")
            if parts:
                await _check_parts(request, parts)
            return await answer(request)

        return handler


async def _check_parts(request: Request, known: set[str]) -> None:
    """Refuse parts of a form that the route does not know, or gets twice: which one counts would be a guess."""
    names = [name for name, _ in (await request.form()).multi_items()]
    if unknown := [name for name in names if name not in known]:
        raise _refused("body", unknown, f"unknown part; this route takes: {', '.join(sorted(known))}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _refused("body", twice, "stands twice")


def _refused(place: str, names: Iterable[str], message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": (place, name), "msg": message, "type": "extra"} for name in names])


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for part in dependant.dependencies:
        yield from _query_parameters(part)


class Routes:
    """The routes of a service. `callers` are the roles that may call a route, or ANYONE."""

    def __init__(self) -> None:
        """Start without any."""
        self.router = APIRouter(route_class=StrictRoute)

    def get(self, path: str, *, callers: tuple[str, ...], **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Declare a read."""
        return self._declare("GET", path, callers, options)

    def post(self, path: str, *, callers: tuple[str, ...], **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Declare a command."""
        return self._declare("POST", path, callers, {"status_code": 201, **options})

    def delete(self, path: str, *, callers: tuple[str, ...], **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Declare a removal."""
        return self._declare("DELETE", path, callers, options)

    def _declare(
        self, method: str, path: str, callers: tuple[str, ...], options: dict[str, Any]
    ) -> Callable[[Endpoint], Endpoint]:
        def add(endpoint: Endpoint) -> Endpoint:
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                dependencies=[Depends(admit(callers))],
                openapi_extra={"x-callers": list(callers)},
                **options,
            )
            return endpoint

        return add

    def methods_of(self, path: str) -> frozenset[str]:
        """Return the methods that this path has here; none when it is no path of these."""
        routes = [route for route in self.router.routes if isinstance(route, APIRoute)]
        return frozenset(method for route in routes if route.path_regex.match(path) for method in route.methods or ())


ANYONE: tuple[str, ...] = ()
