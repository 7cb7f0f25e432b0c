"""The team's calendar through HTTP."""

from typing import Any

import httpx
from mentoring_service import taken_down


async def accepted(client: httpx.AsyncClient, visit_on: str, *team: str) -> str:
    """Take down a request and accept it; return its id."""
    request_id = await taken_down(client)
    body = {"team": team or ["Pendamping"], "visit_on": visit_on}
    answer = await client.post(f"/v1/requests/{request_id}/acceptances", json=body)
    assert answer.status_code == 201, answer.text
    return request_id


async def held(client: httpx.AsyncClient, request_id: str, kind: str, on: str) -> None:
    """Record an activity."""
    body = {"kind": kind, "held_on": on, "participants": 3, "notes": "Catatan."}
    answer = await client.post(f"/v1/requests/{request_id}/activities", json=body)
    assert answer.status_code == 201, answer.text


async def days(client: httpx.AsyncClient, **params: Any) -> list[tuple[str, str, str]]:
    """Return day, kind and state of the entries."""
    answer = await client.get("/v1/calendar", params=params)
    assert answer.status_code == 200, answer.text
    return [(item["on"], item["kind"], item["state"]) for item in answer.json()["items"]]


async def test_the_calendar_tells_what_is_to_come_and_what_was_and_of_persons_the_team_alone(
    client: httpx.AsyncClient,
) -> None:
    one = await accepted(client, "2024-11-20", "Pendamping Satu", "Pendamping Dua")
    await accepted(client, "2024-11-14")
    await held(client, one, "training", "2024-11-12")
    answer = await client.get("/v1/calendar", params={"at_least": "mentoring:5"})
    today, later = answer.json()["items"]
    assert later == {
        "on": "2024-11-20",
        "kind": "visit",
        "state": "planned",
        "request_id": one,
        "cooperative_id": None,
        "kecamatan_code": "35.07.21",
        "team": ["Pendamping Satu", "Pendamping Dua"],
    }
    assert (today["on"], today["team"], answer.json()["next_cursor"]) == ("2024-11-14", ["Pendamping"], None)
    past = {"from": "2024-11-01", "to": "2024-11-14"}
    assert await days(client, **past) == [("2024-11-12", "training", "held"), ("2024-11-14", "visit", "planned")]
    assert await days(client, **{"from": "2024-11-12", "to": "2024-11-12"}) == [("2024-11-12", "training", "held")]
    assert await days(client, **{"from": "2024-11-21"}) == []


async def test_the_calendar_is_read_page_by_page_by_day(client: httpx.AsyncClient) -> None:
    for day in ("2024-12-03", "2024-12-01", "2024-12-02", "2024-12-01"):
        await accepted(client, day)
    everything = (await client.get("/v1/calendar", params={"at_least": "mentoring:8"})).json()["items"]
    assert [item["on"] for item in everything] == ["2024-12-01", "2024-12-01", "2024-12-02", "2024-12-03"]
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = (await client.get("/v1/calendar", params={"limit": "1"} | cursor)).json()
        paged += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    assert (paged, page["next_cursor"]) == (everything, None)


async def test_a_completed_mentoring_plans_no_visit(client: httpx.AsyncClient) -> None:
    request_id = await accepted(client, "2024-12-01")
    body = {"outcome": "withdrawn", "notes": "Dicabut."}
    assert (await client.post(f"/v1/requests/{request_id}/completions", json=body)).status_code == 201
    assert await days(client, at_least="mentoring:3") == []


async def test_a_calendar_cannot_be_asked_for_by_what_is_nothing(client: httpx.AsyncClient) -> None:
    nothing = {"from": "yesterday", "to": "2024-11-13", "cursor": "AAAA", "team": "Bu Sri"}
    for parameter, value in nothing.items():
        answer = await client.get("/v1/calendar", params={parameter: value})
        assert answer.status_code == 422, parameter
        assert [error["field"] for error in answer.json()["errors"]] == [parameter]
