"""Requests generated from each service's own OpenAPI document: none ends in a 5xx, every answer is as declared.

DINKOP_GENERATED_REQUESTS sets how many are made of each operation, besides those that cover its edges.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import issuing
import pytest
import schemathesis
from eventually import eventually
from fresh import SERVICES
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import (
    allow_header_conformance,
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.config import SchemathesisConfig
from system import System

from chassis.bootstrap import build
from chassis.http import calls
from chassis.operations.children import Children, ReplayRefused
from chassis.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    allow_header_conformance,
    unsupported_method,
]
_ETAG, _POSITION = re.compile(r'"[0-9]{1,9}"'), re.compile(r"[a-z]+:[0-9]+(,[a-z]+:[0-9]+)*")
_KECAMATAN = re.compile(r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}")
generously = settings(
    max_examples=int(os.environ.get("DINKOP_GENERATED_REQUESTS", "8")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def schema_of(service: str) -> Any:
    """Return what the service says about itself, as a source of requests."""
    document = build(SERVICES[service], Settings(database_url="postgresql://nowhere")).openapi()
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig())


# What all four have in common is asked of one of them.
registry, rat, mentoring = (schema_of(service).exclude(tag="operations") for service in list(SERVICES)[:3])
reporting = schema_of("reporting")


@pytest.fixture(scope="module")
def ids(system: System) -> Iterator[dict[str, str]]:
    """Things that exist, so that requests get further than 404."""
    with httpx.Client(headers=issuing.everything(), trust_env=False, timeout=60) as client:
        cooperative = client.post(
            f"{system.urls['registry']}/v1/cooperatives",
            json={
                "name": "KSP Contoh",
                "legal_entity_number": "1/BH/2010",
                "legal_entity_date": "2010-01-05",
                "kecamatan_code": "35.07.21",
            },
        )
        cooperative_id = cooperative.json()["cooperative_id"]
        meeting = client.post(
            f"{system.urls['rat']}/v1/cooperatives/{cooperative_id}/rats",
            params={"at_least": cooperative.headers["dinkop-position"]},
            json={"book_year": 2022, "held_on": "2023-02-01", "members_total": 10, "members_present": 8},
        )
        request = client.post(
            f"{system.urls['mentoring']}/v1/requests",
            json={
                "cooperative_name": "KSP Contoh",
                "location": {"kecamatan_code": "35.07.21", "address": "Jl. Raya Wagir 12"},
                "people": [],
                "complaint": "RAT belum terlaksana",
                "category": "rat",
                "channel": "letter",
            },
        )
    assert [answer.status_code for answer in (cooperative, meeting, request)] == [201, 201, 201]
    patience, calls.PATIENCE = calls.PATIENCE, 0.1
    run, Children._run = Children._run, _refused  # type: ignore[method-assign]
    yield {"cooperative_id": cooperative_id, "request_id": request.json()["request_id"]}
    calls.PATIENCE, Children._run = patience, run  # type: ignore[method-assign]


async def _refused(_: Children, words: Sequence[str]) -> None:
    """Stand for a replay: a process for each request would take most of the time."""
    raise ReplayRefused(" ".join(words))


def check(case: Case[Any], url: str, ids: dict[str, str]) -> None:
    """Send a request and check its answer."""
    _go_deeper(case, ids)
    case.call_and_validate(base_url=url, checks=CHECKS, headers=issuing.everything(), timeout=60)


def _go_deeper(case: Case[Any], ids: dict[str, str]) -> None:
    """Make what is well-formed the name of something that exists, and of versions and positions any."""
    path: dict[str, Any] = case.path_parameters or {}
    headers: Any = case.headers or {}
    query: dict[str, Any] = case.query or {}
    for name, existing in ids.items():
        if name in path and _is_uuid(path[name]):
            path[name] = existing
    if path.get("book_year") in range(1900, 2200):
        path["book_year"] = 2022
    if _ETAG.fullmatch(str(headers.get("if-match"))):
        headers["if-match"] = "*"
    if _POSITION.fullmatch(str(query.get("at_least"))):
        query["at_least"] = "registry:1"
    if isinstance(case.body, dict):
        for place in (case.body, case.body.get("location"), case.body.get("changes")):
            if isinstance(place, dict) and _KECAMATAN.fullmatch(str(place.get("kecamatan_code"))):
                place["kecamatan_code"] = "35.07.21"
                place.pop("village_code", None)


def _is_uuid(value: object) -> bool:
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False


@registry.parametrize()
@generously
def test_the_registry_answers_as_it_declares(case: Case[Any], system: System, ids: dict[str, str]) -> None:
    check(case, system.urls["registry"], ids)


@rat.parametrize()
@generously
def test_the_rat_service_answers_as_it_declares(case: Case[Any], system: System, ids: dict[str, str]) -> None:
    check(case, system.urls["rat"], ids)


@mentoring.parametrize()
@generously
def test_mentoring_answers_as_it_declares(case: Case[Any], system: System, ids: dict[str, str]) -> None:
    check(case, system.urls["mentoring"], ids)


@reporting.parametrize()
@generously
def test_reporting_answers_as_it_declares(case: Case[Any], system: System, ids: dict[str, str]) -> None:
    check(case, system.urls["reporting"], ids)


async def test_whatever_was_accepted_is_published_and_projected(system: System, ids: dict[str, str]) -> None:
    async def settled() -> bool:
        async with httpx.AsyncClient(headers=issuing.everything(), trust_env=False) as client:
            for url in system.urls.values():
                status = (await client.get(f"{url}/v1/projections")).json()
                errors = [status["relay"]["last_error"], *(item["last_error"] for item in status["items"])]
                assert not any(errors), errors
                if status["relay"]["backlog"] or any(item["lag_events"] for item in status["items"]):
                    return False
        return True

    await eventually(settled, 60)
