"""ETag and If-Match, Dinkop-Position and at_least, correlation ids."""

import asyncio

import asyncpg
import httpx
import issuing
import nats as nats_py
import pytest
from documents import NOBODY, TUMPANG, refused, registered, registration, report, request
from eventually import eventually
from system import System

from chassis.http import calls
from contracts.envelope import STREAM


async def test_a_version_is_told_with_every_answer_and_a_stale_one_is_412(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry)
    path = f"/v1/cooperatives/{cooperative_id}"
    assert (await registry.get(path)).headers["etag"] == '"1"'

    async def corrected(members: int, if_match: str) -> httpx.Response:
        body = {"changes": {"members_total": members}, "reason": "-"}
        return await registry.post(f"{path}/corrections", json=body, headers={"If-Match": if_match})

    answer = await corrected(1, '"1"')
    assert (answer.status_code, answer.headers["etag"], answer.json()["version"]) == (201, '"2"', 2)
    for stale in ('"1"', '"0"', '"3"'):
        refused(await corrected(2, stale), 412, "stale-version")
    for fresh in ('"2"', 'W/"3"', "*"):
        assert (await corrected(10 + int(fresh.strip('W/"*') or 4), fresh)).status_code == 201
    item = await registry.get(path)
    assert (item.headers["etag"], item.json()["version"]) == ('"5"', 5)


