"""The rules of registry and rat as a caller meets them: each with its status and its problem."""

from typing import Any

import httpx
import pytest
from documents import NOBODY, TUMPANG, WAGIR, refused, registered, registration, report
from system import System

TODAY, TOMORROW = "2024-11-14", "2024-11-15"


async def test_a_taken_nik_is_409_naming_the_holder(registry: httpx.AsyncClient) -> None:
    holder, _ = await registered(registry, nik="3507210020001")
    answer = await registry.post("/v1/cooperatives", json=registration(nik="3507210020001"))
    problem = refused(answer, 409, "already-registered")
    assert problem["holder"] == holder
    assert holder in problem["detail"]


async def test_a_taken_number_is_409_naming_the_holder_however_it_is_written(registry: httpx.AsyncClient) -> None:
    holder, _ = await registered(registry, legal_entity_number="518/ Bh /xvi")
    for number in ("518/ Bh /xvi", "518/BH/XVI", " 5 1 8 /bh/xvi "):
        answer = await registry.post("/v1/cooperatives", json=registration(legal_entity_number=number))
        assert refused(answer, 409, "already-registered")["holder"] == holder


async def test_a_number_may_be_shared_only_under_different_niks(registry: httpx.AsyncClient) -> None:
    first, _ = await registered(registry, legal_entity_number="GIVEN-TWICE", nik="3507210020002")
    second, _ = await registered(registry, legal_entity_number="GIVEN-TWICE", nik="3507210020003")
    without = await registry.post("/v1/cooperatives", json=registration(legal_entity_number="GIVEN-TWICE"))
    assert refused(without, 409, "already-registered")["holder"] in (first, second)


async def test_a_correction_cannot_take_what_another_carries(registry: httpx.AsyncClient) -> None:
    holder, _ = await registered(registry, nik="3507210020004", legal_entity_number="TAKEN")
    other, _ = await registered(registry, nik="3507210020005")
    for changes in (
        {"nik": "3507210020004"},
        {"legal_entity_number": "taken", "nik": None},
    ):
        answer = await registry.post(f"/v1/cooperatives/{other}/corrections", json={"changes": changes, "reason": "-"})
        assert refused(answer, 409, "already-registered")["holder"] == holder
    shared = {"changes": {"legal_entity_number": "TAKEN"}, "reason": "-"}
    assert (await registry.post(f"/v1/cooperatives/{other}/corrections", json=shared)).status_code == 201


REGISTRATIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"legal_entity_date": TOMORROW}, "in-the-future", "legal_entity_date"),
    ({"kecamatan_code": "35.07.99"}, "unknown-kecamatan", "kecamatan_code"),
    ({"village_code": "35.07.21.9999"}, "unknown-village", "village_code"),
    ({"village_code": "35.07.16.2001"}, "village-elsewhere", "village_code"),
]


@pytest.mark.parametrize(("different", "slug", "field"), REGISTRATIONS, ids=[slug for _, slug, _ in REGISTRATIONS])
async def test_a_rule_about_what_is_registered_is_422_naming_the_field(
    registry: httpx.AsyncClient, different: dict[str, Any], slug: str, field: str
) -> None:
    refused(await registry.post("/v1/cooperatives", json=registration() | different), 422, slug, field)
    cooperative_id, _ = await registered(registry)
    answer = await registry.post(
        f"/v1/cooperatives/{cooperative_id}/corrections", json={"changes": different, "reason": "-"}
    )
    refused(answer, 422, slug, f"changes.{field}")


async def test_a_registration_of_today_is_taken(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry, legal_entity_date=TODAY, village_code="35.07.21.2003")
    item = (await registry.get(f"/v1/cooperatives/{cooperative_id}")).json()
    assert (item["legal_entity_date"], item["existence"], item["source"]) == (TODAY, "registered", "manual")


