"""The timeline over HTTP: what all services told of one cooperative, at any date, as known at any time."""

from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from eventually import eventually
from monitored import ANGGREK, MELATI, TUMPANG, WAGIR, held, registered
from rebuilding import rebuild_from
from whole_service import Others, serving

from chassis.definitions import clock
from chassis.settings import Settings
from contracts import mentoring, rat, registry
from contracts.envelope import timestamp
from services.reporting.projections import timeline

REQUEST = clock.new_id()
ABOUT_THE_REQUEST: dict[str, Any] = {"request_id": REQUEST, "cooperative_id": MELATI, "kecamatan_code": TUMPANG}
STORY = (
    registered(MELATI),
    registered(ANGGREK),
    held(MELATI, 2022),
    rat.WarningIssued(
        cooperative_id=MELATI,
        kecamatan_code=WAGIR,
        book_year=2021,
        level=1,
        letter_number="7",
        letter_date=date(2022, 8, 1),
    ),
    mentoring.MentoringRequested(**ABOUT_THE_REQUEST, category="rat", channel="letter", received_on=date(2024, 3, 1)),
    mentoring.MentoringActivityHeld(**ABOUT_THE_REQUEST, kind="visit", held_on=date(2024, 3, 9)),
    mentoring.MentoringRequested(
        **{**ABOUT_THE_REQUEST, "cooperative_id": None}, category="rat", channel="letter", received_on=date(2024, 3, 2)
    ),
    registry.CooperativeCorrected(cooperative_id=MELATI, kecamatan_code=WAGIR, changes={"name": "x"}, reason="y"),
)


async def get(client: httpx.AsyncClient, **params: str | int) -> Any:
    answer = await client.get(f"/v1/cooperatives/{MELATI}/timeline", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told_by_others(answer: Any) -> list[Any]:
    """Return the items but for the announcements of health, which come when they come."""
    return [item for item in answer["items"] if item["service"] != "reporting"]


def kinds(answer: Any) -> list[str]:
    return [item["type"] for item in told_by_others(answer)]


IN_ORDER = [
    "CooperativeRegistered",
    "WarningIssued",
    "RATHeld",
    "MentoringRequested",
    "MentoringActivityHeld",
    "CooperativeCorrected",
]


async def test_what_all_services_told_stands_in_the_order_of_its_happening(settings: Settings, others: Others) -> None:
    async with serving(settings) as client:
        at_least = await others.tell(*STORY)
        # Today is pinned to a day before the correction was recorded, as every day of its own is.
        assert kinds(await get(client, at_least=at_least)) == IN_ORDER, "what has no date of its own is there anyway"
        answer = await get(client, at_least=at_least, as_of="2199-12-31")
        assert kinds(answer) == IN_ORDER
        assert answer["cooperative_id"] == str(MELATI)
        assert answer["as_of"] == "2199-12-31"
        assert answer["policy"] == "rat-3y-2024"
        assert answer["positions"] == {**answer["positions"], "registry": 3, "rat": 2, "mentoring": 3}
        first = answer["items"][0]
        assert (first["happened_on"], first["sentence"].split()[0]) == ("2010-01-05", "Koperasi")
        assert first["data"]["name"] == "Koperasi Melati"
        assert first["recorded_at"].endswith("Z")


async def test_any_past_can_be_asked_for(settings: Settings, others: Others) -> None:
    async with serving(settings) as client:
        at_least = await others.tell(*STORY[:4])
        between = clock.now() + timedelta(microseconds=1)
        at_least = f"{at_least},{await others.tell(STORY[4], STORY[5])}"
        assert kinds(await get(client, at_least=at_least, as_of="2023-01-31")) == IN_ORDER[:2]
        assert kinds(await get(client, at_least=at_least, as_of="2023-02-01")) == IN_ORDER[:3]
        assert kinds(await get(client, at_least=at_least)) == IN_ORDER[:5]
        assert kinds(await get(client, known_at=timestamp(between))) == IN_ORDER[:3]
        path = f"/v1/cooperatives/{MELATI}/timeline"
        assert (await client.get(path, params={"known_at": "2020-01-01T00:00:00Z"})).status_code == 404
        assert kinds(await get(client, as_of="2000-01-01")) == []


async def test_a_long_timeline_comes_in_pages_that_miss_nothing(settings: Settings, others: Others) -> None:
    async with serving(settings) as client:
        # All happened on one day, so that only the time of recording tells them apart.
        many = [registered(MELATI), *(held(MELATI, 2000 + number, date(2024, 2, 1)) for number in range(20))]
        at_least = await others.tell(*many)
        whole = told_by_others(await get(client, at_least=at_least))
        seen, cursor = [], None
        while True:
            page = await get(client, limit=3, **({"cursor": cursor} if cursor else {}))
            seen += told_by_others(page)
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == whole
        assert [item["data"]["book_year"] for item in whole if item["type"] == "RATHeld"] == [
            2000 + number for number in range(20)
        ]


async def test_a_change_of_health_is_part_of_the_timeline(settings: Settings, others: Others) -> None:
    await others.tell(registered(MELATI), *(held(MELATI, year) for year in (2021, 2022, 2023)))
    async with serving(settings) as client:

        async def announced() -> Any:
            return [item for item in (await get(client))["items"] if item["type"] == "HealthStatusChanged"]

        [item] = await eventually(announced)
        assert item["sentence"] == "Status kesehatan koperasi: sehat."
        assert (item["data"]["from"], item["data"]["to"], item["happened_on"]) == (None, "healthy", "2024-11-14")


async def test_a_rebuilt_timeline_reads_the_same(settings: Settings, others: Others) -> None:
    async with serving(settings) as client:
        at_least = await others.tell(*STORY)
        before = await get(client, at_least=at_least, as_of="2199-12-31")
        report = await rebuild_from(settings.nats_url, settings.database_url, timeline.projection, lambda _: None)
        assert report.generation == 2
        after = await get(client, as_of="2199-12-31")
        assert told_by_others(after) == told_by_others(before)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/cooperatives/{ANGGREK}/timeline", 404),
        ("/v1/cooperatives/melati/timeline", 422),
        (f"/v1/cooperatives/{ANGGREK}/timeline?cursor=bWVsYXRp", 422),
        (f"/v1/cooperatives/{ANGGREK}/timeline?limit=501", 422),
        (f"/v1/cooperatives/{ANGGREK}/timeline?since=2024-01-01", 422),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    settings: Settings, others: Others, path: str, status: int
) -> None:
    async with serving(settings) as client:
        answer = await client.get(path)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
