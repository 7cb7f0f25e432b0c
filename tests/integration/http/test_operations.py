"""What every service answers besides its work: health, metrics, and what it says about itself."""

import copy
import os
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import issuing
import jsonschema
import pytest
from documents import NOBODY, refused, registered
from eventually import eventually
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fresh import SERVICES
from prometheus_client.parser import text_string_to_metric_families
from system import System

from chassis.bootstrap import build
from chassis.engine import lag
from chassis.http import calls
from chassis.operations import looking
from chassis.settings import Settings

every_service = pytest.mark.parametrize("service", SERVICES)
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module", autouse=True)
def _frequent_samples() -> Iterator[None]:
    """Before the services start: they look at themselves more often than an operator has patience for."""
    usual, looking.SAMPLE = looking.SAMPLE, 0.1
    yield
    looking.SAMPLE = usual


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
    made["name"] = SERVICES[service].projections[0].name
    async with system.client(service) as client:
        for method, path, operation in operations(service):
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content or "/parked/" in path:  # nothing is parked here
                continue
            if path.endswith("/rebuilds") and service != "reporting":  # a process each; it is the same in all
                continue
            example = example_of(content["application/json"]["schema"], document)
            if "cooperative_id" in example:
                example["cooperative_id"] = cooperative_id  # the example's own is nobody here
            if "projection" in example:
                example["projection"] = made["name"]
            takes = {parameter["name"] for parameter in operation["parameters"]}
            answer = await client.request(
                method,
                path.format(**made),
                json=example,
                params={"at_least": position} if "at_least" in takes else {},
            )
            # One example after the other on one subject: by now its state may forbid what its form allows.
            assert answer.status_code in (200, 201, 202, 409), (path, example, answer.text)
            made |= {name: value for name, value in answer.json().items() if made.get(name) == NOBODY}


@every_service
async def test_an_operator_sees_where_everything_stands(system: System, service: str) -> None:
    async with system.client(service) as client:

        async def settled() -> Any:
            """A dry run, which an example above asked for, has a generation of its own for a while."""
            status = (await client.get("/v1/projections")).json()
            return status if all(item["status"] != "trial" for item in status["items"]) else None

        status = await eventually(settled, 60)
    assert (status["service"], status["leading"], status["relay"]["last_error"]) == (service, True, None)
    for item in status["items"]:
        assert item["name"].startswith(f"{service}.")
        assert item["status"] == "live"
        assert item["last_error"] is None
        assert item["lag_events"] >= 0


@every_service
async def test_what_is_told_of_a_projection_alone_is_what_the_list_tells(system: System, service: str) -> None:
    async with system.client(service) as client:
        listed = (await client.get("/v1/operations/projections")).json()["items"]
        assert [item["name"].partition(".")[2] for item in listed] == sorted(
            projection.name for projection in SERVICES[service].projections
        )
        for item in listed:
            for name in (item["name"], item["name"].partition(".")[2]):
                one = (await client.get(f"/v1/operations/projections/{name}")).json()
                # What is a matter of the moment is left out.
                assert {key: one[key] for key in ("name", "version", "code_version", "generation", "others")} == {
                    key: item[key] for key in ("name", "version", "code_version", "generation", "others")
                }


async def test_a_replica_that_does_not_lead_tells_what_it_knows_and_makes_nothing_up(system: System) -> None:
    settings = Settings(
        database_url=system.databases["registry"], nats_url=system.nats_url, connections=4, **issuing.SETTINGS
    )
    app = build(SERVICES["registry"], settings)
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, headers=issuing.everything(), base_url="http://r")
    async with app.router.lifespan_context(app), client:
        state = (await client.get("/v1/projections")).json()
        assert (state["leading"], state["relay"]["published"], state["relay"]["backlog"]) == (False, None, None)
        [item] = [item for item in state["items"] if item["status"] == "live"]
        assert [item[name] for name in ("lag_events", "lag_seconds", "trend", "stalled")] == [None] * 4
        assert (item["generation"] >= 1, item["paused"], item["head"]) == (True, False, {})

        async def text() -> str:
            told = (await client.get("/metrics")).text
            return told if "dinkop_leading 0.0" in told and "dinkop_database_seen 1.0" in told else ""

        told = await eventually(text)
        assert 'dinkop_projection_paused{projection="cooperatives"} 0.0' in told
        lags = ("projection_lag_events", "projection_lag_seconds", "projection_stalled")
        for unknown in ("relay_backlog", "stream_seen", *lags):
            assert f"\ndinkop_{unknown}" not in told


async def test_a_projection_nobody_has_is_404_and_those_there_are_are_named(registry: httpx.AsyncClient) -> None:
    for method, path in (("GET", "weather"), ("POST", "weather/pause"), ("POST", "reporting.timeline/resume")):
        problem = refused(
            await registry.request(method, f"/v1/operations/projections/{path}"), 404, "no-such-projection"
        )
        assert "There are: cooperatives." in problem["detail"]


