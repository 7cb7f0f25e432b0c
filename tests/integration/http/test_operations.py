"""What every service answers besides its work: health, metrics, and what it says about itself."""

import copy
from typing import Any

import httpx
import jsonschema
import pytest
from documents import NOBODY, registered
from fastapi import FastAPI
from fastapi.routing import APIRoute
from system import SERVICES, System

from chassis.bootstrap import build
from chassis.settings import Settings

every_service = pytest.mark.parametrize("service", SERVICES)
METHODS = ("get", "post", "put", "patch", "delete")


def application(service: str) -> FastAPI:
    """Return a service that is not started."""
    return build(SERVICES[service], Settings(database_url="postgresql://nowhere"))


def operations(service: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (method, path, operation) of everything a service declares."""
    paths = application(service).openapi()["paths"]
    return [(method, path, item[method]) for path, item in paths.items() for method in METHODS if method in item]


@every_service
async def test_a_service_is_alive_ready_and_measured(system: System, service: str) -> None:
    async with system.client(service) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "service": service}
        metrics = await client.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert 'dinkop_http_request_seconds_count{method="GET",route="/livez",status="200"}' in metrics.text
        assert "text/html" in (await client.get("/docs")).headers["content-type"]


@every_service
async def test_a_service_describes_itself_in_valid_openapi_3_1(system: System, service: str) -> None:
    async with system.client(service) as client:
        answer = await client.get("/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for _, _, operation in operations(service)]
    assert len(ids) == len(set(ids))
    for _, path, operation in operations(service):
        assert operation["summary"], path
        declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)


@every_service
def test_every_route_says_who_may_call_it(service: str) -> None:
    routers = [part.router for part in SERVICES[service].routes]
    for route in (route for router in routers for route in router.routes):
        assert isinstance(route, APIRoute)
        assert (route.openapi_extra or {}).get("x-callers"), f"{route.path} says nothing about callers"
    for _, path, operation in operations(service):
        assert "x-callers" in operation, path
        assert operation["x-callers"] or path in ("/livez", "/readyz"), path


def example_of(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """Return the example a schema gives, put together of those of its fields. Raises LookupError."""
    if schema.get("examples"):
        return copy.deepcopy(schema["examples"][0])
    if "$ref" in schema:
        return example_of(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    if "properties" in schema:
        required = schema.get("required", [])
        example = {}
        for name, of in schema["properties"].items():
            try:
                example[name] = example_of(of, document)
            except LookupError:
                if name in required:
                    raise LookupError(name) from None
        return example
    if schema.get("type") == "array":
        return [example_of(schema["items"], document)]
    raise LookupError(f"no example in {schema}")


@every_service
async def test_every_body_has_an_example_and_the_example_is_accepted(
    system: System, service: str, registry: httpx.AsyncClient
) -> None:
    cooperative_id, position = await registered(registry)
    document = application(service).openapi()
    made = {"cooperative_id": cooperative_id, "book_year": "2023", "request_id": NOBODY, "report_id": NOBODY}
    async with system.client(service) as client:
        for method, path, operation in operations(service):
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            example = example_of(content["application/json"]["schema"], document)
            if "cooperative_id" in example:
                example["cooperative_id"] = cooperative_id  # the example's own is nobody here
            takes = {parameter["name"] for parameter in operation["parameters"]}
            answer = await client.request(
                method,
                path.format(**made),
                json=example,
                params={"at_least": position} if "at_least" in takes else {},
            )
            # One example after the other on one subject: by now its state may forbid what its form allows.
            assert answer.status_code in (201, 409), (path, example, answer.text)
            made |= {name: value for name, value in answer.json().items() if made.get(name) == NOBODY}


@every_service
async def test_an_operator_sees_where_everything_stands(system: System, service: str) -> None:
    async with system.client(service) as client:
        status = (await client.get("/v1/projections")).json()
    assert (status["service"], status["leading"], status["relay"]["last_error"]) == (service, True, None)
    for item in status["items"]:
        assert item["name"].startswith(f"{service}.")
        assert item["status"] == "live"
        assert item["last_error"] is None
        assert item["lag_events"] >= 0
