"""Every route of every service says who may call it, and says what the interface does."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import Query
from roles_by_the_text import EVERY_ROLE, EXPECTED

from chassis.bootstrap import Service, build
from chassis.http import operations, parked, rebuilds
from chassis.http.admission import ANYONE, Within
from chassis.http.routing import Routes, StrictRoute
from chassis.settings import Settings
from contracts import roles
from services.mentoring.service import service as mentoring
from services.rat.service import service as rat
from services.registry.service import service as registry
from services.reporting.service import service as reporting

SERVICES: list[Service] = [registry, rat, mentoring, reporting]
OPEN = {"/openapi.json", "/docs", "/docs/oauth2-redirect"}


def routes_of(service: Service) -> Iterator[tuple[str, StrictRoute]]:
    """Yield the routes of a service by method and path; every one must stand behind the door."""
    for part in (operations.routes, rebuilds.routes, parked.routes, *service.routes):
        for route in part.router.routes:
            assert isinstance(route, StrictRoute), route
            [method] = route.methods
            yield f"{method} {route.path}", route


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_who_may_call_a_route_is_what_the_interface_says(service: Service) -> None:
    declared = {name: frozenset(route.admission.callers) for name, route in routes_of(service)}
    assert declared == EXPECTED[service.name]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_nothing_is_served_beside_the_routes_but_their_document(service: Service) -> None:
    app = build(service, Settings(database_url="postgresql://nowhere"))
    beside = [route for route in app.routes if (path := getattr(route, "path", None)) is not None and path]
    assert {getattr(route, "path", "") for route in beside} == OPEN
    included = {id(router) for route in app.routes if (router := getattr(route, "original_router", None)) is not None}
    parts = (operations.routes, rebuilds.routes, parked.routes, *service.routes)
    assert included == {id(part.router) for part in parts}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_document_says_who_may_call_a_route_and_that_it_asks_for_a_token(service: Service) -> None:
    document = build(service, Settings(database_url="postgresql://nowhere")).openapi()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    described = {
        f"{method.upper()} {path}": operation
        for path, operations_ in document["paths"].items()
        for method, operation in operations_.items()
    }
    assert described.keys() == EXPECTED[service.name].keys() - {"GET /metrics"}
    for name, operation in described.items():
        callers = EXPECTED[service.name][name]
        assert set(operation["x-callers"]) == callers, name
        assert operation.get("security", []) == ([{"token": []}] if callers else []), name
        assert {"401", "403", "429"} <= operation["responses"].keys()


def test_there_are_as_many_roles_as_the_interface_names() -> None:
    assert set(EVERY_ROLE) == set(roles.EVERY)


async def _somewhere(thing_id: UUID) -> str | None:
    return None


def test_a_route_for_a_camat_says_how_it_keeps_them_within_their_kecamatan() -> None:
    with pytest.raises(TypeError, match="within"):
        Routes().get("/v1/things", callers=(roles.CAMAT,))
    with pytest.raises(TypeError, match="within"):
        Routes().post("/v1/things", callers=roles.READERS)
    for callers in (ANYONE, (roles.OFFICER,)):
        with pytest.raises(TypeError, match="within"):
            Routes().get("/v1/things", callers=callers, within=Within.SHOWN)


def test_a_list_for_a_camat_can_be_asked_for_by_kecamatan() -> None:
    async def listed(q: Annotated[str | None, Query()] = None) -> None: ...

    with pytest.raises(TypeError, match="no query parameter kecamatan_code"):
        Routes().get("/v1/things", callers=(roles.CAMAT,), within=Within.LISTED)(listed)


def test_a_path_for_a_camat_names_the_kecamatan() -> None:
    async def one(code: str) -> None: ...

    with pytest.raises(TypeError, match="no kecamatan_code in it"):
        Routes().get("/v1/things/{code}", callers=(roles.CAMAT,), within=Within.PATH)(one)


def test_who_says_it_is_let_in() -> None:
    routes = Routes()

    async def one(thing_id: UUID) -> None: ...

    routes.get("/v1/things/{thing_id}", callers=(roles.CAMAT,), within=_somewhere)(one)
    assert routes.methods_of("/v1/things/1") == {"GET"}