async def test_a_paused_projection_stands_still_says_so_and_goes_on_when_it_is_resumed(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/operations/projections/cooperatives"
    _, before = await registered(registry)
    assert (await registry.get("/v1/cooperatives", params={"at_least": before})).status_code == 200
    paused = (await registry.post(f"{path}/pause")).json()
    assert (paused["name"], paused["paused"], paused["changed"]) == ("registry.cooperatives", True, True)
    assert paused["paused_by"] == issuing.ACTOR
    again = await registry.post(f"{path}/pause")
    assert (again.status_code, again.json()) == (200, paused | {"changed": False})

    _, position = await registered(registry)

    async def behind() -> Any:
        state = (await registry.get(path)).json()
        return state if state["lag_events"] == 1 else None

    state = await eventually(behind)
    assert state["positions"] == paused["positions"]
    assert (state["paused"], state["paused_since"], state["stalled"]) == (True, paused["paused_since"], False)
    assert 0 < state["lag_seconds"] < 60
    monkeypatch.setattr(calls, "PATIENCE", 0.2)
    refused(await registry.get("/v1/cooperatives", params={"at_least": position}), 504, "not-caught-up")

    monkeypatch.undo()
    resumed = (await registry.post(f"{path}/resume")).json()
    assert (resumed["paused"], resumed["changed"], resumed["paused_by"]) == (False, True, None)
    assert (await registry.get("/v1/cooperatives", params={"at_least": position})).status_code == 200
    assert not (await registry.post(f"{path}/resume")).json()["changed"]
    state = (await registry.get(path)).json()
    assert (state["lag_events"], state["lag_seconds"]) == (0, 0.0)


async def test_a_repeated_pause_under_one_key_gets_the_first_answer_and_pauses_nothing_anew(
    registry: httpx.AsyncClient,
) -> None:
    path, key = "/v1/operations/projections/cooperatives", {"Idempotency-Key": "pause-once"}
    first = await registry.post(f"{path}/pause", headers=key)
    await registry.post(f"{path}/resume")
    assert (await registry.post(f"{path}/pause", headers=key)).json() == first.json()
    assert not (await registry.get(path)).json()["paused"]
    refused(await registry.post(f"{path}/resume", headers=key), 422, "idempotency-key-reused")


async def test_what_does_not_move_though_there_is_something_to_do_is_stalled(
    system: System, registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "WINDOW", 0.5)
    path = "/v1/operations/projections/cooperatives"
    holder = await asyncpg.connect(system.databases["registry"])
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM generations WHERE projection = 'cooperatives' FOR UPDATE")
            _, position = await registered(registry)

            async def stalled() -> bool:
                state = (await registry.get(path)).json()
                return bool(state["stalled"] and state["lag_events"])

            await eventually(stalled)
            assert 'dinkop_projection_stalled{projection="cooperatives"} 1.0' in await eventually(
                lambda: told(registry, "stalled", 1)
            )
    finally:
        await holder.close()
    assert (await registry.get("/v1/cooperatives", params={"at_least": position})).status_code == 200
    assert not (await registry.get(path)).json()["stalled"]


async def told(client: httpx.AsyncClient, name: str, value: float) -> str:
    """Return the metrics once the projection `cooperatives` has that value; empty until then."""
    text = (await client.get("/metrics")).text
    return text if f'dinkop_projection_{name}{{projection="cooperatives"}} {float(value)}' in text else ""


@every_service
async def test_prometheus_gets_what_the_status_tells(system: System, service: str) -> None:
    async with system.client(service) as client:
        text = await eventually(lambda: seen(client))
        state = (await client.get("/v1/projections")).json()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["dinkop_leading",] == 1
    assert samples["dinkop_relay_backlog",] == 0
    assert samples["dinkop_writes_accepted",] == 1
    assert samples["dinkop_database_seen",] == samples["dinkop_stream_seen",] == 1
    assert "dinkop_reconcile_age_seconds" not in text, "nobody has compared anything yet"
    for item in state["items"]:
        name = item["name"].partition(".")[2]
        assert samples["dinkop_projection_lag_events", name] == item["lag_events"]
        assert samples["dinkop_projection_lag_seconds", name] == item["lag_seconds"]
        assert samples["dinkop_projection_generation", name] == item["generation"]
        for flag in ("paused", "stalled", "outdated"):
            assert samples[f"dinkop_projection_{flag}", name] == 0


async def seen(client: httpx.AsyncClient) -> str:
    """Return the metrics once the service has looked at itself with everything applied; empty until then."""
    state = (await client.get("/v1/projections")).json()
    text = (await client.get("/metrics")).text
    level = all(item["lag_events"] == 0 for item in state["items"]) and "dinkop_leading 1.0" in text
    return text if level and not re.search(r"dinkop_projection_lag_events{.*} [1-9]", text) else ""


async def test_a_rebuild_begins_in_a_process_of_its_own_and_what_came_of_it_stands_under_its_id(
    reporting: httpx.AsyncClient,
) -> None:
    path = "/v1/operations/projections/timeline"
    before = (await reporting.get(path)).json()["generation"]
    body = {"projection": "reporting.timeline", "reason": "in doubt"}
    key = {"Idempotency-Key": "rebuild-once"}
    answer = await reporting.post("/v1/operations/rebuilds", json=body, headers=key)
    assert answer.status_code == 202, answer.text
    again = await reporting.post("/v1/operations/rebuilds", json=body, headers=key)
    assert (again.json(), again.headers["location"]) == (answer.json(), answer.headers["location"])

    async def done() -> Any:
        found = (await reporting.get(answer.headers["location"])).json()
        return found if found["ended_at"] else None

    record = await eventually(done)
    assert (record["id"], record["state"], record["kind"]) == (answer.json()["id"], "live", "rebuild")
    assert (record["projection"], record["replaced"], record["reason"]) == ("timeline", before, "in doubt")
    assert (record["actor"], record["error"]) == (issuing.ACTOR, None)
    assert str(os.getpid()) not in record["holder"]
    state = (await reporting.get(path)).json()
    assert state["generation"] == record["generation"] > before
    live = f'dinkop_projection_generation{{projection="timeline"}} {float(record["generation"])}'

    async def is_told() -> bool:
        return live in (await reporting.get("/metrics")).text

    await eventually(is_told)
    assert [(other["generation"], other["status"]) for other in state["others"]] == [(before, "previous")]
    listed = (await reporting.get("/v1/operations/rebuilds", params={"projection": "timeline"})).json()
    assert listed["items"][0] == record

    back = await reporting.post(f"{path}/rollback")
    assert (back.status_code, back.json()["generation"]) == (200, before), back.text
    page = (await reporting.get("/v1/operations/rebuilds", params={"limit": 1})).json()
    assert [item["kind"] for item in page["items"]] == ["rollback"]
    page = (await reporting.get("/v1/operations/rebuilds", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert page["items"] == [record]

    retired = await reporting.post(f"{path}/retire")
    assert retired.status_code == 200, retired.text
    assert [other["status"] for other in retired.json()["others"]] == ["retired"]
    refused(await reporting.get(f"/v1/operations/rebuilds/{NOBODY}"), 404, "no-such-rebuild")


async def test_a_second_rebuild_of_a_projection_is_refused_naming_who_is_at_it(
    system: System, reporting: httpx.AsyncClient
) -> None:
    body = {"projection": "timeline", "kind": "verify"}
    holder = await asyncpg.connect(system.databases["reporting"])
    try:
        assert await holder.fetchval("SELECT pg_try_advisory_lock(hashtext('rebuild:timeline'))")
        problem = refused(await reporting.post("/v1/operations/rebuilds", json=body), 409, "replay-refused")
        assert "timeline is being worked on already" in problem["detail"]
    finally:
        await holder.close()


async def test_a_rebuild_that_was_killed_is_told_as_interrupted(system: System, reporting: httpx.AsyncClient) -> None:
    left = "'0190b5a0-0000-7000-8000-00000000dead', 'timeline', 'rebuild', 'running', 1, '', 'siti', 'kantor'"
    await system.execute(
        "reporting",
        f"INSERT INTO rebuilds (id, projection, kind, state, version, code, actor, holder) VALUES ({left})",
    )
    [latest] = (await reporting.get("/v1/operations/rebuilds", params={"limit": 1})).json()["items"]
    assert (latest["state"], latest["holder"]) == ("interrupted", "kantor")
    holder = await asyncpg.connect(system.databases["reporting"])
    try:
        await holder.execute("SELECT pg_advisory_lock(hashtext('rebuild:timeline'))")
        one = (await reporting.get(f"/v1/operations/rebuilds/{latest['id']}")).json()
        assert one["state"] == "running", "while somebody holds the lease"
        assert "dinkop_rebuild_running" in await eventually(lambda: rebuilding(reporting))
    finally:
        await holder.close()


async def rebuilding(client: httpx.AsyncClient) -> str:
    text = (await client.get("/metrics")).text
    return text if 'dinkop_rebuild_running{kind="rebuild",projection="timeline"} 1.0' in text else ""


async def test_what_is_set_aside_is_counted_for_the_status_and_for_prometheus(
    system: System, reporting: httpx.AsyncClient
) -> None:
    path = "/v1/operations/projections/camat_reports"
    generation = (await reporting.get(path)).json()["generation"]
    parked = (
        "INSERT INTO parked (consumer, generation, service, sequence, type, subject, headers, data, attempts) VALUES"
    )
    for consumer, of, sequence in (
        ("camat_reports", generation, 1),
        ("camat_reports", generation, 2),
        ("reaction:x", "NULL", 1),
    ):
        await system.execute(
            "reporting", f"{parked} ('{consumer}', {of}, 'registry', {sequence}, 'T', 's', '{{}}', '', 1)"
        )
    try:
        assert (await reporting.get(path)).json()["parked"] == 2
        assert (await reporting.get("/v1/projections")).json()["parked_reactions"] == {"reaction:x": 1}

        async def told() -> bool:
            text = (await reporting.get("/metrics")).text
            return 'consumer="camat_reports"} 2.0' in text and 'consumer="reaction:x"} 1.0' in text

        await eventually(told)
    finally:
        await system.execute("reporting", "DELETE FROM parked")
