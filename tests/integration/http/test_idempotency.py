"""Idempotency-Key: a repeat gets the first answer, whatever happened since; another request is refused."""

import asyncio
from typing import Any

import httpx
from documents import TUMPANG, refused, registered, registration, report, request
from eventually import eventually
from system import System


def same(first: httpx.Response, again: httpx.Response) -> bool:
    """Tell whether two answers are the same to the byte, and speak of the same version and position."""
    assert first.status_code < 300, first.text
    return (first.status_code, first.content) == (again.status_code, again.content) and all(
        first.headers.get(name) == again.headers.get(name) for name in ("dinkop-position", "etag", "content-type")
    )


async def test_a_repeat_gets_the_first_answer_to_the_byte_and_makes_no_second_event(
    registry: httpx.AsyncClient,
) -> None:
    body, headers = registration(), {"Idempotency-Key": "register-once"}
    first = await registry.post("/v1/cooperatives", json=body, headers=headers)
    assert first.status_code == 201
    assert same(first, await registry.post("/v1/cooperatives", json=body, headers=headers))
    history = await registry.get(f"/v1/cooperatives/{first.json()['cooperative_id']}/history")
    assert len(history.json()["items"]) == 1


async def test_a_repeat_gets_the_first_answer_although_the_state_has_moved_on(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient
) -> None:
    cooperative_id, position = await registered(registry)
    corrections = f"/v1/cooperatives/{cooperative_id}/corrections"
    body = {"changes": {"members_total": 42}, "reason": "-"}
    headers = {"Idempotency-Key": "correct-once", "If-Match": '"1"'}
    first = await registry.post(corrections, json=body, headers=headers)
    await registry.post(corrections, json={"changes": {"members_total": 43}, "reason": "-"})
    assert same(first, await registry.post(corrections, json=body, headers=headers))

    path = f"/v1/cooperatives/{cooperative_id}/rats"
    asked: dict[str, Any] = {
        "json": report(),
        "params": {"at_least": position},
        "headers": {"Idempotency-Key": "record-once"},
    }
    first = await rat.post(path, **asked)
    void: dict[str, Any] = {"json": {"reason": "-"}, "headers": {"Idempotency-Key": "annul-once"}}
    annulled = await rat.post(f"{path}/2023/annulments", **void)
    assert same(first, await rat.post(path, **asked))
    assert same(annulled, await rat.post(f"{path}/2023/annulments", **void))
    assert len((await rat.get(f"/v1/cooperatives/{cooperative_id}/history")).json()["items"]) == 2


async def test_a_repeat_gets_the_first_answer_although_what_it_needed_cannot_be_seen_any_more(
    system: System, registry: httpx.AsyncClient, rat: httpx.AsyncClient
) -> None:
    cooperative_id, position = await registered(registry)
    path = f"/v1/cooperatives/{cooperative_id}/rats"
    asked: dict[str, Any] = {
        "json": report(),
        "params": {"at_least": position},
        "headers": {"Idempotency-Key": "record-unseen"},
    }
    first = await rat.post(path, **asked)
    assert first.status_code == 201, first.text
    # As while the read model is being built anew, or after the cooperative was dissolved.
    await system.execute("rat", f"DELETE FROM cooperatives_g1.cooperatives WHERE cooperative_id = '{cooperative_id}'")
    assert same(first, await rat.post(path, **asked))
    refused(await rat.post(path, json=report(book_year=2022, held_on="2023-03-01")), 404, "no-such-cooperative")


async def test_repeats_at_the_same_moment_make_one_event_and_get_one_answer(system: System) -> None:
    for service, path, body in (
        ("registry", "/v1/cooperatives", registration()),
        ("mentoring", "/v1/requests", request()),
    ):
        async with system.client(service) as client:
            before = (await client.get("/v1/projections")).json()["store"]["position"]
            headers = {"Idempotency-Key": "at-once"}
            answers = await asyncio.gather(*(client.post(path, json=body, headers=headers) for _ in range(12)))
            assert all(same(answers[0], answer) for answer in answers), [answer.text for answer in answers]
            assert (await client.get("/v1/projections")).json()["store"]["position"] == before + 1


async def test_one_of_many_different_requests_with_one_key_is_carried_out(registry: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one-of-many"}
    answers = await asyncio.gather(
        *(registry.post("/v1/cooperatives", json=registration(), headers=headers) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[422] * 7]


async def test_the_same_key_with_another_request_is_422(registry: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "reused"}
    body = registration()
    first = await registry.post("/v1/cooperatives", json=body, headers=headers)
    cooperative_id = first.json()["cooperative_id"]
    other = await registry.post("/v1/cooperatives", json=registration(), headers=headers)
    refused(other, 422, "idempotency-key-reused", "Idempotency-Key")
    relocation = {"kecamatan_code": TUMPANG, "address": "Jl. Raya Tumpang 1"}
    path = f"/v1/cooperatives/{cooperative_id}/relocations"
    refused(await registry.post(path, json=relocation, headers=headers), 422, "idempotency-key-reused")
    assert same(first, await registry.post("/v1/cooperatives", json=body, headers=headers))


async def test_a_refused_request_may_be_tried_again_with_its_key(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient
) -> None:
    cooperative_id, _ = await registered(registry)
    path, headers = f"/v1/cooperatives/{cooperative_id}/rats", {"Idempotency-Key": "try-again"}

    async def recorded() -> bool:
        """At first rat may not have heard of the cooperative."""
        return (await rat.post(path, json=report(), headers=headers)).status_code == 201

    await eventually(recorded)
    assert len((await rat.get(f"/v1/cooperatives/{cooperative_id}/history")).json()["items"]) == 1


async def test_the_longest_key_and_the_strangest_visible_one_are_taken(registry: httpx.AsyncClient) -> None:
    for key in ("k" * 255, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"):
        answer = await registry.post("/v1/cooperatives", json=registration(), headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
