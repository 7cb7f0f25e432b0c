"""What requests carry, and what a refusal looks like."""

import itertools
from typing import Any

import httpx

MEDIA_TYPE = "application/problem+json"
JSON = {"Content-Type": "application/json"}
NOBODY = "0190b5a0-0000-7000-8000-000000000000"
WAGIR, TUMPANG = "35.07.21", "35.07.16"
_numbers = itertools.count(1)


def registration(**different: Any) -> dict[str, Any]:
    """Return a registration under a number of its own, but for what is different."""
    return {
        "name": "Koperasi Tani Contoh",
        "legal_entity_number": f"{next(_numbers)}/BH/2010",
        "legal_entity_date": "2010-01-05",
        "kecamatan_code": WAGIR,
    } | different


def report(**different: Any) -> dict[str, Any]:
    """Return the report of a meeting with its quorum, but for what is different."""
    return {"book_year": 2023, "held_on": "2024-02-17", "members_total": 42, "members_present": 30} | different


def request(**different: Any) -> dict[str, Any]:
    """Return a request for mentoring, but for what is different."""
    return {
        "cooperative_name": "Koperasi Tani Contoh",
        "location": {"kecamatan_code": WAGIR, "address": "Jl. Raya Wagir 12"},
        "people": [],
        "complaint": "RAT belum terlaksana",
        "category": "rat",
        "channel": "letter",
    } | different


async def registered(registry: httpx.AsyncClient, **different: Any) -> tuple[str, str]:
    """Register a cooperative; return its id and the position to wait for."""
    answer = await registry.post("/v1/cooperatives", json=registration(**different))
    assert answer.status_code == 201, answer.text
    return answer.json()["cooperative_id"], answer.headers["dinkop-position"]


def refused(answer: httpx.Response, status: int, slug: str, field: str | None = None) -> dict[str, Any]:
    """Check that the answer is a whole problem document, and return it; `field` must be among its errors."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status), answer.text
    assert problem["title"]
    assert problem["detail"]
    if status == 422:
        assert problem["errors"]
        for error in problem["errors"]:
            assert set(error) == {"field", "problem"}
            assert error["problem"]
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], answer.text
    return problem