async def test_a_relocation_follows_its_rules(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry)
    path = f"/v1/cooperatives/{cooperative_id}/relocations"
    good = {"kecamatan_code": TUMPANG, "address": "Jl. Raya Tumpang 1"}
    for different, slug, field in (
        ({"effective_on": TOMORROW}, "in-the-future", "effective_on"),
        ({"effective_on": "2010-01-04"}, "before-it-existed", "effective_on"),
        ({"kecamatan_code": "35.07.99"}, "unknown-kecamatan", "kecamatan_code"),
        ({"village_code": "35.07.16.9999"}, "unknown-village", "village_code"),
        ({"village_code": "35.07.21.2003"}, "village-elsewhere", "village_code"),
    ):
        refused(await registry.post(path, json=good | different), 422, slug, field)
    refused(await registry.post(path.replace(cooperative_id, NOBODY), json=good), 404, "no-such-cooperative")
    assert (await registry.post(path, json=good)).status_code == 201
    item = (await registry.get(f"/v1/cooperatives/{cooperative_id}")).json()
    assert (item["kecamatan_code"], item["version"]) == (TUMPANG, 2)


async def test_a_correction_that_changes_nothing_is_422(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry)
    path = f"/v1/cooperatives/{cooperative_id}/corrections"
    body = {"changes": {"kecamatan_code": WAGIR}, "reason": "-"}
    refused(await registry.post(path, json=body), 422, "nothing-changed", "changes")
    refused(await registry.post(path.replace(cooperative_id, NOBODY), json=body), 404, "no-such-cooperative")


@pytest.fixture
async def rats(registry: httpx.AsyncClient, rat: httpx.AsyncClient) -> str:
    """The path of the meetings of a cooperative that rat knows, with one on record for 2022."""
    cooperative_id, position = await registered(registry)
    path = f"/v1/cooperatives/{cooperative_id}/rats"
    body = report(book_year=2022, held_on="2023-02-17", reported_on="2023-03-01")
    answer = await rat.post(path, json=body, params={"at_least": position})
    assert answer.status_code == 201, answer.text
    return path


REPORTS: list[tuple[dict[str, Any], str, str]] = [
    ({"held_on": TOMORROW}, "in-the-future", "held_on"),
    ({"held_on": "2023-12-31"}, "book-year-not-over", "held_on"),
    ({"reported_on": TOMORROW}, "in-the-future", "reported_on"),
    ({"reported_on": "2024-02-16"}, "before-the-meeting", "reported_on"),
    ({"members_present": 43}, "more-present-than-members", "members_present"),
    ({"members_present": 21}, "no-quorum", "members_present"),
    ({"members_present": 0, "members_total": 0}, "no-quorum", "members_present"),
]


@pytest.mark.parametrize(("different", "slug", "field"), REPORTS)
async def test_a_rule_about_a_meeting_is_422_naming_the_field(
    rat: httpx.AsyncClient, rats: str, different: dict[str, Any], slug: str, field: str
) -> None:
    refused(await rat.post(rats, json=report() | different), 422, slug, field)
    assert (await rat.post(rats, json=report())).status_code == 201
    answer = await rat.post(f"{rats}/2023/corrections", json={"changes": different, "reason": "-"})
    refused(answer, 422, slug, f"changes.{field}")


async def test_a_second_meeting_needs_no_quorum(rat: httpx.AsyncClient, rats: str) -> None:
    answer = await rat.post(rats, json=report(members_present=3, second_meeting=True))
    assert (answer.status_code, answer.json()["book_year"]) == (201, 2023)


async def test_a_book_year_is_recorded_once_until_it_is_annulled(rat: httpx.AsyncClient, rats: str) -> None:
    body = report(book_year=2022, held_on="2023-03-01")
    refused(await rat.post(rats, json=body), 409, "rat-already-recorded")
    assert (await rat.post(f"{rats}/2022/annulments", json={"reason": "-"})).status_code == 201
    assert (await rat.post(rats, json=body)).status_code == 201
    items = (await rat.get(rats)).json()["items"]
    assert [(item["held_on"], item["annulled"]) for item in items] == [("2023-02-17", True), ("2023-03-01", False)]


