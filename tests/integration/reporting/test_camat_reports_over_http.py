"""Camat reports over HTTP: for any moment, issued and frozen, acknowledged, followed up, compared with today."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from alone import answering, runtime_on

from chassis.definitions.projection import Projection
from chassis.engine.ports import LogMessage, PublicMessage
from chassis.engine.projector import Projector
from chassis.http.runtime import Runtime
from chassis.storage.database import Database
from contracts import mentoring, rat, registry
from contracts.envelope import SERVICES, Envelope, PublicEvent
from services.reporting.documents.formats import FORMATS
from services.reporting.projections import camat_reports, health_status
from services.reporting.service import service

MELATI, ANGGREK, KENANGA = UUID(int=1), UUID(int=2), UUID(int=3)
WAGIR, TUMPANG = "35.07.21", "35.07.16"
START = datetime(2024, 6, 1, tzinfo=UTC)
TODAY = date(2024, 11, 14)
KNOWN_AT = "2024-12-01T00:00:00Z"
Q3 = {"kecamatan_code": WAGIR, "period": "2024-Q3"}


@dataclass
class Reporting:
    """The service without its background work: what relay and projectors would bring, `tell` and `settle` bring."""

    runtime: Runtime
    http: httpx.AsyncClient
    sequences: dict[str, int] = field(default_factory=dict)
    published: int = 0

    async def tell(self, *events: PublicEvent) -> None:
        """Bring public events of other services, each recorded an hour after the one before it of its service."""
        batch = []
        for event in events:
            sequence = self.sequences[event.service] = self.sequences.get(event.service, 0) + 1
            subject: UUID = getattr(event, "request_id", None) or getattr(event, "cooperative_id")  # noqa: B009
            envelope = Envelope(
                id=UUID(int=SERVICES.index(event.service) << 64 | sequence),
                service=event.service,
                type=event.type_name(),
                schema_version=1,
                subject=subject,
                time=START + timedelta(hours=sequence),
                sequence=sequence,
                stream_version=1,
                correlation_id="test",
            )
            batch.append(PublicMessage("", envelope, event.model_dump_json(by_alias=True).encode()))
        await self._apply(health_status.projection, batch)

    async def settle(self) -> None:
        """Publish and project what the service itself has recorded."""
        stored = await self.runtime.store.read(self.published, 1_000)
        self.published += len(stored)
        await self._apply(camat_reports.projection, [service.publication()(event) for event in stored])

    async def _apply(self, projection: Projection[Any], messages: list[PublicMessage]) -> None:
        live = self.runtime.read_models.live(projection)
        projector = Projector(projection, live, feed=None, moved=self.runtime.note)  # type: ignore[arg-type]
        batch = [
            LogMessage(number, each.envelope.service, each.envelope.type, each.envelope.headers(), each.data)
            for number, each in enumerate(messages, 1)
        ]
        before = await live.checkpoint()
        after = await projector.apply(batch, before, "log") if batch else before
        self.runtime.note(projection.name, dict(after.positions))

    async def get(self, path: str, status: int = 200, /, **params: str | int) -> httpx.Response:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == status, answer.text
        return answer

    async def issue(self, **different: str) -> dict[str, Any]:
        """Issue a report, and bring it to the list."""
        answer = await self.http.post("/v1/camat-reports", json=Q3 | different)
        assert answer.status_code == 201, answer.text
        await self.settle()
        return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
async def reporting(service_database: Database) -> AsyncIterator[Reporting]:
    runtime = runtime_on(service_database, "reporting", TODAY)
    for projection in (health_status.projection, camat_reports.projection):
        await runtime.read_models.live(projection).checkpoint()
    async with answering(runtime, service.routes) as http:
        yield Reporting(runtime, http)


def registered(cooperative_id: UUID, name: str = "Koperasi Melati", kecamatan_code: str = WAGIR) -> PublicEvent:
    return registry.CooperativeRegistered(
        cooperative_id=cooperative_id,
        kecamatan_code=kecamatan_code,
        village_code=f"{kecamatan_code}.2003",
        name=name,
        legal_entity_number="1",
        legal_entity_date=date(2010, 1, 5),
        scope="regency",
    )


def held(cooperative_id: UUID, book_year: int) -> PublicEvent:
    held_on = date(book_year + 1, 2, 1)
    return rat.RATHeld(
        cooperative_id=cooperative_id, kecamatan_code=WAGIR, book_year=book_year, held_on=held_on, source="office"
    )


def requested() -> PublicEvent:
    return mentoring.MentoringRequested(
        request_id=UUID(int=9),
        cooperative_id=ANGGREK,
        kecamatan_code=WAGIR,
        category="rat",
        channel="letter",
        received_on=date(2024, 9, 1),
    )


@pytest.fixture
async def wagir(reporting: Reporting) -> Reporting:
    """One healthy and one lapsed cooperative in Wagir, for which somebody asked for help; one in Tumpang."""
    await reporting.tell(
        registered(MELATI),
        registered(ANGGREK, "Koperasi Anggrek"),
        registered(KENANGA, "Koperasi Kenanga", TUMPANG),
        *(held(MELATI, year) for year in (2021, 2022, 2023)),
        requested(),
    )
    return reporting


# ---------------------------------------------------------------- for any moment


async def test_a_report_in_json_has_the_numbers_that_the_counts_have(wagir: Reporting) -> None:
    report = (await wagir.get(f"/v1/camat-reports/{WAGIR}.json", known_at=KNOWN_AT)).json()
    counts = (await wagir.get(f"/v1/kecamatan/{WAGIR}", known_at=KNOWN_AT)).json()["items"][0]
    assert {name: report[name] for name in counts} == counts
    assert report["shares"]["healthy"] == 50.0
    assert (report["as_of"], report["known_at"]) == ("2024-11-14", "2024-12-01T00:00:00.000000Z")
    assert report["positions"] == {"mentoring": 1, "rat": 3, "registry": 3}
    assert report["policy"] == "rat-3y-2024"
    assert [line["name"] for line in report["cooperatives"]] == ["Koperasi Anggrek", "Koperasi Melati"]
    assert [line["mentoring_open"] for line in report["cooperatives"]] == [True, False]
    assert report["regency"]["registered"] == 3
    assert report["report_id"] is None


async def test_any_past_can_be_asked_for(wagir: Reporting) -> None:
    path = f"/v1/camat-reports/{WAGIR}.json"
    assert (await wagir.get(path, as_of="2024-08-31")).json()["mentoring_open"] == 0
    assert (await wagir.get(path, known_at="2024-06-01T01:00:00Z")).json()["registered"] == 1
    assert (await wagir.get(path, known_at="2024-06-01T02:00:00Z")).json()["healthy"] == 0


@pytest.mark.parametrize("format_", FORMATS)
async def test_the_extension_names_the_format_and_the_bytes_are_always_the_same(wagir: Reporting, format_: str) -> None:
    path = f"/v1/camat-reports/{WAGIR}.{format_}"
    first = await wagir.get(path, known_at=KNOWN_AT)
    assert first.headers["content-type"] == FORMATS[format_].media_type  # type: ignore[index]
    assert first.headers["content-disposition"] == f'inline; filename="laporan-camat-wagir-2024-11-14.{format_}"'
    digest = base64.b64encode(hashlib.sha256(first.content).digest()).decode()
    assert first.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert (await wagir.get(path, known_at=KNOWN_AT)).content == first.content
    assert (await wagir.get(path, known_at=KNOWN_AT, as_of="2024-11-13")).content != first.content


async def test_without_an_extension_the_caller_gets_what_it_likes_best(wagir: Reporting) -> None:
    async def got(accept: str) -> str:
        answer = await wagir.http.get(f"/v1/camat-reports/{WAGIR}", headers={"Accept": accept})
        return answer.headers["content-type"].partition(";")[0]

    assert await got("*/*") == "application/json"
    assert await got("text/html,*/*;q=0.8") == "text/html"
    assert await got("application/pdf") == "application/pdf"
    assert await got("image/png") == "application/problem+json"


# ---------------------------------------------------------------- issued


async def test_an_issued_report_is_read_as_it_was_whatever_is_recorded_later(wagir: Reporting) -> None:
    issued = await wagir.issue()
    assert (issued["as_of"], issued["issued_on"], issued["version"]) == ("2024-09-30", "2024-11-14", 1)
    path = f"/v1/camat-reports/{issued['report_id']}"
    before = {format_: (await wagir.get(f"{path}.{format_}")).content for format_ in FORMATS}
    assert hashlib.sha256(before["pdf"]).hexdigest() == issued["sha256"]
    await wagir.tell(*(held(ANGGREK, year) for year in (2021, 2022, 2023)))
    for format_, content in before.items():
        assert (await wagir.get(f"{path}.{format_}")).content == content
    assert (await wagir.get(f"/v1/camat-reports/{WAGIR}.json", as_of="2024-09-30")).json()["healthy"] == 2


async def test_what_is_issued_is_what_was_to_be_read_then(wagir: Reporting) -> None:
    issued = await wagir.issue()
    frozen = (await wagir.get(f"/v1/camat-reports/{issued['report_id']}.json")).json()
    live = (await wagir.get(f"/v1/camat-reports/{WAGIR}.json", as_of="2024-09-30", known_at=issued["known_at"])).json()
    of_the_issue = {"report_id", "period", "issued_on", "asks", "positions"}
    assert {k: v for k, v in frozen.items() if k not in of_the_issue} == {
        k: v for k, v in live.items() if k not in of_the_issue
    }
    assert (frozen["report_id"], frozen["period"]) == (issued["report_id"], "2024-Q3")


async def test_the_list_tells_what_became_of_a_report(wagir: Reporting) -> None:
    issued = await wagir.issue()
    path = f"/v1/camat-reports/{issued['report_id']}"
    acknowledged = await wagir.http.post(f"{path}/acknowledgements", json={}, headers={"If-Match": '"1"'})
    assert (acknowledged.status_code, acknowledged.headers["etag"]) == (201, '"2"')
    assert acknowledged.headers["dinkop-position"] == "reporting:2"
    done = {"cooperative_id": str(ANGGREK), "action": "Kunjungan", "done_on": "2024-11-13", "notes": "Ketua sakit"}
    assert (await wagir.http.post(f"{path}/follow-ups", json=done)).json()["version"] == 3
    await wagir.settle()
    answer = (await wagir.get("/v1/camat-reports", at_least="reporting:3")).json()
    (item,) = answer["items"]
    assert (item["report_id"], item["name"], item["version"]) == (issued["report_id"], "Wagir", 3)
    assert item["acknowledged_on"] == "2024-11-14"
    assert item["follow_ups"] == [{name: done[name] for name in ("cooperative_id", "action", "done_on")}]
    assert item["numbers"]["lapsed"] == 1
    assert answer["positions"] == {"reporting": 3}
    earlier = (await wagir.get("/v1/camat-reports", known_at=issued["known_at"])).json()["items"]
    assert earlier == []
    assert (await wagir.get("/v1/camat-reports", as_of="2024-11-13")).json()["items"] == []


async def test_notes_stand_in_the_history_only(wagir: Reporting) -> None:
    issued = await wagir.issue()
    path = f"/v1/camat-reports/{issued['report_id']}"
    done = {"cooperative_id": str(ANGGREK), "action": "Kunjungan", "notes": "Ketua sakit"}
    await wagir.http.post(f"{path}/follow-ups", json=done)
    history = (await wagir.get(f"{path}/history")).json()["items"]
    assert [item["type"] for item in history] == ["CamatReportIssued", "CamatFollowUpRecorded"]
    assert history[1]["data"]["notes"] == "Ketua sakit"
    messages = [service.publication()(event) for event in await wagir.runtime.store.read(0, 10)]
    assert not any(b"Ketua sakit" in message.data for message in messages)
    assert [message.subject for message in messages] == [
        "dinkop.v1.reporting.CamatReportIssued.350721",
        "dinkop.v1.reporting.CamatFollowUpRecorded.350721",
    ]


async def test_the_list_comes_in_pages_the_last_issued_first(wagir: Reporting) -> None:
    ids = [(await wagir.issue(period=period))["report_id"] for period in ("2024-Q1", "2024-Q2", "2024-Q3")]
    other = (await wagir.issue(kecamatan_code=TUMPANG))["report_id"]
    first = (await wagir.get("/v1/camat-reports", limit=3)).json()
    rest = (await wagir.get("/v1/camat-reports", limit=3, cursor=first["next_cursor"])).json()
    assert [item["report_id"] for page in (first, rest) for item in page["items"]] == [other, *reversed(ids)]
    assert rest["next_cursor"] is None

    async def found(**params: str | int) -> list[str]:
        return [item["report_id"] for item in (await wagir.get("/v1/camat-reports", **params)).json()["items"]]

    assert await found(kecamatan_code=TUMPANG) == [other]
    assert await found(period="2024-Q2") == [ids[1]]
    assert await found(kecamatan_code=WAGIR, period="2024-Q3") == [ids[2]]


async def test_a_report_compares_itself_with_the_last_one_and_tells_what_has_changed_in_it(wagir: Reporting) -> None:
    first = await wagir.issue(period="2024-Q2")
    await wagir.tell(*(held(ANGGREK, year) for year in (2021, 2022, 2023)))
    report = (await wagir.get(f"/v1/camat-reports/{WAGIR}.json", as_of="2024-09-30")).json()
    last = report["previous"]
    assert (last["report_id"], last["period"], last["healthy"]) == (first["report_id"], "2024-Q2", 1)
    changed = {change["number"]: (change["was"], change["now"]) for change in last["changes"]["numbers"]}
    assert changed["healthy"] == (1, 2)
    assert (await wagir.get(f"/v1/camat-reports/{WAGIR}.json", as_of="2024-06-29")).json()["previous"] is None


async def test_changes_name_the_events_that_moved_each_number(wagir: Reporting) -> None:
    issued = await wagir.issue()
    path = f"/v1/camat-reports/{issued['report_id']}/changes"
    unchanged = (await wagir.get(path)).json()
    assert (unchanged["numbers"], unchanged["cooperatives"]) == ([], [])
    assert (unchanged["as_of"], unchanged["was_known_at"]) == ("2024-09-30", issued["known_at"])
    await wagir.tell(held(ANGGREK, 2023), held(ANGGREK, 2022), held(ANGGREK, 2021))
    answer = (await wagir.get(path, at_least="rat:6")).json()
    numbers = {change["number"]: change for change in answer["numbers"]}
    assert {name: (each["was"], each["now"]) for name, each in numbers.items()} == {
        "healthy": (1, 2),
        "lapsed": (1, 0),
        "held_latest": (1, 2),
    }
    (move,) = numbers["healthy"]["why"]
    assert (move["by"], move["cause"]["event"], move["cause"]["sequence"]) == (1, "RATHeld", 6)
    assert move["cause"]["name"] == "Koperasi Anggrek"
    (line,) = answer["cooperatives"]
    assert (line["was"], line["now"], len(line["why"])) == ("lapsed", "healthy", 3)
    assert answer["positions"]["rat"] == 6


# ---------------------------------------------------------------- refused


async def test_a_period_is_reported_on_once_also_by_two_at_once(wagir: Reporting) -> None:
    answers = await asyncio.gather(*(wagir.http.post("/v1/camat-reports", json=Q3) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    again = await wagir.http.post("/v1/camat-reports", json=Q3)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/already-issued")


async def test_a_repeated_key_gets_the_first_answer(wagir: Reporting) -> None:
    headers = {"Idempotency-Key": "one"}
    first, second = [await wagir.http.post("/v1/camat-reports", json=Q3, headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()) == (201, second.json())
    other = await wagir.http.post("/v1/camat-reports", json=Q3 | {"kecamatan_code": TUMPANG}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_running_period_shows_today(wagir: Reporting) -> None:
    assert (await wagir.issue(period="2024-Q4"))["as_of"] == "2024-11-14"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (Q3 | {"period": "2024-Q5"}, "period"),
        (Q3 | {"period": "2025-Q1"}, "period"),
        (Q3 | {"period": 2024}, "period"),
        (Q3 | {"kecamatan_code": "35.07.99"}, "kecamatan_code"),
        (Q3 | {"kecamatan_code": "Wagir"}, "kecamatan_code"),
        (Q3 | {"issued_on": "2024-11-15"}, "issued_on"),
        (Q3 | {"issued_on": "2024-06-30"}, "period"),
        (Q3 | {"note": "x"}, "note"),
        ({"period": "2024-Q3"}, "kecamatan_code"),
    ],
)
async def test_what_can_not_be_issued_is_refused(wagir: Reporting, body: dict[str, Any], field: str) -> None:
    answer = await wagir.http.post("/v1/camat-reports", json=body)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/camat-reports/35.07.99", 404),
        ("/v1/camat-reports/wagir.pdf", 404),
        (f"/v1/camat-reports/{WAGIR}.docx", 404),
        (f"/v1/camat-reports/{WAGIR}.PDF", 404),
        (f"/v1/camat-reports/{UUID(int=5)}", 404),
        (f"/v1/camat-reports/{UUID(int=5)}.pdf", 404),
        (f"/v1/camat-reports/{UUID(int=5)}/changes", 404),
        (f"/v1/camat-reports/{UUID(int=5)}/history", 404),
        (f"/v1/camat-reports/{WAGIR}/changes", 422),
        (f"/v1/camat-reports/{WAGIR}?as_of=2024-02-30", 422),
        (f"/v1/camat-reports/{WAGIR}?known_at=2024-02-28", 422),
        (f"/v1/camat-reports/{WAGIR}?format=pdf", 422),
        ("/v1/camat-reports?period=2024-Q5", 422),
        ("/v1/camat-reports?kecamatan_code=Wagir", 422),
        ("/v1/camat-reports?cursor=eA", 422),
        ("/v1/camat-reports?limit=501", 422),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(wagir: Reporting, path: str, status: int) -> None:
    answer = await wagir.http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_issued_report_is_of_its_own_moment(wagir: Reporting) -> None:
    path = f"/v1/camat-reports/{(await wagir.issue())['report_id']}"
    for name, value in (("as_of", "2024-09-30"), ("known_at", KNOWN_AT)):
        problem = (await wagir.get(path, 422, **{name: value})).json()
        assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/frozen-in-time", name)


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("acknowledgements", {"acknowledged_on": "2024-11-15"}, 422),
        ("acknowledgements", {"acknowledged_on": "2024-11-13"}, 422),
        ("acknowledgements", {"by": "x"}, 422),
        ("follow-ups", {"cooperative_id": str(KENANGA), "action": "Kunjungan"}, 422),
        ("follow-ups", {"cooperative_id": str(MELATI), "action": " "}, 422),
        ("follow-ups", {"cooperative_id": str(MELATI), "action": "Kunjungan", "done_on": "2024-11-15"}, 422),
        ("follow-ups", {"action": "Kunjungan"}, 422),
    ],
)
async def test_what_can_not_be_so_is_refused(wagir: Reporting, what: str, body: dict[str, str], status: int) -> None:
    issued = await wagir.issue()
    answer = await wagir.http.post(f"/v1/camat-reports/{issued['report_id']}/{what}", json=body)
    assert answer.status_code == status, answer.text


async def test_a_report_is_acknowledged_once_and_not_by_a_stale_hand(wagir: Reporting) -> None:
    path = f"/v1/camat-reports/{(await wagir.issue())['report_id']}"
    etag = (await wagir.get(f"{path}.json")).headers["etag"]
    assert (await wagir.http.post(f"{path}/acknowledgements", json={}, headers={"If-Match": etag})).status_code == 201
    assert (await wagir.http.post(f"{path}/acknowledgements", json={})).status_code == 409
    body = {"cooperative_id": str(MELATI), "action": "Kunjungan"}
    assert (await wagir.http.post(f"{path}/follow-ups", json=body, headers={"If-Match": etag})).status_code == 412


@pytest.mark.parametrize("what", ["acknowledgements", "follow-ups"])
async def test_what_was_not_issued_is_not_there(wagir: Reporting, what: str) -> None:
    body = {"cooperative_id": str(MELATI), "action": "Kunjungan"} if what == "follow-ups" else {}
    answer = await wagir.http.post(f"/v1/camat-reports/{UUID(int=5)}/{what}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-report")
