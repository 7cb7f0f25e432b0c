"""Routes: each says who may call it, and refuses query parameters it does not know."""

import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from chassis.http.admission import READS, Admission, Lookup, Within, confine_to
from chassis.http.identity import KECAMATAN
from chassis.http.runtime import Runtime

type Endpoint = Callable[..., Any]


class StrictRoute(APIRoute):
    """A route behind the door, that answers 422 to a query parameter it does not know: a typo must not change a number.

    What stands behind the door is not even read before: an upload of nobody is not parsed.
    """

    def __init__(self, *given: Any, admission: Admission, **options: Any) -> None:
        """Let in whom `admission` admits."""
        self.admission = admission
        super().__init__(*given, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the checks."""
        known = set(_query_parameters(self.dependant))
        parts = {part.alias for part in self.dependant.body_params if isinstance(part.field_info, params.Form)}
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            runtime: Runtime = request.app.state.runtime
            await runtime.door.admit(request, self.admission)
            unknown = [name for name in request.query_params if name not in known]
            if unknown:
                offered = ", ".join(sorted(known)) or "none"
                raise _refused("query", unknown, f"unknown parameter; this route takes: {offered}")
            if parts:
                await _check_parts(request, parts)
            key = request.headers.get("idempotency-key")
            if key is None or request.method in READS:
                return await answer(request)
            async with runtime.turns.taken(key):
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
    """The routes of a service.

    `callers` are the roles that may call a route, or ANYONE; one that a camat may call says how it keeps them `within`
    their kecamatan. `from_loopback` asks nobody on this machine for a token.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.router = APIRouter()

    def get(
        self,
        path: str,
        *,
        callers: tuple[str, ...],
        within: Within | Lookup | None = None,
        from_loopback: bool = False,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare a read."""
        return self._declare("GET", path, Admission(callers, within, from_loopback), options)

    def post(
        self, path: str, *, callers: tuple[str, ...], within: Lookup | None = None, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare a command."""
        return self._declare("POST", path, Admission(callers, within), {"status_code": 201, **options})

    def delete(self, path: str, *, callers: tuple[str, ...], **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Declare a removal."""
        return self._declare("DELETE", path, Admission(callers), options)

    def _declare(
        self, method: str, path: str, admission: Admission, options: dict[str, Any]
    ) -> Callable[[Endpoint], Endpoint]:
        needs = [Depends(_TOKEN)] if admission.callers else []
        if callable(admission.within):
            needs.append(Depends(_confining(admission.within)))

        def add(endpoint: Endpoint) -> Endpoint:
            route = StrictRoute(
                path,
                endpoint,
                admission=admission,
                methods=[method],
                dependencies=needs,
                openapi_extra={"x-callers": list(admission.callers)},
                **options,
            )
            _check_parameters(route)
            self.router.routes.append(route)
            return endpoint

        return add

    def methods_of(self, path: str) -> frozenset[str]:
        """Return the methods that this path has here; none when it is no path of these."""
        routes = [route for route in self.router.routes if isinstance(route, APIRoute)]
        return frozenset(method for route in routes if route.path_regex.match(path) for method in route.methods or ())


_TOKEN = HTTPBearer(auto_error=False, scheme_name="token", bearerFormat="JWT", description="of the configured issuer")
"""Says in the OpenAPI document what the door asks for."""


def _confining(kecamatan_of: Lookup) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return the dependency that asks a lookup, with the parameters that it takes, where a thing lies."""

    async def confine(request: Request, **given: Any) -> None:
        await confine_to(request, lambda: kecamatan_of(**given))

    signature = inspect.signature(kecamatan_of)
    own = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    confine.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()),
            own,
        ],
        return_annotation=None,
    )
    return confine


def _check_parameters(route: StrictRoute) -> None:
    """Raise TypeError when a route lacks the parameter that its `within` is about."""
    within = route.admission.within
    if within is Within.LISTED and KECAMATAN not in _query_parameters(route.dependant):
        raise TypeError(f"{route.path} has no query parameter {KECAMATAN} by which it could list")
    if within is Within.PATH and KECAMATAN not in route.param_convertors:
        raise TypeError(f"{route.path} has no {KECAMATAN} in it")
