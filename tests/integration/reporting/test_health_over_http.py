"""Health and counts over HTTP: public events in, answers out, through PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from alone import answering, runtime_on

from chassis.engine.ports import Checkpoint, LogMessage
from chassis.engine.projector import Projector
from chassis.storage.database import Database
from contracts import mentoring, rat, registry
from contracts.envelope import SERVICES, Envelope, PublicEvent
from services.reporting import api
from services.reporting.api import reading
from services.reporting.projections.health_status import projection

MELATI, ANGGREK, KENANGA = UUID(int=1), UUID(int=2), UUID(int=3)
REQUEST = UUID(int=9)
WAGIR, TUMPANG = "35.07.21", "35.07.16"
START = datetime(2024, 6, 1, tzinfo=UTC)
TODAY = date(2024, 11, 14)


def event_id(service: str, sequence: int) -> UUID:
    return UUID(int=SERVICES.index(service) << 64 | sequence)


@dataclass
class Reporting:
    """The service without its background work: what the relay would bring, `tell` brings."""

    projector: Projector[Any]
    http: httpx.AsyncClient
    sequences: dict[str, int] = field(default_factory=dict)

    async def tell(self, *events: PublicEvent) -> None:
        """Apply public events, each recorded an hour after the one before it of its service."""
        batch = []
        for event in events:
            sequence = self.sequences[event.service] = self.sequences.get(event.service, 0) + 1
            subject: UUID = getattr(event, "request_id", None) or getattr(event, "cooperative_id")  # noqa: B009
            envelope = Envelope(
                id=event_id(event.service, sequence),
                service=event.service,
                type=event.type_name(),
                schema_version=1,
                subject=subject,
                time=START + timedelta(hours=sequence),
                sequence=sequence,
                stream_version=1,
                correlation_id="test",
            )
            data = event.model_dump_json(by_alias=True).encode()
            batch.append(
                LogMessage(sum(self.sequences.values()), event.service, envelope.type, envelope.headers(), data)
            )
        before = await self.projector.read_model.checkpoint()
        after = await self.projector.apply(batch, before, "log")
        self.projector.moved(projection.name, dict(after.positions))

    async def get(self, path: str, **params: str | int) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def reporting(service_database: Database) -> AsyncIterator[Reporting]:
    runtime = runtime_on(service_database, "reporting", TODAY)
    live = runtime.read_models.live(projection)
    assert await live.checkpoint() == Checkpoint()
    projector = Projector(projection, live, feed=None, moved=runtime.note)  # type: ignore[arg-type]
    async with answering(runtime, api.ROUTES) as http:
        yield Reporting(projector, http)


def registered(cooperative_id: UUID, kecamatan_code: str | None = WAGIR, **more: Any) -> PublicEvent:
    given = {
        "name": "Koperasi Melati",
        "legal_entity_number": "1",
        "legal_entity_date": date(2010, 1, 5),
        "scope": "regency",
    }
    return registry.CooperativeRegistered(
        cooperative_id=cooperative_id, kecamatan_code=kecamatan_code, **{**given, **more}
    )


def held(cooperative_id: UUID, book_year: int, held_on: date) -> PublicEvent:
    return rat.RATHeld(
        cooperative_id=cooperative_id, kecamatan_code=WAGIR, book_year=book_year, held_on=held_on, source="office"
    )


def healthy(cooperative_id: UUID) -> list[PublicEvent]:
    return [held(cooperative_id, year, date(year + 1, 2, 1)) for year in (2021, 2022, 2023)]


def requested(cooperative_id: UUID | None = MELATI, kecamatan_code: str = WAGIR) -> PublicEvent:
    return mentoring.MentoringRequested(
        request_id=REQUEST,
        cooperative_id=cooperative_id,
        kecamatan_code=kecamatan_code,
        category="rat",
        channel="letter",
        received_on=date(2024, 9, 1),
    )


async def test_one_cooperative_is_answered_flat_with_its_reasons(reporting: Reporting) -> None:
    nik = "3507210020001"
    await reporting.tell(registered(MELATI, nik=nik, village_code="35.07.21.2003"), *healthy(MELATI), requested())
    answer = await reporting.get(f"/v1/health/{MELATI}", known_at="2024-12-01T00:00:00Z")
    because = answer.pop("because")
    assert answer == {
        "as_of": "2024-11-14",
        "known_at": "2024-12-01T00:00:00.000000Z",
        "positions": {"registry": 1, "rat": 3, "mentoring": 1},
        "policy": "rat-3y-2024",
        "cooperative_id": str(MELATI),
        "name": "Koperasi Melati",
        "nik": nik,
        "kecamatan_code": WAGIR,
        "village_code": "35.07.21.2003",
        "status": "healthy",
        "existence": "registered",
        "mentoring_open": True,
        "book_years": [
            {
                "book_year": year,
                "due_on": f"{year + 1}-06-30",
                "state": "on_time",
                "held_on": f"{year + 1}-02-01",
                "source": "office",
            }
            for year in (2021, 2022, 2023)
        ],
    }
    assert because["events"] == [str(event_id("registry", 1)), *(str(event_id("rat", n)) for n in (1, 2, 3))]
    assert "2021 to 2023 decide" in because["rule"]


async def test_any_past_can_be_asked_for(reporting: Reporting) -> None:
    await reporting.tell(registered(MELATI), *healthy(MELATI), requested())
    path = f"/v1/health/{MELATI}"
    earlier = await reporting.get(path, as_of="2024-01-31")
    assert (earlier["status"], earlier["mentoring_open"]) == ("inconsistent", False)
    assert earlier["book_years"][-1] == {
        "book_year": 2023,
        "due_on": "2024-06-30",
        "state": "pending",
        "held_on": None,
        "source": None,
    }
    assert (await reporting.get(path, known_at="2024-06-01T02:59:59.999999Z"))["status"] == "inconsistent"
    assert (await reporting.get(path, known_at="2024-06-01T03:00:00Z"))["status"] == "healthy"
    assert (await reporting.http.get(path, params={"known_at": "2024-06-01T00:59:59Z"})).status_code == 404


async def test_facts_keep_arriving_at_a_row_that_postgresql_has_stored(reporting: Reporting) -> None:
    for event in (registered(MELATI), *healthy(MELATI)):
        await reporting.tell(event)
    annulled = rat.RATAnnulled(cooperative_id=MELATI, kecamatan_code=WAGIR, book_year=2022, reason="-")
    await reporting.tell(annulled)
    answer = await reporting.get(f"/v1/health/{MELATI}")
    assert [year["state"] for year in answer["book_years"]] == ["on_time", "missed", "on_time"]
    assert answer["status"] == "inconsistent"


async def test_the_list_is_filtered_by_what_was_so_then(reporting: Reporting) -> None:
    moved = registry.CooperativeRelocated(
        cooperative_id=ANGGREK, kecamatan_code=TUMPANG, address="x", effective_on=date(2024, 8, 1)
    )
    await reporting.tell(
        registered(MELATI), *healthy(MELATI), registered(ANGGREK), moved, registered(KENANGA, None, scope="province")
    )

    async def found(**params: str) -> list[str]:
        return [item["cooperative_id"] for item in (await reporting.get("/v1/health", **params))["items"]]

    assert await found() == [str(MELATI), str(ANGGREK), str(KENANGA)]
    assert await found(kecamatan_code=WAGIR) == [str(MELATI)]
    assert await found(kecamatan_code=WAGIR, as_of="2024-07-31") == [str(MELATI), str(ANGGREK)]
    assert await found(kecamatan_code=TUMPANG) == [str(ANGGREK)]
    assert await found(status="lapsed") == [str(ANGGREK), str(KENANGA)]
    assert await found(scope="province") == [str(KENANGA)]
    assert await found(existence="not_found") == []


async def test_the_list_comes_in_pages_that_miss_nothing(reporting: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH", 2)
    ids = [UUID(int=100 + n) for n in range(7)]
    await reporting.tell(*(registered(each) for each in ids), *healthy(ids[3]))
    seen, cursor = [], None
    while True:
        page = await reporting.get("/v1/health", limit=3, status="lapsed", **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 3
        seen += [item["cooperative_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [str(each) for each in ids if each != ids[3]]


async def test_all_33_kecamatan_are_counted_and_those_without_one(reporting: Reporting) -> None:
    await reporting.tell(
        registered(MELATI),
        *healthy(MELATI),
        registered(ANGGREK),
        registered(KENANGA, None, scope="province"),
        requested(None, TUMPANG),
    )
    answer = await reporting.get("/v1/kecamatan")
    assert [item["kecamatan_code"] for item in answer["items"]] == [*(f"35.07.{n:02d}" for n in range(1, 34)), None]
    by_code = {item["kecamatan_code"]: item for item in answer["items"]}
    assert by_code[WAGIR] == {
        "kecamatan_code": WAGIR,
        "name": "Wagir",
        "registered": 2,
        "obliged": 2,
        "healthy": 1,
        "on_track": 0,
        "inconsistent": 0,
        "lapsed": 1,
        "not_yet_due": 0,
        "held_latest": 1,
        "not_found": 0,
        "removal_proposed": 0,
        "mentoring_open": 0,
    }
    assert by_code[TUMPANG]["mentoring_open"] == 1
    assert by_code[None] == {**by_code[None], "name": None, "registered": 1, "lapsed": 1}
    assert answer["total"]["registered"] == 3
    assert (await reporting.get("/v1/kecamatan", scope="regency"))["total"]["registered"] == 2
    one = await reporting.get(f"/v1/kecamatan/{WAGIR}")
    assert {**one, **by_code[WAGIR]} == one
    assert one["positions"] == answer["positions"]


async def test_a_reader_waits_for_the_position_it_names(reporting: Reporting) -> None:
    await reporting.tell(registered(MELATI))
    assert (await reporting.get("/v1/kecamatan", at_least="registry:1"))["total"]["registered"] == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/health/{KENANGA}", 404),
        ("/v1/health/melati", 422),
        ("/v1/kecamatan/35.07.99", 404),
        ("/v1/kecamatan/wagir", 404),
        ("/v1/health?as_of=2024-02-30", 422),
        ("/v1/health?as_of=20240228", 422),
        ("/v1/health?known_at=2024-02-28", 422),
        ("/v1/health?known_at=1709078400", 422),
        ("/v1/health?known_at=2024-02-28T09:30:00", 422),
        ("/v1/health?known_at=0001-01-01T00:00:00%2B14:00", 422),
        ("/v1/health?known_at=9999-12-31T23:59:59-14:00", 422),
        ("/v1/health?known_at=2024-02-28T24:61:00Z", 422),
        ("/v1/health?status=sick", 422),
        ("/v1/health?scope=village", 422),
        ("/v1/health?cursor=bWVsYXRp", 422),
        ("/v1/health?limit=501", 422),
        ("/v1/health?kecamatan=35.07.21", 422),
        ("/v1/kecamatan?at_least=nobody:1", 422),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(reporting: Reporting, path: str, status: int) -> None:
    answer = await reporting.http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


@pytest.mark.parametrize("as_of", ["1900-01-01", "2199-12-31"])
async def test_the_first_and_the_last_day_can_be_asked_for(reporting: Reporting, as_of: str) -> None:
    await reporting.tell(registered(MELATI, legal_entity_date=None))
    assert (await reporting.get("/v1/kecamatan", as_of=as_of))["total"]["lapsed"] == 1
