"""The course of a request through HTTP: every step, every refusal, and what the world learns of it."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from eventually import eventually
from mentoring_service import ACTIVITY, REQUEST, STEPS, Register, Tell, after, taken_down
from nats.aio.client import Client

from chassis.definitions import clock
from chassis.messaging.public_log import JetStreamLog
from chassis.storage.database import Database
from contracts import rat

TODAY, TOMORROW, BEFORE_RECEIPT = "2024-11-14", "2024-11-15", "2024-11-03"


def refused(answer: httpx.Response, status: int, slug: str, detail: str = "") -> dict[str, Any]:
    """Check that the answer is this problem, saying its rule; return it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert detail in problem["detail"]
    return problem


async def test_an_accepted_request_is_visited_trained_and_completed(client: httpx.AsyncClient) -> None:
    request_id = await taken_down(client)
    url = f"/v1/requests/{request_id}"
    steps: list[tuple[str, dict[str, Any]]] = [
        ("acceptances", {"team": ["Pendamping Satu", "Pendamping Dua"], "visit_on": "2024-11-12"}),
        ("activities", {"kind": "visit", "held_on": "2024-11-12", "participants": 4, "notes": "Buku tidak ada."}),
        ("activities", {"kind": "training", "participants": 12, "notes": "Bimtek."}),
        ("completions", {"outcome": "active_again", "notes": "Pengurus baru terpilih."}),
    ]
    for version, (step, body) in enumerate(steps, start=2):
        answer = await client.post(f"{url}/{step}", json=body)
        assert (answer.status_code, answer.json()) == (201, {"request_id": request_id, "version": version})
        assert answer.headers["etag"] == f'"{version}"'
        assert answer.headers["dinkop-position"] == f"mentoring:{version}"
    item = (await client.get(url)).json()
    assert (item["state"], item["version"]) == ("completed", 5)
    assert (item["accepted_on"], item["visit_on"]) == (TODAY, "2024-11-12")
    assert item["team"] == ["Pendamping Satu", "Pendamping Dua"]
    assert item["activities"] == [steps[1][1], steps[2][1] | {"held_on": TODAY}]
    assert (item["completed_on"], item["outcome"], item["notes"]) == (TODAY, "active_again", "Pengurus baru terpilih.")
    assert (item["declined_on"], item["redirected_on"], item["reason"]) == (None, None, None)


async def test_a_declined_request_says_why(client: httpx.AsyncClient) -> None:
    request_id = await after(client, "declines")
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    assert (item["state"], item["declined_on"], item["reason"]) == ("declined", TODAY, "Di luar wilayah kabupaten.")


async def test_a_redirected_request_says_to_whom_and_why(client: httpx.AsyncClient) -> None:
    request_id = await after(client, "redirections")
    item = (await client.get(f"/v1/requests/{request_id}")).json()
    assert (item["state"], item["redirected_on"]) == ("redirected", TODAY)
    assert (item["redirected_to"], item["reason"]) == ("Dinas Koperasi Kota Malang", "Alamatnya di kota.")


DATES = {
    "acceptances": "accepted_on",
    "declines": "declined_on",
    "redirections": "redirected_on",
    "activities": "held_on",
    "completions": "completed_on",
}


@pytest.mark.parametrize(("step", "field"), DATES.items())
async def test_a_step_may_name_its_own_day_but_neither_a_coming_one_nor_one_before_the_request(
    client: httpx.AsyncClient, step: str, field: str
) -> None:
    begun = ["acceptances"] if step in ("activities", "completions") else []
    request_id = await taken_down(client)
    for each in begun:
        body = STEPS[each] | {"accepted_on": "2024-11-05"}
        assert (await client.post(f"/v1/requests/{request_id}/{each}", json=body)).status_code == 201
    for wrong, slug, why in [(TOMORROW, "not-yet", "future"), (BEFORE_RECEIPT, "before-receipt", "was received")]:
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=STEPS[step] | {field: wrong})
        problem = refused(answer, 422, slug, why)
        assert [error["field"] for error in problem["errors"]] == [field]
    answer = await client.post(f"/v1/requests/{request_id}/{step}", json=STEPS[step] | {field: "2024-11-06"})
    assert answer.status_code == 201, answer.text
    history = (await client.get(f"/v1/requests/{request_id}/history")).json()["items"]
    assert history[-1]["data"][field] == "2024-11-06"


