"""Parked events as an operator meets them: over HTTP, with people's words hidden."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import issuing
import pytest
from alone import answering, runtime_on
from conftest import Farm
from poisoned import naive
from projecting import KEYS, Planted, Rained

from chassis.operations.parking import Parking


@pytest.fixture
async def client(farm: Farm) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that has the farm's projection."""
    runtime = runtime_on(farm.database, "registry", None)
    runtime.parking = Parking("registry", farm.database, [farm.projection], [], runtime.handler)
    async with answering(runtime, []) as client:
        yield client


async def poisoned(farm: Farm) -> list[str]:
    """Park an event whose data is somebody's name, and one behind it; return their ids."""
    farm.publish(Planted(what="Siti Aminah"), broken=True)
    farm.publish(Rained(millimetres=3))
    farm.publish(Planted(what="Budi"), 1)
    await farm.project()
    return [str(each.id) for each in await farm.aside()]


async def test_the_list_says_what_is_parked_for_whom_and_why(farm: Farm, client: httpx.AsyncClient) -> None:
    poison, waiting = await poisoned(farm)
    page = (await client.get("/v1/operations/parked")).json()
    assert page["next_cursor"] is None
    first, second = page["items"]
    assert first["id"] == poison
    assert (first["consumer"], first["generation"], first["state"]) == ("registry.plots", 1, "failed")
    assert (first["service"], first["sequence"], first["type"]) == ("field", 1, "Planted")
    assert (first["subject"], first["key"]) == (str(KEYS[0]), str(KEYS[0]))
    assert first["event_id"] == farm.log[0].headers["ce-id"]
    assert (first["exception"], first["attempts"], first["tried_at"]) == ("Broken: field 1", 1, None)
    assert (second["id"], second["state"], second["exception"], second["attempts"]) == (waiting, "waiting", None, 0)


async def test_the_list_comes_in_pages_and_by_consumer_and_state(farm: Farm, client: httpx.AsyncClient) -> None:
    poison, waiting = await poisoned(farm)

    async def ids(**query: str) -> list[str]:
        answer = await client.get("/v1/operations/parked", params=query)
        return [item["id"] for item in answer.json()["items"]]

    page = (await client.get("/v1/operations/parked", params={"limit": 1})).json()
    assert [item["id"] for item in page["items"]] == [poison]
    assert await ids(cursor=page["next_cursor"]) == [waiting]
    assert await ids(consumer="registry.plots") == await ids(consumer="plots") == [poison, waiting]
    assert await ids(consumer="others") == []
    assert (await ids(state="failed"), await ids(state="waiting")) == ([poison], [waiting])
    for bad in ({"cursor": "!"}, {"consumer": "\0"}, {"state": "else"}, {"limit": "0"}):
        assert (await client.get("/v1/operations/parked", params=bad)).status_code == 422, bad


async def test_one_is_shown_with_headers_and_data_but_not_with_peoples_words(
    farm: Farm, client: httpx.AsyncClient
) -> None:
    poison, waiting = await poisoned(farm)
    shown = (await client.get(f"/v1/operations/parked/{poison}")).json()
    assert shown["headers"] == dict(farm.log[0].headers)
    assert shown["data"] == {"what": "***"}
    assert shown["bytes"] == len(farm.log[0].data)
    assert "raise Broken" in shown["traceback"]
    other = (await client.get(f"/v1/operations/parked/{waiting}")).json()
    assert (other["data"], other["traceback"]) == ({"millimetres": 3}, None)


