"""Requests for mentoring through HTTP: taken down, looked up, refused."""

from pathlib import Path
from typing import Any

import httpx
import issuing
import pytest
from eventually import eventually
from mentoring_service import REQUEST, Keys, Register, serving, taken_down
from nats.aio.client import Client

from chassis.definitions import clock
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from chassis.storage.database import Database
from chassis.storage.vault import Unreadable

NOTHING_YET: dict[str, Any] = {
    "accepted_on": None,
    "team": None,
    "visit_on": None,
    "declined_on": None,
    "redirected_on": None,
    "redirected_to": None,
    "reason": None,
    "activities": [],
    "completed_on": None,
    "outcome": None,
    "notes": None,
    "rats": [],
    "suggested_outcome": None,
}


async def test_a_request_is_answered_with_its_id_version_and_position(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/requests", json=REQUEST)
    assert answer.status_code == 201
    assert answer.json() == {"request_id": answer.json()["request_id"], "version": 1}
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["dinkop-position"] == "mentoring:1"


async def test_a_request_reads_as_it_was_told_without_its_people(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    answer = await client.get(f"/v1/requests/{request_id}")
    told = {name: value for name, value in REQUEST.items() if name != "people"}
    taken = {"request_id": request_id, "version": 1, "state": "requested", "forgotten": False}
    assert answer.json() == told | taken | NOTHING_YET
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"


async def test_the_people_of_a_request_are_asked_for_by_themselves(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    answer = await client.get(f"/v1/requests/{request_id}/people")
    first, second = REQUEST["people"]
    assert answer.json() == {"items": [first, second | {"phone": None}], "next_cursor": None}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_request_received_without_a_date_was_received_today(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client, received_on=None, letter_number=None, letter_date=None, people=[])
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    assert (item["received_on"], item["letter_number"], item["letter_date"]) == ("2024-11-14", None, None)


async def test_the_history_tells_who_and_when_and_only_what_is_public(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    [item] = (await client.get(f"/v1/requests/{request_id}/history")).json()["items"]
    assert (item["type"], item["version"], item["sequence"], item["actor"]) == (
        "MentoringRequested",
        1,
        1,
        issuing.ACTOR,
    )
    assert item["data"] == {
        "request_id": request_id,
        "cooperative_id": None,
        "kecamatan_code": "35.07.21",
        "village_code": "35.07.21.2003",
        "category": "rat",
        "channel": "letter",
        "letter_date": "2024-10-31",
        "received_on": "2024-11-04",
    }


async def test_the_same_idempotency_key_gets_the_first_answer_and_makes_no_second_request(
    client: httpx.AsyncClient, service_database: Database, keys: Keys
) -> None:
    first, again = [
        await client.post("/v1/requests", json=REQUEST, headers={"Idempotency-Key": "key-1"}) for _ in range(2)
    ]
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["dinkop-position"] == first.headers["dinkop-position"]
    assert await service_database.pool.fetchval("SELECT count(*) FROM events") == 1
    assert len(keys()) == 1
    other = await client.post("/v1/requests", json=REQUEST | {"people": []}, headers={"Idempotency-Key": "key-1"})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_cooperative_registered_just_now_can_be_named(client: httpx.AsyncClient, register: Register) -> None:
    cooperative_id, position = await register()
    answer = await client.post(
        "/v1/requests", params={"at_least": position}, json=REQUEST | {"cooperative_id": str(cooperative_id)}
    )
    assert answer.status_code == 201
    item = (await client.get(f"/v1/requests/{answer.json()['request_id']}")).json()
    assert item["cooperative_id"] == str(cooperative_id)


async def test_a_cooperative_nobody_registered_is_404_and_leaves_nothing_behind(
    client: httpx.AsyncClient, keys: Keys
) -> None:
    answer = await client.post("/v1/requests", json=REQUEST | {"cooperative_id": str(clock.new_id())})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-cooperative")
    assert keys() == []


async def test_a_request_nobody_made_is_404(client: httpx.AsyncClient) -> None:
    for part in ("", "/people", "/history"):
        answer = await client.get(f"/v1/requests/{clock.new_id()}{part}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-request")


def location(**different: Any) -> dict[str, Any]:
    """Return the usual location, but for what is different."""
    return {"location": REQUEST["location"] | different}


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"received_on": "2024-11-15"}, "received_on"),
    ({"letter_date": "2024-11-05"}, "letter_date"),
    ({"letter_date": "31/10/2024"}, "letter_date"),
    ({"category": "money"}, "category"),
    ({"channel": "fax"}, "channel"),
    ({"complaint": " "}, "complaint"),
    ({"cooperative_name": None}, "cooperative_name"),
    ({"cooperative_id": "KSP"}, "cooperative_id"),
    ({"people": None}, "people"),
    ({"people": [{"name": "X"}]}, "people.0.role"),
    ({"people": [{"name": "X", "role": "ketua", "nik": "1"}]}, "people.0.nik"),
    ({"surprise": 1}, "surprise"),
    (location(kecamatan_code="35.07.99"), "location.kecamatan_code"),
    (location(kecamatan_code="350721"), "location.kecamatan_code"),
    (location(village_code="35.07.21.9999"), "location.village_code"),
    (location(village_code="35.07.19.2005"), "location.village_code"),
    (location(rt="3"), "location.rt"),
]


async def test_what_cannot_be_right_is_422_naming_the_field_and_leaves_nothing_behind(
    client: httpx.AsyncClient, service_database: Database, keys: Keys
) -> None:
    for different, field in IMPOSSIBLE:
        answer = await client.post("/v1/requests", json=REQUEST | different)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), different
        assert [error["field"] for error in answer.json()["errors"]] == [field], different
    assert await service_database.pool.fetchval("SELECT count(*) FROM events") == 0
    assert keys() == []


