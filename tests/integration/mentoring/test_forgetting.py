"""Personal data forgotten through HTTP: unreadable for ever, recorded once, and the request goes on without it."""

from pathlib import Path

import httpx
import issuing
import pytest
from behind import Behind
from eventually import eventually
from mentoring_service import ACTIVITY, COMPLETION, Keys, after, serving, taken_down

from chassis.definitions import clock
from chassis.settings import Settings
from chassis.storage.database import Database


async def forgotten(client: httpx.AsyncClient, request_id: str) -> httpx.Response:
    """Forget the people of a request, and return the answer."""
    answer = await client.delete(f"/v1/requests/{request_id}/people")
    assert answer.status_code == 200, answer.text
    return answer


async def test_forgetting_is_recorded_and_answers_where_the_request_stands(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    answer = await forgotten(client, request_id)
    assert answer.json() == {"request_id": request_id, "version": 2}
    assert (answer.headers["etag"], answer.headers["dinkop-position"]) == ('"2"', "mentoring:2")
    history = (await client.get(f"/v1/requests/{request_id}/history")).json()["items"]
    assert [(item["type"], item["actor"]) for item in history] == [
        ("MentoringRequested", issuing.ACTOR),
        ("MentoringPeopleForgotten", issuing.ACTOR),
    ]


async def test_forgetting_again_records_nothing_more_and_answers_as_well(
    client: httpx.AsyncClient, service_database: Database
) -> None:
    request_id = await taken_down(client)
    await taken_down(client)
    first, again = await forgotten(client, request_id), await forgotten(client, request_id)
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["dinkop-position"] == "mentoring:3"
    assert await service_database.pool.fetchval("SELECT count(*) FROM events") == 3


async def test_forgotten_people_are_410_and_forgotten_words_are_null(client: httpx.AsyncClient) -> None:
    request_id = await after(client, "acceptances", "activities", "completions")
    before = (await client.get(f"/v1/requests/{request_id}")).json()
    await forgotten(client, request_id)
    answer = await client.get(f"/v1/requests/{request_id}/people")
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/forgotten")
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    wordless = {"cooperative_name": None, "complaint": None, "letter_number": None, "team": None, "notes": None}
    assert item == before | wordless | {
        "version": 5,
        "forgotten": True,
        "location": before["location"] | {"address": None},
        "activities": [before["activities"][0] | {"notes": None}],
    }


@pytest.mark.parametrize("step", ["declines", "redirections"])
async def test_forgotten_reasons_are_null(client: httpx.AsyncClient, step: str) -> None:
    request_id = await after(client, step)
    await forgotten(client, request_id)
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    assert (item["reason"], item["redirected_to"]) == (None, None)


async def test_another_request_stays_readable(client: httpx.AsyncClient) -> None:
    one, other = await taken_down(client), await taken_down(client)
    before = [(await client.get(f"/v1/requests/{other}{part}")).json() for part in ("", "/people")]
    await forgotten(client, one)
    assert [(await client.get(f"/v1/requests/{other}{part}")).json() for part in ("", "/people")] == before


async def test_a_forgotten_request_stays_in_the_lists(client: httpx.AsyncClient) -> None:
    request_id = await after(client, "acceptances")
    await forgotten(client, request_id)
    page = (await client.get("/v1/requests", params={"at_least": "mentoring:3"})).json()
    assert [(item["request_id"], item["state"]) for item in page["items"]] == [(request_id, "accepted")]
    entries = (await client.get("/v1/calendar", params={"at_least": "mentoring:3"})).json()["items"]
    assert [(entry["request_id"], entry["team"]) for entry in entries] == [(request_id, None)]


async def test_after_forgetting_the_request_runs_its_course_without_words(client: httpx.AsyncClient) -> None:
    wordless = {
        "acceptances": {"visit_on": "2024-11-20"},
        "activities": {name: value for name, value in ACTIVITY.items() if name != "notes"},
        "completions": {"outcome": "unreachable"},
    }
    with_words = {"acceptances": {"team": ["Siapa"]}, "activities": ACTIVITY, "completions": COMPLETION}
    request_id = await taken_down(client)
    await forgotten(client, request_id)
    for step, body in wordless.items():
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=with_words[step])
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/words-after-forgetting")
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=body)
        assert answer.status_code == 201, answer.text
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    assert (item["state"], item["outcome"], item["notes"]) == ("completed", "unreachable", None)


@pytest.mark.parametrize("step", ["declines", "redirections"])
async def test_after_forgetting_a_request_is_turned_away_without_words(client: httpx.AsyncClient, step: str) -> None:
    request_id = await taken_down(client)
    await forgotten(client, request_id)
    assert (await client.post(f"/v1/requests/{request_id}/{step}", json={})).status_code == 201


async def test_people_of_a_request_nobody_made_are_404(client: httpx.AsyncClient) -> None:
    answer = await client.delete(f"/v1/requests/{clock.new_id()}/people")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-request")


async def test_a_stale_version_forgets_nobody(client: httpx.AsyncClient) -> None:
    request_id = await after(client, "acceptances")
    url = f"/v1/requests/{request_id}/people"
    answer = await client.delete(url, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "/problems/stale-version")
    assert (await client.get(url)).status_code == 200
    assert (await client.delete(url, headers={"If-Match": '"2"'})).status_code == 200


async def test_an_old_backup_of_the_database_with_todays_keys_tells_nothing(
    client: httpx.AsyncClient, behind: Behind, settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    """What a restore does: events from before the forgetting, and the folder of keys as it is now."""
    request_id = await taken_down(client)
    copied = {path.name: path.read_bytes() for path in keys()}
    await forgotten(client, request_id)
    await eventually(lambda: told(client, 2))
    await behind("DELETE FROM events WHERE position > 1")
    async with serving(settings) as restored:
        answer = await restored.get(f"/v1/requests/{request_id}/people")
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/forgotten")
        assert (await restored.get(f"/v1/requests/{request_id}")).json()["forgotten"] is True
        # The event that recorded it was lost with the database. The world knows it: nothing else takes its number.
        answer = await restored.delete(f"/v1/requests/{request_id}/people")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-behind-log")
    # The search for what is gone finds it while it is there: with the old key everything opens.
    for name, content in copied.items():
        (tmp_path / "keys" / name).write_bytes(content)
    async with serving(settings) as restored:
        assert (await restored.get(f"/v1/requests/{request_id}/people")).status_code == 200


async def told(client: httpx.AsyncClient, position: int) -> bool:
    """Tell whether the world knows of the event at this position."""
    return bool((await client.get("/v1/projections")).json()["relay"]["published"] == position)


async def test_the_database_holds_no_data_key(
    client: httpx.AsyncClient, service_database: Database, keys: Keys
) -> None:
    await taken_down(client)
    [key] = [path.read_bytes() for path in keys()]
    tables = await service_database.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        for row in await service_database.pool.fetch(f'SELECT t::text FROM "{table}" t'):
            assert key.hex() not in row[0]