async def test_of_many_who_saw_the_same_version_one_is_first(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry)
    answers = await asyncio.gather(
        *(
            registry.post(
                f"/v1/cooperatives/{cooperative_id}/corrections",
                json={"changes": {"members_total": number}, "reason": "-"},
                headers={"If-Match": '"1"'},
            )
            for number in range(1, 9)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[412] * 7]


async def test_rat_keeps_versions_too(registry: httpx.AsyncClient, rat: httpx.AsyncClient) -> None:
    cooperative_id, position = await registered(registry)
    path, params = f"/v1/cooperatives/{cooperative_id}/rats", {"at_least": position}
    assert (await rat.get(path, params=params)).headers["etag"] == '"0"'
    assert (await rat.post(path, json=report(), headers={"If-Match": '"0"'})).headers["etag"] == '"1"'
    refused(await rat.post(path, json=report(book_year=2022), headers={"If-Match": '"0"'}), 412, "stale-version")
    assert (await rat.get(path)).headers["etag"] == '"1"'


async def test_positions_count_every_event_of_a_service_without_a_gap(registry: httpx.AsyncClient) -> None:
    positions = [int((await registered(registry))[1].removeprefix("registry:")) for _ in range(3)]
    assert positions == list(range(positions[0], positions[0] + 3))


async def test_a_reader_that_names_a_position_sees_what_was_done_there(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient, reporting: httpx.AsyncClient
) -> None:
    cooperative_id, registered_at = await registered(registry)
    answer = await rat.post(
        f"/v1/cooperatives/{cooperative_id}/rats", json=report(), params={"at_least": registered_at}
    )
    assert answer.status_code == 201, answer.text
    both = f"{registered_at},{answer.headers['dinkop-position']}"
    health = await reporting.get(f"/v1/health/{cooperative_id}", params={"at_least": both})
    assert health.status_code == 200, health.text
    assert health.json()["book_years"][-1]["state"] == "on_time"
    wanted = dict(part.split(":") for part in both.split(","))
    assert all(health.json()["positions"][service] >= int(position) for service, position in wanted.items())
    listed = await registry.get("/v1/cooperatives", params={"at_least": registered_at, "limit": 500})
    assert cooperative_id in [item["cooperative_id"] for item in listed.json()["items"]]


async def test_a_position_not_reached_in_time_is_504(
    system: System, registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calls.PATIENCE == 5.0
    monkeypatch.setattr(calls, "PATIENCE", 0.2)
    cooperative_id, _ = await registered(registry)
    far = {"at_least": "registry:999999"}
    for service, method, path, body in (
        ("registry", "GET", "/v1/cooperatives", None),
        ("rat", "GET", f"/v1/cooperatives/{cooperative_id}/rats", None),
        ("rat", "GET", f"/v1/cooperatives/{cooperative_id}/history", None),
        ("rat", "POST", f"/v1/cooperatives/{cooperative_id}/rats", report()),
        ("rat", "POST", f"/v1/cooperatives/{cooperative_id}/rats/2023/annulments", {"reason": "-"}),
        ("mentoring", "POST", "/v1/requests", request(cooperative_id=cooperative_id)),
        ("reporting", "GET", "/v1/health", None),
        ("reporting", "GET", f"/v1/health/{cooperative_id}", None),
        ("reporting", "GET", "/v1/kecamatan", None),
        ("reporting", "GET", "/v1/kecamatan/35.07.21", None),
    ):
        async with system.client(service) as client:
            problem = refused(await client.request(method, path, json=body, params=far), 504, "not-caught-up")
            assert problem["wanted"] == {"registry": 999999}


async def test_a_reader_waits_while_a_read_model_is_behind(
    system: System, registry: httpx.AsyncClient, reporting: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 60.0)
    await system.execute("reporting", "INSERT INTO projection_controls VALUES ('health_status', true)")

    async def paused() -> bool:
        items = (await reporting.get("/v1/projections")).json()["items"]
        return all(item["paused"] for item in items if item["name"] == "reporting.health_status")

    await eventually(paused)
    cooperative_id, position = await registered(registry)
    waiting = asyncio.create_task(reporting.get(f"/v1/health/{cooperative_id}", params={"at_least": position}))
    refused(await reporting.get(f"/v1/health/{cooperative_id}"), 404, "no-such-cooperative")
    assert not waiting.done()
    await system.execute("reporting", "DELETE FROM projection_controls")
    assert (await waiting).status_code == 200


MALFORMED = ["", "registry", "registry:", ":1", "registry:-1", "registry:1.5", "registry:1;rat:2", "nobody:1"]
MALFORMED += ["REGISTRY:1", "registry:1,", ",", "registry:" + "9" * 19, "registry:\u0661", "registry:1\0", "\ud7ff:1"]


async def test_a_position_that_cannot_be_read_is_422(system: System) -> None:
    for service, method, path, body in (
        ("registry", "GET", "/v1/cooperatives", None),
        ("rat", "POST", f"/v1/cooperatives/{NOBODY}/rats", report()),
        ("mentoring", "POST", "/v1/requests", request()),
        ("mentoring", "GET", "/v1/requests", None),
        ("reporting", "GET", "/v1/health", None),
        ("reporting", "GET", "/v1/kecamatan", None),
    ):
        async with system.client(service) as client:
            for value in MALFORMED:
                answer = await client.request(method, path, json=body, params={"at_least": value})
                refused(answer, 422, "invalid", "at_least")


async def test_a_correlation_id_is_echoed_kept_and_published(system: System, registry: httpx.AsyncClient) -> None:
    headers = {"X-Correlation-Id": "letter-12.KOP:2024"}
    answer = await registry.post("/v1/cooperatives", json=registration(), headers=headers)
    assert answer.headers["x-correlation-id"] == headers["X-Correlation-Id"]
    cooperative_id = answer.json()["cooperative_id"]
    [item] = (await registry.get(f"/v1/cooperatives/{cooperative_id}/history")).json()["items"]
    assert (item["correlation_id"], item["actor"]) == (headers["X-Correlation-Id"], issuing.ACTOR)
    client = await nats_py.connect(system.nats_url)

    async def published() -> bool:
        subject = "dinkop.v1.registry.CooperativeRegistered.350721"
        message = await client.jetstream().get_last_msg(STREAM, subject)
        assert message.headers is not None
        return (message.headers["ce-subject"], message.headers["ce-correlationid"]) == (
            cooperative_id,
            headers["X-Correlation-Id"],
        )

    await eventually(published)
    await client.close()


async def test_a_correlation_id_that_cannot_be_one_is_replaced_by_ours(registry: httpx.AsyncClient) -> None:
    for given in (b"", b"x" * 129, b"two words", b"\xff", b'{"a":1}', b"a\tb"):
        answer = await registry.get("/livez", headers=[(b"X-Correlation-Id", given)])
        assert len(answer.headers["x-correlation-id"]) == 36, given
    refusal = await registry.get("/nothing", headers={"X-Correlation-Id": "told"})
    assert refusal.headers["x-correlation-id"] == "told"


async def test_a_traceparent_that_is_none_is_not_kept(system: System, registry: httpx.AsyncClient) -> None:
    headers = [(b"traceparent", b"00-" + b"0" * 32 + b"-junk\xff" + b"x" * 1_000)]
    answer = await registry.post("/v1/cooperatives", json=registration(), headers=headers)
    cooperative_id = answer.json()["cooperative_id"]
    connection = await asyncpg.connect(system.databases["registry"])
    query = "SELECT metadata ? 'traceparent' FROM events WHERE stream_id = $1"
    assert await connection.fetchval(query, cooperative_id) is False
    await connection.close()


async def test_a_move_is_seen_under_the_new_kecamatan(
    registry: httpx.AsyncClient, reporting: httpx.AsyncClient
) -> None:
    cooperative_id, _ = await registered(registry)
    body = {"kecamatan_code": TUMPANG, "address": "Jl. Raya Tumpang 1", "effective_on": "2024-03-01"}
    moved = await registry.post(f"/v1/cooperatives/{cooperative_id}/relocations", json=body)
    path, params = f"/v1/health/{cooperative_id}", {"at_least": moved.headers["dinkop-position"]}
    assert (await reporting.get(path, params=params)).json()["kecamatan_code"] == TUMPANG
    earlier = await reporting.get(path, params=params | {"as_of": "2024-02-29"})
    assert earlier.json()["kecamatan_code"] == "35.07.21"