async def test_requests_are_listed_page_by_page_and_by_what_they_are(
    client: httpx.AsyncClient, register: Register
) -> None:
    cooperative_id, position = await register()
    ids = [await taken_down(client) for _ in range(2)]
    elsewhere = {"kecamatan_code": "35.07.19", "village_code": None, "address": "Jl. Pakisaji"}
    ids.append(await taken_down(client, location=elsewhere))
    answer = await client.post(
        "/v1/requests", params={"at_least": position}, json=REQUEST | {"cooperative_id": str(cooperative_id)}
    )
    ids.append(answer.json()["request_id"])

    async def listed(**filters: Any) -> list[str]:
        answer = await client.get("/v1/requests", params=filters | {"at_least": "mentoring:4"})
        assert answer.status_code == 200, answer.text
        return [item["request_id"] for item in answer.json()["items"]]

    assert await listed() == ids
    assert await listed(kecamatan_code="35.07.19") == [ids[2]]
    assert await listed(cooperative_id=str(cooperative_id)) == [ids[3]]
    assert await listed(state="requested", kecamatan_code="35.07.21") == [ids[0], ids[1], ids[3]]

    first = (await client.get("/v1/requests", params={"limit": 3})).json()
    rest = (await client.get("/v1/requests", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [[item["request_id"] for item in page["items"]] for page in (first, rest)] == [ids[:3], ids[3:]]
    assert rest["next_cursor"] is None
    whole = (await client.get("/v1/requests", params={"limit": 4})).json()
    assert whole["next_cursor"] is None


async def test_a_line_of_the_list_names_no_person_and_repeats_nobodys_words(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    [line] = (await client.get("/v1/requests", params={"at_least": "mentoring:1"})).json()["items"]
    assert line == {
        "request_id": request_id,
        "state": "requested",
        "cooperative_id": None,
        "kecamatan_code": "35.07.21",
        "village_code": "35.07.21.2003",
        "category": "rat",
        "channel": "letter",
        "letter_date": "2024-10-31",
        "received_on": "2024-11-04",
    }


async def test_a_list_cannot_be_asked_for_by_what_is_nothing(client: httpx.AsyncClient) -> None:
    nothing = {"state": "sleeping", "kecamatan_code": "Wagir", "cooperative_id": "1", "cursor": "AAAA", "q": "x"}
    for parameter, value in nothing.items():
        answer = await client.get("/v1/requests", params={parameter: value})
        assert answer.status_code == 422, parameter
        assert [error["field"] for error in answer.json()["errors"]] == [parameter]


async def test_the_world_learns_of_a_request_once_under_its_number(
    client: httpx.AsyncClient, public_stream: Client
) -> None:
    request_id = await taken_down(client)
    log = JetStreamLog(public_stream)

    async def published() -> bool:
        return (await log.last("mentoring")).sequence == 1

    await eventually(published)
    message = await public_stream.jetstream().get_last_msg("DINKOP", "dinkop.v1.mentoring.MentoringRequested.350721")
    assert message.headers is not None
    assert message.headers["ce-subject"] == request_id


async def test_no_event_is_made_when_its_key_cannot_be_written_down(
    client: httpx.AsyncClient, service_database: Database, settings: Settings
) -> None:
    assert settings.keys is not None
    settings.keys.rmdir()
    settings.keys.touch()
    answer = await client.post("/v1/requests", json=REQUEST)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert "keys of personal data" in answer.json()["detail"]
    assert await service_database.pool.fetchval("SELECT count(*) FROM events") == 0


async def test_a_service_that_finds_none_of_its_keys_refuses_to_start(
    client: httpx.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    await taken_down(client)
    other = Settings(**{**settings.model_dump(), "keys": tmp_path / "elsewhere"})
    with pytest.raises(Unreadable, match="is it the right folder"):
        async with serving(other):
            pass


async def test_a_service_with_another_master_key_refuses_to_start(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    await taken_down(client)
    other = Settings(**{**settings.model_dump(), "master_key": "A" * 43 + "="})
    with pytest.raises(Unreadable):
        async with serving(other):
            pass
