"""Plans and warning letters over HTTP, and what the registry's news does to them."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from rat_service import TUMPANG, WAGIR, Registry, refused

NOBODY = UUID("0190b5a0-0000-7000-8000-000000000000")
TODAY, TOMORROW = "2024-11-14", "2024-11-15"
PLAN = {"book_year": 2024, "planned_on": "2025-02-22", "venue": "Balai Desa"}
LETTER = {"book_year": 2023, "level": 1, "letter_number": "518/1/2024", "letter_date": "2024-07-08"}
REPORT = {"book_year": 2023, "held_on": "2024-09-07", "members_total": 42, "members_present": 30}


class Office:
    """An officer at work: every command waits for what the registry told last."""

    def __init__(self, rat: httpx.AsyncClient, registry: Registry) -> None:
        self.rat = rat
        self.registry = registry
        self.position = "rat:0"

    async def post(self, about: UUID, what: str, body: dict[str, Any]) -> httpx.Response:
        path = f"/v1/cooperatives/{about}/{what}"
        answer = await self.rat.post(path, json=body, params={"at_least": self.registry.position})
        self.position = answer.headers.get("dinkop-position", self.position)
        return answer

    async def done(self, about: UUID, what: str, body: dict[str, Any]) -> httpx.Response:
        answer = await self.post(about, what, body)
        assert answer.status_code == 201, answer.text
        return answer

    async def page(self, **asked: Any) -> dict[str, Any]:
        at_least = f"{self.registry.position},{self.position}"
        answer = await self.rat.get("/v1/rat-plans", params={"at_least": at_least, **asked})
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert set(page) == {"items", "next_cursor"}
        return page

    async def plans(self, **asked: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.page(**asked))["items"]
        return items

    async def history(self, about: UUID) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.rat.get(f"/v1/cooperatives/{about}/history")).json()["items"]
        return items


@pytest.fixture
def office(rat: httpx.AsyncClient, registry: Registry) -> Office:
    """An officer who uses the service."""
    return Office(rat, registry)


async def test_a_plan_is_answered_with_its_version_and_listed(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    answer = await office.done(melati, "rat-plans", PLAN)
    assert answer.json() == {"cooperative_id": str(melati), "book_year": 2024, "version": 1}
    assert (answer.headers["etag"], answer.headers["dinkop-position"]) == ('"1"', "rat:1")
    assert await office.plans() == [
        {"cooperative_id": str(melati), "kecamatan_code": WAGIR, **PLAN, "held_on": None},
    ]


async def test_a_plan_announced_anew_takes_the_place_of_the_first(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    await office.done(melati, "rat-plans", PLAN)
    refused(await office.post(melati, "rat-plans", PLAN), 409, "already-planned")
    await office.done(melati, "rat-plans", PLAN | {"planned_on": "2025-03-01"})
    assert [item["planned_on"] for item in await office.plans()] == ["2025-03-01"]
    assert [item["type"] for item in await office.history(melati)] == ["RATPlanned", "RATPlanned"]


async def test_a_plan_that_cannot_be_right_is_refused(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    early = PLAN | {"planned_on": "2024-12-31"}
    refused(await office.post(melati, "rat-plans", early), 422, "book-year-not-over", "planned_on")
    for field in PLAN:
        without = {name: value for name, value in PLAN.items() if name != field}
        refused(await office.post(melati, "rat-plans", without), 422, "invalid", field)
    for field, values in (
        ("book_year", [1899, 2200, "2024", 2024.0, True, None]),
        ("planned_on", ["2025-02-30", "22/02/2025", 0, None]),
        ("venue", ["", " ", "a\nb", "x" * 201, 1, None]),
        ("surprise", [1]),
    ):
        for value in values:
            refused(await office.post(melati, "rat-plans", PLAN | {field: value}), 422, "invalid", field)
    refused(await office.post(NOBODY, "rat-plans", PLAN), 404, "no-such-cooperative")
    assert await office.plans() == []


async def test_a_plan_for_a_meeting_on_record_is_409_and_one_made_before_tells_when_it_was_held(
    office: Office, registry: Registry
) -> None:
    melati = await registry.register()
    plan = PLAN | {"book_year": 2023, "planned_on": "2024-09-01"}
    await office.done(melati, "rat-plans", plan)
    await office.done(melati, "rats", REPORT)
    refused(await office.post(melati, "rat-plans", plan | {"venue": "elsewhere"}), 409, "rat-already-recorded")
    assert [item["held_on"] for item in await office.plans()] == ["2024-09-07"]
    await office.done(melati, "rats/2023/annulments", {"reason": "a namesake's"})
    assert [item["held_on"] for item in await office.plans()] == [None]
    await office.done(melati, "rat-plans", plan | {"venue": "elsewhere"})


async def test_plans_are_found_by_day_and_kecamatan_and_walked_page_by_page(office: Office, registry: Registry) -> None:
    places = [
        await registry.register(f"{number}/BH", kecamatan_code=TUMPANG if number == 3 else WAGIR) for number in range(4)
    ]
    for about, days in zip(
        places, (["2025-02-20", "2025-02-22"], ["2025-02-22"], ["2025-01-04"], ["2025-02-22"]), strict=True
    ):
        for book_year, planned_on in zip((2024, 2023), days, strict=False):
            await office.done(about, "rat-plans", PLAN | {"book_year": book_year, "planned_on": planned_on})
    everything = await office.plans()
    assert [item["planned_on"] for item in everything] == ["2025-01-04", "2025-02-20"] + ["2025-02-22"] * 3
    wanted = {"from": "2025-02-20", "to": "2025-02-22", "kecamatan_code": WAGIR}
    found = await office.plans(**wanted)
    assert found == [item for item in everything[1:] if item["kecamatan_code"] == WAGIR]
    assert len(found) == 3
    assert await office.plans(**{"from": "2025-02-22", "to": "2025-02-22"}) == everything[2:]
    assert await office.plans(to="2025-02-19") == everything[:1]
    assert await office.plans(**{"from": "2025-02-23"}) == []
    for limit in (1, 2, 3, 5, 500):
        walked, cursor = [], {}
        while True:
            page = await office.page(limit=limit, **cursor)
            assert len(page["items"]) <= limit
            walked += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert walked == everything


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "22/02/2025"}, "from"),
        ({"to": ""}, "to"),
        ({"from": "2025-02-22", "to": "2025-02-21"}, "to"),
        ({"kecamatan_code": "Wagir"}, "kecamatan_code"),
        ({"limit": 501}, "limit"),
        ({"limit": 0}, "limit"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "bm90IGEgcGxhY2U"}, "cursor"),
        ({"cursor": "MjAyNS0wMi0yMiBYIDIwMjQ"}, "cursor"),
        ({"cursor": "LTEgLTEgLTE"}, "cursor"),
        ({"first": "2025-02-22"}, "first"),
    ],
)
async def test_what_the_list_of_plans_cannot_be_asked_for_is_422_naming_it(
    rat: httpx.AsyncClient, asked: dict[str, Any], field: str
) -> None:
    refused(await rat.get("/v1/rat-plans", params=asked), 422, "invalid", field)


async def test_a_cooperative_that_moved_takes_its_plans_along_and_its_next_events_go_to_the_new_kecamatan(
    office: Office, registry: Registry
) -> None:
    melati = await registry.register()
    await office.done(melati, "rat-plans", PLAN)
    await registry.relocate(melati, TUMPANG)
    assert [item["kecamatan_code"] for item in await office.plans(kecamatan_code=TUMPANG)] == [TUMPANG]
    assert await office.plans(kecamatan_code=WAGIR) == []
    await office.done(melati, "warnings", LETTER)
    assert [item["data"]["kecamatan_code"] for item in await office.history(melati)] == [WAGIR, TUMPANG]


async def test_a_dissolved_cooperative_plans_nothing_is_not_warned_and_leaves_the_list(
    office: Office, registry: Registry, rat: httpx.AsyncClient
) -> None:
    melati = await registry.register()
    await office.done(melati, "rat-plans", PLAN)
    await office.done(melati, "rats", REPORT)
    await registry.dissolve(melati)
    assert await office.plans() == []
    for what, body in (
        ("rat-plans", PLAN),
        ("warnings", LETTER),
        ("rats", REPORT | {"book_year": 2022}),
        ("rats/2023/verifications", {}),
        ("rats/2023/corrections", {"changes": {"members_present": 31}, "reason": "-"}),
        ("rats/2023/annulments", {"reason": "-"}),
    ):
        refused(await office.post(melati, what, body), 409, "cooperative-dissolved")
    assert [item["type"] for item in await office.history(melati)] == ["RATPlanned", "RATHeld"]
    assert len((await rat.get(f"/v1/cooperatives/{melati}/rats")).json()["items"]) == 1


async def test_warnings_of_a_book_year_are_issued_in_order_else_409(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    for level in (1, 2, 3):
        for other in {1, 2, 3} - {level}:
            problem = refused(
                await office.post(melati, "warnings", LETTER | {"level": other}), 409, "warning-out-of-order"
            )
            assert f"level {level}" in problem["detail"]
        answer = await office.done(melati, "warnings", LETTER | {"level": level})
        assert answer.json() == {"cooperative_id": str(melati), "book_year": 2023, "version": level}
    refused(await office.post(melati, "warnings", LETTER | {"level": 3}), 409, "warning-out-of-order")
    await office.done(melati, "warnings", LETTER | {"book_year": 2022})
    history = await office.history(melati)
    assert [(item["type"], item["data"]["level"]) for item in history] == [
        ("WarningIssued", level) for level in (1, 2, 3, 1)
    ]
    assert history[0]["data"] == LETTER | {"kecamatan_code": WAGIR}


async def test_a_warning_that_cannot_be_right_is_refused(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    for letter_date, slug in (("2023-12-31", "book-year-not-over"), (TOMORROW, "in-the-future")):
        letter = LETTER | {"letter_date": letter_date}
        refused(await office.post(melati, "warnings", letter), 422, slug, "letter_date")
    await office.done(melati, "warnings", LETTER)
    older = LETTER | {"level": 2, "letter_date": "2024-07-07"}
    refused(await office.post(melati, "warnings", older), 422, "before-the-last-warning", "letter_date")
    for field in LETTER:
        without = {name: value for name, value in LETTER.items() if name != field}
        refused(await office.post(melati, "warnings", without), 422, "invalid", field)
    for field, values in (
        ("level", [0, 4, -1, "1", 1.5, True, None]),
        ("letter_number", ["", "a\0", "x" * 201, None]),
        ("letter_date", ["2024-02-30", "08/07/2024", None]),
        ("book_year", [1899, 2200, "2023", None]),
        ("surprise", [1]),
    ):
        for value in values:
            refused(await office.post(melati, "warnings", LETTER | {field: value}), 422, "invalid", field)
    refused(await office.post(NOBODY, "warnings", LETTER), 404, "no-such-cooperative")


async def test_nobody_is_warned_of_a_meeting_that_the_office_knew_of(office: Office, registry: Registry) -> None:
    melati = await registry.register()
    await office.done(melati, "rats", REPORT)
    late = LETTER | {"letter_date": TODAY}
    refused(await office.post(melati, "warnings", late), 409, "warning-without-cause")
    await office.done(melati, "warnings", LETTER)


async def test_a_repeated_key_gets_the_first_answer_and_a_stale_version_is_412(
    rat: httpx.AsyncClient, registry: Registry
) -> None:
    path = f"/v1/cooperatives/{await registry.register()}"
    at_least = {"at_least": registry.position}
    for what, body in (("rat-plans", PLAN), ("warnings", LETTER)):
        key = {"Idempotency-Key": what}
        first = await rat.post(f"{path}/{what}", json=body, headers=key, params=at_least)
        again = await rat.post(f"{path}/{what}", json=body, headers=key, params=at_least)
        assert first.status_code == 201
        assert (again.status_code, again.content) == (201, first.content)
        other = body | {"book_year": 2020}
        answer = await rat.post(f"{path}/{what}", json=other, headers=key, params=at_least)
        refused(answer, 422, "idempotency-key-reused", "Idempotency-Key")
        stale = await rat.post(f"{path}/{what}", json=other, headers={"If-Match": '"9"'}, params=at_least)
        assert stale.status_code == 412
