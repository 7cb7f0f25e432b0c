"""Two replicas of every service: either takes any call, one alone relays and projects."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from eventually import eventually
from mentoring_request import REQUEST
from replica_set import Replicas, Truth

from contracts.envelope import SERVICES


def cooperative(number: str) -> dict[str, Any]:
    """Return what registers a cooperative of this number."""
    return {
        "name": f"Koperasi {number}",
        "legal_entity_number": f"{number}/BH/2015",
        "legal_entity_date": "2015-08-03",
        "kecamatan_code": "35.07.21",
    }


async def registered(client: httpx.AsyncClient, number: str) -> tuple[str, str]:
    """Register a cooperative; return its id, and the position to wait for."""
    answer = await client.post("/v1/cooperatives", json=cooperative(number))
    assert answer.status_code == 201, answer.text
    return answer.json()["cooperative_id"], answer.headers["Dinkop-Position"]


@pytest.mark.parametrize("service", SERVICES)
async def test_exactly_one_leads(replicas: Replicas, service: str) -> None:
    states = [await each.state() for each in replicas.of[service]]
    assert sorted(each["leading"] for each in states) == [False, True]
    assert all(each["writes"]["accepted"] for each in states)


async def test_what_one_registered_the_other_changes_and_a_stale_version_is_refused_by_both(
    registry: list[httpx.AsyncClient],
) -> None:
    one, other = registry
    cooperative_id, _ = await registered(one, "versions")
    path = f"/v1/cooperatives/{cooperative_id}/corrections"
    change = {"changes": {"name": "Koperasi Lain"}, "reason": "Salah tulis"}
    changed = await other.post(path, json=change, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (201, '"2"'), changed.text
    again = {"changes": {"name": "Koperasi Ketiga"}, "reason": "Salah tulis"}
    for client in registry:
        assert (await client.post(path, json=again, headers={"If-Match": '"1"'})).status_code == 412


async def test_one_key_sent_to_both_at_the_same_moment_makes_one_event(
    registry: list[httpx.AsyncClient], truth: Truth
) -> None:
    before = len(await truth.stored("registry"))
    rounds = 20
    for number in range(rounds):
        body, key = cooperative(f"once-{number}"), {"Idempotency-Key": f"both-{number}"}
        answers = await asyncio.gather(
            *(client.post("/v1/cooperatives", json=body, headers=key) for client in registry for _ in range(2))
        )
        assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
        assert len({answer.text for answer in answers}) == 1
        assert len({answer.headers["Dinkop-Position"] for answer in answers}) == 1
    assert len(await truth.stored("registry")) == before + rounds


async def test_the_same_number_registered_at_both_at_the_same_moment_is_taken_once(
    registry: list[httpx.AsyncClient],
) -> None:
    for number in range(10):
        answers = await asyncio.gather(
            *(client.post("/v1/cooperatives", json=cooperative(f"taken-{number}")) for client in registry)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_who_waits_for_a_position_gets_it_from_the_replica_that_does_not_project(
    replicas: Replicas, registry: list[httpx.AsyncClient]
) -> None:
    follower = await replicas.follower("reporting")
    async with follower.client() as client:
        for number in range(5):
            cooperative_id, position = await registered(registry[number % 2], f"read-{number}")
            answer = await client.get(f"/v1/health/{cooperative_id}", params={"at_least": position})
            assert answer.status_code == 200, answer.text


async def test_personal_data_taken_down_at_one_is_read_and_forgotten_at_the_other(
    mentorings: list[httpx.AsyncClient],
) -> None:
    one, other = mentorings
    request_id = (await one.post("/v1/requests", json=REQUEST)).json()["request_id"]
    assert (await other.get(f"/v1/requests/{request_id}/people")).json()["items"][0]["name"] == "Nama Pemohon"
    forgotten = await other.delete(f"/v1/requests/{request_id}/people")
    assert forgotten.status_code in (200, 204), forgotten.text
    for client in mentorings:
        assert (await client.get(f"/v1/requests/{request_id}/people")).status_code == 410


async def test_each_event_is_published_once_and_in_order(
    registry: list[httpx.AsyncClient], mentorings: list[httpx.AsyncClient], truth: Truth
) -> None:
    await asyncio.gather(*(registered(registry[number % 2], f"stream-{number}") for number in range(40)))
    for service in ("registry", "mentoring"):
        stored = await truth.stored(service)
        await eventually(lambda name=service, all_=stored: _are(truth, name, all_))
        assert len({UUID(each) for each in stored}) == len(stored)


async def _are(truth: Truth, service: str, stored: list[str]) -> bool:
    return await truth.published(service) == stored