async def test_what_an_exception_quotes_of_them_is_hidden_everywhere(
    farm: Farm, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.publish(Planted(what="Siti Aminah"))
    farm.publish(Planted(what="Siti Rahma"))

    def quotes(_: object, row: object, received: Any) -> None:
        raise ValueError(f"invalid literal: '{received.data.what.split()[1]}'")

    with monkeypatch.context() as broken:
        broken.setattr(type(farm.projection), "apply", quotes)
        await farm.project()
        item, _ = (await client.get("/v1/operations/parked")).json()["items"]
        again = (await client.post(f"/v1/operations/parked/{item['id']}/retry")).text
        body = {"reason": "no"}
        other = (await client.post(f"/v1/operations/parked/{item['id']}/discard", json=body)).text
        assert len(await farm.aside()) == 1
        [item] = (await client.get("/v1/operations/parked")).json()["items"]
    shown = (await client.get(f"/v1/operations/parked/{item['id']}")).text
    assert item["exception"] == "ValueError: invalid literal: '***'"
    for text in (str(item), again, other, shown):
        assert "Aminah" not in text
        assert "Rahma" not in text
        assert "***" in text


async def test_what_is_no_json_is_not_shown_at_all(farm: Farm, client: httpx.AsyncClient) -> None:
    published = farm.publish(Planted(what="Siti"))
    object.__setattr__(published, "data", b"Siti's")
    await farm.project()
    [parked] = await farm.aside()
    answer = await client.get(f"/v1/operations/parked/{parked.id}")
    assert answer.json()["data"] is None
    assert "Siti" not in answer.text


async def test_a_retry_says_what_came_of_it(farm: Farm, client: httpx.AsyncClient) -> None:
    poison, _ = await poisoned(farm)
    failed = await client.post(f"/v1/operations/parked/{poison}/retry")
    assert failed.status_code == 200
    assert failed.json() == {
        "id": poison,
        "applied": 0,
        "still_parked": 2,
        "exception": "Broken: field 1",
    }
    farm.mistakes.mend()
    key = {"Idempotency-Key": "once"}
    applied = await client.post(f"/v1/operations/parked/{poison}/retry", headers=key)
    assert applied.json() == {"id": poison, "applied": 2, "still_parked": 0, "exception": None}
    assert await farm.rows() == naive(farm.projection, farm.log)
    again = await client.post(f"/v1/operations/parked/{poison}/retry", headers=key)
    assert (again.status_code, again.json()) == (200, applied.json())
    assert (await client.post(f"/v1/operations/parked/{poison}/retry")).status_code == 404


async def test_to_discard_needs_a_reason(farm: Farm, client: httpx.AsyncClient) -> None:
    poison, _ = await poisoned(farm)
    for body in (
        {},
        {"reason": ""},
        {"reason": "   "},
        {"reason": None},
        {"reason": "\0"},
        {"reason": "no", "also": 1},
    ):
        answer = await client.post(f"/v1/operations/parked/{poison}/discard", json=body)
        assert answer.status_code == 422, body
    assert len(await farm.aside()) == 2


async def test_what_is_discarded_is_told_with_who_when_and_why(farm: Farm, client: httpx.AsyncClient) -> None:
    poison, _ = await poisoned(farm)
    answer = await client.post(f"/v1/operations/parked/{poison}/discard", json={"reason": "recorded twice"})
    assert answer.json() == {"id": poison, "applied": 1, "still_parked": 0, "exception": None}
    assert await farm.rows() == naive(farm.projection, farm.log[1:])
    [item] = (await client.get("/v1/operations/discarded")).json()["items"]
    assert (item["id"], item["consumer"], item["sequence"]) == (poison, "registry.plots", 1)
    assert (item["discarded_by"], item["reason"], item["exception_type"]) == (
        issuing.ACTOR,
        "recorded twice",
        "Broken",
    )
    gone = await client.get(f"/v1/operations/parked/{poison}")
    assert gone.status_code == 404
    assert gone.json()["type"] == "/problems/not-parked"
    assert f"{issuing.ACTOR} discarded it for registry.plots" in gone.json()["detail"]


@pytest.mark.parametrize("action", ["", "/retry", "/discard"])
async def test_what_is_not_parked_is_not_found(client: httpx.AsyncClient, action: str) -> None:
    method, body = ("POST", {"reason": "no"}) if action == "/discard" else ("POST" if action else "GET", None)
    answer = await client.request(method, f"/v1/operations/parked/{UUID(int=9)}{action}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-parked")
    unreadable = await client.request(method, f"/v1/operations/parked/none{action}", json=body)
    assert unreadable.status_code == 422