async def test_a_visit_before_the_request_and_an_end_before_the_last_activity_are_422(
    client: httpx.AsyncClient,
) -> None:
    request_id = await taken_down(client)
    url = f"/v1/requests/{request_id}"
    answer = await client.post(f"{url}/acceptances", json=STEPS["acceptances"] | {"visit_on": BEFORE_RECEIPT})
    assert refused(answer, 422, "before-receipt")["errors"][0]["field"] == "visit_on"
    accepted = STEPS["acceptances"] | {"accepted_on": "2024-11-05"}
    assert (await client.post(f"{url}/acceptances", json=accepted)).status_code == 201
    assert (await client.post(f"{url}/activities", json=ACTIVITY)).status_code == 201
    answer = await client.post(f"{url}/completions", json=STEPS["completions"] | {"completed_on": "2024-11-11"})
    assert refused(answer, 422, "completed-too-early", "last activity")["errors"][0]["field"] == "completed_on"


IN_THE_WRONG_STATE: list[tuple[list[str], list[str], str, str]] = [
    ([], ["activities", "completions"], "not-accepted", "Only a request that was accepted is mentored."),
    (["declines"], ["activities", "completions"], "not-accepted", "Only a request that was accepted is mentored."),
    (["redirections"], ["activities", "completions"], "not-accepted", "Only a request that was accepted is mentored."),
    (
        ["acceptances", "completions"],
        ["activities", "completions"],
        "already-completed",
        "A completed mentoring is over: nothing is added to it.",
    ),
    *(
        (
            before,
            ["acceptances", "declines", "redirections"],
            "already-decided",
            "accepted, declined or redirected once",
        )
        for before in (["acceptances"], ["declines"], ["redirections"], ["acceptances", "completions"])
    ),
]


@pytest.mark.parametrize(("before", "steps", "slug", "rule"), IN_THE_WRONG_STATE)
async def test_a_step_in_the_wrong_state_is_409_with_the_rule_and_the_state(
    client: httpx.AsyncClient, before: list[str], steps: list[str], slug: str, rule: str
) -> None:
    request_id = await after(client, *before)
    state = (await client.get(f"/v1/requests/{request_id}")).json()["state"]
    for step in steps:
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=STEPS[step])
        assert refused(answer, 409, slug, rule)["state"] == state
    assert (await client.get(f"/v1/requests/{request_id}")).json()["version"] == len(before) + 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_of_a_request_nobody_made_is_404(client: httpx.AsyncClient, step: str) -> None:
    refused(await client.post(f"/v1/requests/{clock.new_id()}/{step}", json=STEPS[step]), 404, "no-such-request")


MISSHAPEN: list[tuple[str, dict[str, Any], str]] = [
    ("acceptances", {"team": None}, "team"),
    ("acceptances", {"team": []}, "team"),
    ("acceptances", {"team": [" "]}, "team.0"),
    ("acceptances", {"team": ["a"] * 21}, "team"),
    ("acceptances", {"team": "Bu Sri"}, "team"),
    ("acceptances", {"visit_on": "20/11/2024"}, "visit_on"),
    ("acceptances", {"surprise": 1}, "surprise"),
    ("declines", {"reason": None}, "reason"),
    ("declines", {"reason": "\x07"}, "reason"),
    ("redirections", {"to": None}, "to"),
    ("redirections", {"to": "two\nlines"}, "to"),
    ("redirections", {"reason": None}, "reason"),
    ("activities", {"kind": "party"}, "kind"),
    ("activities", {"kind": None}, "kind"),
    ("activities", {"participants": -1}, "participants"),
    ("activities", {"participants": 2.5}, "participants"),
    ("activities", {"participants": ["Bu Sri"]}, "participants"),
    ("activities", {"notes": None}, "notes"),
    ("activities", {"notes": "x" * 4001}, "notes"),
    ("completions", {"outcome": "happy"}, "outcome"),
    ("completions", {"notes": None}, "notes"),
]