async def test_a_record_is_verified_once_until_it_is_corrected(rat: httpx.AsyncClient, rats: str) -> None:
    path = f"{rats}/2022/verifications"
    refused(await rat.post(path, json={"verified_on": TOMORROW}), 422, "in-the-future", "verified_on")
    refused(await rat.post(path, json={"verified_on": "2023-02-16"}), 422, "before-the-meeting", "verified_on")
    assert (await rat.post(path, json={})).status_code == 201
    assert (await rat.get(rats)).json()["items"][0]["verified_on"] == TODAY
    refused(await rat.post(path, json={}), 409, "rat-already-verified")
    correction = {"changes": {"members_present": 31}, "reason": "-"}
    assert (await rat.post(f"{rats}/2022/corrections", json=correction)).status_code == 201
    assert (await rat.get(rats)).json()["items"][0]["verified_on"] is None
    refused(await rat.post(f"{rats}/2022/corrections", json=correction), 422, "nothing-changed", "changes")
    assert (await rat.post(path, json={"verified_on": "2023-05-01"})).status_code == 201


async def test_what_is_done_to_a_record_needs_one(rat: httpx.AsyncClient, rats: str) -> None:
    for kind, body in (
        ("verifications", {"verified_on": TODAY}),
        ("corrections", {"changes": {"members_present": 31}, "reason": "-"}),
        ("annulments", {"reason": "-"}),
    ):
        refused(await rat.post(f"{rats}/2019/{kind}", json=body), 404, "no-such-rat")
        nobodys = f"/v1/cooperatives/{NOBODY}/rats/2022/{kind}"
        refused(await rat.post(nobodys, json=body), 404, "no-such-cooperative")
        for year in ("1899", "2200", "0", "-1", "99999999999999999999", "abc", "2022.5", "%00"):
            refused(await rat.post(f"{rats}/{year}/{kind}", json=body), 422, "invalid", "book_year")
    refused(await rat.post(f"/v1/cooperatives/{NOBODY}/rats", json=report()), 404, "no-such-cooperative")


async def test_a_dissolved_cooperative_holds_no_meetings(system: System, rat: httpx.AsyncClient, rats: str) -> None:
    cooperative_id = rats.split("/")[3]
    where = f"WHERE cooperative_id = '{cooperative_id}'"
    await system.execute("rat", f"UPDATE cooperatives_g1.cooperatives SET dissolved_on = '2024-11-01' {where}")
    refused(await rat.post(rats, json=report()), 409, "cooperative-dissolved")
    refused(await rat.post(f"{rats}/2022/annulments", json={"reason": "-"}), 409, "cooperative-dissolved")
    assert (await rat.get(rats)).status_code == 200