async def test_what_cannot_be_right_is_422_naming_the_field_and_records_nothing(
    client: httpx.AsyncClient, service_database: Database
) -> None:
    requested, accepted = await after(client), await after(client, "acceptances")
    for step, different, field in MISSHAPEN:
        request_id = accepted if step in ("activities", "completions") else requested
        answer = await client.post(f"/v1/requests/{request_id}/{step}", json=STEPS[step] | different)
        missing = different[field.partition(".")[0]] is None and field != "kind"
        problem = refused(answer, 422, "words-missing" if missing else "invalid")
        assert [error["field"] for error in problem["errors"]] == [field], (step, different)
    assert await service_database.pool.fetchval("SELECT count(*) FROM events") == 3


@pytest.mark.parametrize("step", STEPS)
async def test_the_same_idempotency_key_acts_once_and_a_stale_version_not_at_all(
    client: httpx.AsyncClient, step: str
) -> None:
    begun = ["acceptances"] if step in ("activities", "completions") else []
    url = f"/v1/requests/{await after(client, *begun)}/{step}"
    stale = await client.post(url, json=STEPS[step], headers={"If-Match": f'"{len(begun) + 5}"'})
    refused(stale, 412, "stale-version")
    headers = {"Idempotency-Key": "once", "If-Match": f'"{len(begun) + 1}"'}
    first, again = [await client.post(url, json=STEPS[step], headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 201
    assert first.headers["dinkop-position"] == again.headers["dinkop-position"]
    other = await client.post(url, json=STEPS[step] | {DATES[step]: TODAY}, headers={"Idempotency-Key": "once"})
    refused(other, 422, "idempotency-key-reused")


async def test_the_list_follows_every_step(client: httpx.AsyncClient) -> None:
    ways = {
        "requested": [],
        "accepted": ["acceptances"],
        "declined": ["declines"],
        "redirected": ["redirections"],
        "completed": ["acceptances", "activities", "completions"],
    }
    ids = {state: await after(client, *steps) for state, steps in ways.items()}
    events = sum(len(steps) + 1 for steps in ways.values())
    for state, request_id in ids.items():
        answer = await client.get("/v1/requests", params={"state": state, "at_least": f"mentoring:{events}"})
        assert [item["request_id"] for item in answer.json()["items"]] == [request_id]


async def test_every_step_is_published_under_its_number_and_tells_no_name_and_no_word(
    client: httpx.AsyncClient, public_stream: Client
) -> None:
    request_id = await after(client, "acceptances", "activities", "completions")
    await client.delete(f"/v1/requests/{request_id}/people")
    log = JetStreamLog(public_stream)

    async def published() -> bool:
        return (await log.last("mentoring")).sequence == 5

    await eventually(published)
    about = {"request_id": request_id, "cooperative_id": None, "kecamatan_code": "35.07.21"}
    expected: dict[str, dict[str, Any]] = {
        "MentoringAccepted": {"accepted_on": TODAY, "visit_on": "2024-11-20"},
        "MentoringActivityHeld": {"kind": "training", "held_on": "2024-11-12"},
        "MentoringCompleted": {"outcome": "rat_held", "completed_on": TODAY},
        "MentoringPeopleForgotten": {"forgotten_on": TODAY},
    }
    history = (await client.get(f"/v1/requests/{request_id}/history")).json()["items"]
    for number, (name, told) in enumerate(expected.items(), start=2):
        message = await public_stream.jetstream().get_last_msg("DINKOP", f"dinkop.v1.mentoring.{name}.350721")
        assert message.headers is not None
        assert message.data is not None
        assert (message.headers["ce-subject"], message.headers["ce-sequence"]) == (request_id, str(number))
        assert httpx.Response(200, content=message.data).json() == about | told
        assert (history[number - 1]["type"], history[number - 1]["data"]) == (name, about | told)


def meeting(cooperative_id: UUID, book_year: int, held_on: str) -> rat.RATHeld:
    """Return that a cooperative held its annual meeting."""
    return rat.RATHeld.model_validate(
        {
            "cooperative_id": cooperative_id,
            "kecamatan_code": "35.07.21",
            "book_year": book_year,
            "held_on": held_on,
            "source": "office",
        }
    )


async def test_a_meeting_held_while_the_request_is_open_is_shown_and_suggests_how_it_ends(
    client: httpx.AsyncClient, register: Register, tell: Tell
) -> None:
    cooperative_id, registered = await register()
    answer = await client.post(
        "/v1/requests", params={"at_least": registered}, json=REQUEST | {"cooperative_id": str(cooperative_id)}
    )
    url = f"/v1/requests/{answer.json()['request_id']}"
    await tell(meeting(cooperative_id, 2021, BEFORE_RECEIPT))
    position = await tell(meeting(clock.new_id(), 2023, "2024-11-10"))
    item = (await client.get(url, params={"at_least": position})).json()
    assert (item["rats"], item["suggested_outcome"]) == ([], None)

    position = await tell(meeting(cooperative_id, 2022, "2024-11-04"))
    item = (await client.get(url, params={"at_least": position})).json()
    assert (item["rats"], item["suggested_outcome"]) == ([{"book_year": 2022, "held_on": "2024-11-04"}], None)

    assert (await client.post(f"{url}/acceptances", json=STEPS["acceptances"])).status_code == 201
    position = await tell(meeting(cooperative_id, 2023, TODAY))
    item = (await client.get(url, params={"at_least": position})).json()
    assert [each["book_year"] for each in item["rats"]] == [2022, 2023]
    assert item["suggested_outcome"] == "rat_held"

    assert (await client.post(f"{url}/completions", json=STEPS["completions"])).status_code == 201
    position = await tell(meeting(cooperative_id, 2024, TOMORROW))
    item = (await client.get(url, params={"at_least": position})).json()
    assert [each["book_year"] for each in item["rats"]] == [2022, 2023]
    assert item["suggested_outcome"] is None


async def test_a_meeting_declared_void_is_shown_no_more(
    client: httpx.AsyncClient, register: Register, tell: Tell
) -> None:
    cooperative_id, registered = await register()
    answer = await client.post(
        "/v1/requests", params={"at_least": registered}, json=REQUEST | {"cooperative_id": str(cooperative_id)}
    )
    url = f"/v1/requests/{answer.json()['request_id']}"
    await client.post(f"{url}/acceptances", json=STEPS["acceptances"])
    await tell(meeting(cooperative_id, 2023, TODAY))
    position = await tell(
        rat.RATAnnulled(cooperative_id=cooperative_id, kecamatan_code="35.07.21", book_year=2023, reason="keliru")
    )
    item = (await client.get(url, params={"at_least": position})).json()
    assert (item["rats"], item["suggested_outcome"]) == ([], None)


async def test_a_step_waits_for_what_the_caller_has_seen_elsewhere(
    client: httpx.AsyncClient, register: Register
) -> None:
    _, position = await register()
    request_id = await taken_down(client)
    url = f"/v1/requests/{request_id}/acceptances"
    answer = await client.post(url, params={"at_least": f"{position},mentoring:1"}, json=STEPS["acceptances"])
    assert answer.status_code == 201
    answer = await client.post(url, params={"at_least": "rat:77"}, json=STEPS["acceptances"])
    refused(answer, 504, "not-caught-up")