async def test_the_register_is_walked_page_by_page_and_everybody_is_met_once(registry: httpx.AsyncClient) -> None:
    position = ""
    for _ in range(7):
        _, position = await registered(registry, name="Dalam Daftar", kecamatan_code="35.07.33")

    async def walked(limit: int) -> list[str]:
        met: list[str] = []
        params: dict[str, Any] = {"kecamatan_code": "35.07.33", "limit": limit, "at_least": position}
        while True:
            page = (await registry.get("/v1/cooperatives", params=params)).json()
            assert set(page) == {"items", "next_cursor"}
            assert len(page["items"]) <= limit
            met += [item["cooperative_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return met
            params["cursor"] = page["next_cursor"]

    whole = await walked(500)
    assert len(whole) == len(set(whole)) >= 7
    for limit in (1, 2, 3, 7, 8):
        assert await walked(limit) == whole


CURSORS = ["", "x", "AAAA", "%00", "!", "=", "bm90IGFuIGlk", "/w", "gICA", "x" * 501, "\u00e4", "\U0001f4a9", "-" * 400]


async def test_what_a_list_cannot_be_asked_for_is_422_naming_it(system: System) -> None:
    lists = {"registry": "/v1/cooperatives", "mentoring": "/v1/requests", "reporting": "/v1/health"}
    wrong: dict[str, list[Any]] = {
        "limit": ["0", "-1", "501", "1.5", "many", "", "1e2", "9" * 40, "9" * 5_000, "\0", "\u0665"],
        "cursor": CURSORS,
        "kecamatan_code": ["", "Wagir", "350721", "35.07.21\0", "\u0663\u0665.07.21", "35.07.21.2003"],
        "offset": ["1"],
    }
    of_registry = {"q": ["", " ", "\0", "a\0b", "\n", "x" * 201], "existence": ["", "alive", "\0"]}
    of_reporting = {
        "as_of": ["", "0001-01-01", "9999-12-31", "2024-02-30", "20240228", "1709078400", "today", "2024-02-28T00:00Z"],
        "known_at": ["", "2024-02-28", "2024-02-28T09:30:00", "2024-02-28T09:30:00 07:00", "now", "\0", "9" * 40],
        "status": ["", "sick"],
        "existence": ["", "alive"],
        "scope": ["", "village"],
        "kecamatan": ["35.07.21"],
    }
    for service, path in lists.items():
        async with system.client(service) as client:
            more = {"registry": of_registry, "reporting": of_reporting}.get(service, {})
            for name, values in (wrong | more).items():
                for value in values:
                    refused(await client.get(path, params={name: value}), 422, "invalid", name)
            for limit in (1, 500):
                assert (await client.get(path, params={"limit": limit})).status_code == 200


async def test_a_search_takes_what_is_special_to_databases_as_it_is(registry: httpx.AsyncClient) -> None:
    _, position = await registered(registry, name="100% 'Koperasi' \\ _Satu_ \U0001f4a9")
    for text in ("100%", "'", "\\", "_Satu_", "\U0001f4a9", "% 'KOP"):
        answer = await registry.get("/v1/cooperatives", params={"q": text, "at_least": position})
        assert len(answer.json()["items"]) == 1, text
    for text in ("_atu", "%'", "';--", "\ufffd", "\u202e"):
        assert (await registry.get("/v1/cooperatives", params={"q": text})).json()["items"] == [], text


async def test_reporting_answers_any_day_and_any_time_it_can_write_down(
    registry: httpx.AsyncClient, reporting: httpx.AsyncClient
) -> None:
    cooperative_id, position = await registered(registry)
    paths = ("/v1/health", f"/v1/health/{cooperative_id}", "/v1/kecamatan", f"/v1/kecamatan/{WAGIR}")
    for path in paths:
        for params in (
            {"as_of": "1900-01-01"},
            {"as_of": "2199-12-31"},
            {"known_at": "1900-01-01T00:00:00Z"},
            {"known_at": "2199-12-31T23:59:59.999999Z"},
            {"known_at": "2024-11-14T09:30:00+07:00"},
            {"known_at": "2024-11-14t09:30:00.5z", "as_of": "2030-01-01"},
        ):
            answer = await reporting.get(path, params=params | {"at_least": position})
            assert answer.status_code in (200, 404), answer.text
            if answer.status_code == 404:
                refused(answer, 404, "no-such-cooperative")
            else:
                assert {"as_of", "known_at", "positions", "policy"} <= answer.json().keys()
                assert answer.json()["known_at"].endswith("Z")
    future = await reporting.get(f"/v1/health/{cooperative_id}", params={"as_of": "2030-01-01", "at_least": position})
    assert future.json()["status"] == "lapsed"


async def test_one_kecamatan_is_answered_flat_and_in_the_shape_of_the_list(
    registry: httpx.AsyncClient, reporting: httpx.AsyncClient
) -> None:
    _, position = await registered(registry)
    answer = (await reporting.get(f"/v1/kecamatan/{WAGIR}", params={"at_least": position})).json()
    [item], total = answer["items"], answer["total"]
    assert item == {name: answer[name] for name in item}
    assert item == {"kecamatan_code": WAGIR, "name": "Wagir", **total}
    assert total["registered"] >= 1
    listed = (await reporting.get("/v1/kecamatan", params={"at_least": position})).json()
    assert item in listed["items"]

    refused(await reporting.get("/v1/kecamatan", params={"status": "healthy"}), 422, "invalid", "status")
