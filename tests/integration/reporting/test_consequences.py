"""What a rebuild would change for readers: counted from two generations side by side, said in the office's numbers."""

import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from histories import histories
from monitored import ANGGREK, MELATI, TODAY, TUMPANG, WAGIR, healthy, held, registered

from chassis.definitions.consequences import Consequence
from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.parking import receive
from chassis.engine.ports import LogMessage
from chassis.storage.database import Database
from chassis.storage.differences import OtherColumns, differences
from chassis.storage.read_models import ReadModels, View, create_generation, schema_of
from chassis.storage.rows import Rows
from contracts import mentoring, reporting
from contracts.envelope import PublicEvent
from contracts.regions import all_kecamatan
from services.reporting.consequences import OfKecamatan, OfReport
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.counts import Counts, tally
from services.reporting.domain.health import EVERYTHING, HealthRule
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import RAT_3Y_2024
from services.reporting.projections import camat_reports, health_status
from services.reporting.projections.health_status import HealthRow, facts_of
from services.reporting.service import service

START = datetime(2024, 6, 1, tzinfo=UTC)
LIVE, ASIDE = 1, 2
CODES = [place.code for place in all_kecamatan()]
REPORT, ANOTHER = UUID(int=101), UUID(int=102)


def recorded(*events: PublicEvent, at: datetime = START) -> list[Received[Any]]:
    """Return public events as a fold meets them, each recorded an hour after the one before."""
    sequences: dict[str, int] = {}
    received = []
    for number, event in enumerate(events):
        sequence = sequences[event.service] = sequences.get(event.service, 0) + 1
        subject = next(
            getattr(event, name) for name in ("request_id", "report_id", "cooperative_id") if hasattr(event, name)
        )
        time, id_ = at + timedelta(hours=number), str(UUID(int=1_000 + number))
        received.append(Received(event.service, event.type_name(), sequence, id_, str(subject), 1, time, event))
    return received


def issued(report_id: UUID = REPORT, **different: Any) -> PublicEvent:
    given: dict[str, Any] = {
        "report_id": report_id,
        "kecamatan_code": WAGIR,
        "period": "2024-Q3",
        "issued_on": date(2024, 10, 2),
        "as_of": date(2024, 9, 30),
        "known_at": datetime(2024, 10, 2, 2, tzinfo=UTC),
        "positions": {"registry": 2, "rat": 3},
        "policy": "rat-3y-2024",
        "numbers": Numbers.of(Counts(registered=2, obliged=2, healthy=1, lapsed=1)).model_dump(),
        "sha256": "ab" * 32,
    }
    return reporting.CamatReportIssued(**given | different)


def requested(request_id: UUID = UUID(int=9), received_on: date = date(2024, 9, 1), code: str = WAGIR) -> PublicEvent:
    return mentoring.MentoringRequested(
        request_id=request_id,
        cooperative_id=ANGGREK,
        kecamatan_code=code,
        category="rat",
        channel="letter",
        received_on=received_on,
    )


async def put[R: Row](database: Database, projection: Projection[R], number: int, rows: Iterable[R]) -> None:
    """Make a generation of these rows."""
    async with database.engine.begin() as connection:
        await create_generation(connection, projection, number, "live" if number == LIVE else "trial")
    async with database.pool.acquire() as driver:
        await Rows(projection, schema_of(projection.name, number)).copy(driver, rows)


@asynccontextmanager
async def side_by_side(database: Database, projection: Projection[Any]) -> AsyncIterator[tuple[View, View]]:
    async with ReadModels(database).view(projection) as before:
        yield before, await before.beside(projection, ASIDE)


async def found(
    database: Database,
    projection: Projection[Any],
    before: Iterable[Received[Any]],
    after: Iterable[Received[Any]],
    reports: Iterable[PublicEvent] = (),
) -> list[str]:
    """Return in words what would read otherwise, if the second of two generations were live."""
    for number, events in ((LIVE, before), (ASIDE, after)):
        await put(database, projection, number, projection.fold(events).values())
    if projection is not camat_reports.projection:
        rows = camat_reports.projection.fold(recorded(*reports)).values()
        await put(database, camat_reports.projection, LIVE, rows)
    return [str(each) for each in await told(database, projection)]


async def told(database: Database, projection: Projection[Any]) -> list[Consequence]:
    async with side_by_side(database, projection) as (live, aside):
        return list(await service.consequences[projection.name](live, aside, TODAY))


WORLD = [registered(MELATI), registered(ANGGREK, name="Koperasi Anggrek"), *healthy(MELATI), requested()]


# ---------------------------------------------------------------- health_status


async def test_generations_that_are_equal_have_no_consequences(service_database: Database) -> None:
    events = recorded(*WORLD)
    assert await found(service_database, health_status.projection, events, events, [issued()]) == []


async def test_a_meeting_that_is_missing_is_told_for_its_kecamatan_and_for_each_report_that_knows_of_it(
    service_database: Database,
) -> None:
    events = recorded(*WORLD)
    reports = [
        issued(),
        issued(ANOTHER, period="2022-Q4", as_of=date(2022, 12, 31), issued_on=date(2024, 10, 3)),
        issued(UUID(int=103), kecamatan_code=TUMPANG),
    ]
    # Without the meeting for 2023: in the three years to 2021, which the second report is about, nothing is missing.
    assert await found(service_database, health_status.projection, events, [*events[:4], *events[5:]], reports) == [
        "35.07.21 Wagir: healthy 1 -> 0",
        "35.07.21 Wagir: inconsistent 0 -> 1",
        "35.07.21 Wagir: held_latest 1 -> 0",
        "report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): healthy 1 -> 0",
        "report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): inconsistent 0 -> 1",
        "report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): held_latest 1 -> 0",
    ]


async def test_a_report_is_counted_by_what_had_been_recorded_when_it_was_made(service_database: Database) -> None:
    events = recorded(*WORLD)
    later = recorded(*healthy(ANGGREK), at=datetime(2024, 10, 2, 3, tzinfo=UTC))
    assert await found(service_database, health_status.projection, events, [*events, *later], [issued()]) == [
        "35.07.21 Wagir: healthy 1 -> 2",
        "35.07.21 Wagir: lapsed 1 -> 0",
        "35.07.21 Wagir: held_latest 1 -> 2",
    ]


async def test_what_comes_goes_or_sits_elsewhere_moves_the_numbers_of_every_place(
    service_database: Database,
) -> None:
    before = recorded(*WORLD)
    after = recorded(*WORLD[1:5], requested(code=TUMPANG), registered(UUID(int=3), kecamatan_code=None))
    assert await found(service_database, health_status.projection, before, after) == [
        "35.07.16 Tumpang: mentoring_open 0 -> 1",
        "35.07.21 Wagir: registered 2 -> 1",
        "35.07.21 Wagir: obliged 2 -> 1",
        "35.07.21 Wagir: healthy 1 -> 0",
        "35.07.21 Wagir: held_latest 1 -> 0",
        "35.07.21 Wagir: mentoring_open 1 -> 0",
        "without a kecamatan: registered 0 -> 1",
        "without a kecamatan: obliged 0 -> 1",
        "without a kecamatan: lapsed 0 -> 1",
    ]


async def test_a_consequence_is_json_with_codes_names_and_numbers(service_database: Database) -> None:
    events = recorded(*WORLD)
    await found(service_database, health_status.projection, events, [*events[:4], *events[5:]], [issued()])
    of_kecamatan, *_, of_report = await told(service_database, health_status.projection)
    assert json.loads(json.dumps(of_kecamatan.as_json())) == {
        "kecamatan_code": "35.07.21",
        "name": "Wagir",
        "field": "healthy",
        "before": 1,
        "after": 0,
    }
    assert json.loads(json.dumps(of_report.as_json())) == {
        "report_id": str(REPORT),
        "period": "2024-Q3",
        "issued_on": "2024-10-02",
        "kecamatan_code": "35.07.21",
        "name": "Wagir",
        "field": "held_latest",
        "before": 1,
        "after": 0,
    }


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_counting_each_generation_whole_would_tell(service_database: Database, seed: int) -> None:
    chance = random.Random(seed)
    events = [*published(800, seed), *recorded(*(a_request(chance, number) for number in range(1, 31)))]
    before, after = (
        health_status.projection.fold(each for each in events if chance.random() > 0.03).values() for _ in range(2)
    )
    known_at = [each.time for each in events[:800]]
    reports = recorded(
        *(
            issued(
                UUID(int=number),
                kecamatan_code=chance.choice(CODES),
                as_of=date(2014, 1, 1) + timedelta(days=chance.randrange(3_900)),
                known_at=chance.choice([*known_at, TODAY_AT_NOON]),
            )
            for number in range(1, 61)
        )
    )
    rows = camat_reports.projection.fold(reports)
    await put(service_database, health_status.projection, LIVE, before)
    await put(service_database, health_status.projection, ASIDE, after)
    await put(service_database, camat_reports.projection, LIVE, rows.values())
    expected: dict[tuple[object, str], tuple[int, int]] = {}
    today = HealthRule(TODAY, EVERYTHING, RAT_3Y_2024)
    for code in (*CODES, None):
        expected |= moved(code, counted(before, today, code), counted(after, today, code))
    for row in rows.values():
        rule, code = HealthRule(row.as_of, row.known_at, RAT_3Y_2024), row.kecamatan_code
        expected |= moved(row.report_id, counted(before, rule, code), counted(after, rule, code))
    assert len({of for of, _ in expected if isinstance(of, UUID)}) > 5
    consequences = await told(service_database, health_status.projection)
    assert {(whose(each), each.field): (each.before, each.after) for each in consequences} == expected
    assert len(consequences) == len(expected)


TODAY_AT_NOON = datetime(2024, 11, 14, 5, tzinfo=UTC)


def published(events: int, seed: int) -> list[Received[Any]]:
    """Return random histories of cooperatives."""
    log = [
        LogMessage(place, headers["ce-source"].rpartition("/")[2], subject.split(".")[3], headers, data)
        for place, (subject, headers, data) in enumerate(histories(events, seed), 1)
    ]
    met = (receive(health_status.projection, each) for each in log)
    return [each for each in met if each is not None]


def a_request(chance: random.Random, number: int) -> PublicEvent:
    received_on = date(2014, 1, 1) + timedelta(days=chance.randrange(3_900))
    return requested(UUID(int=number), received_on, chance.choice(CODES))


def counted(rows: Iterable[HealthRow], rule: HealthRule, code: str | None) -> Counts:
    verdicts = [rule.judge(facts_of(row)) for row in rows if row.kind == "cooperative"]
    requests = [open_in(facts_of(row), rule.as_of, rule.known_at) for row in rows if row.kind == "request"]
    return tally(CODES, filter(None, verdicts), filter(None, requests)).by_kecamatan[code]


def moved(of: object, before: Counts, after: Counts) -> dict[tuple[object, str], tuple[int, int]]:
    now = asdict(after)
    return {(of, name): (was, now[name]) for name, was in asdict(before).items() if now[name] != was}


def whose(consequence: Consequence) -> object:
    assert isinstance(consequence, OfKecamatan | OfReport)
    return consequence.report_id if isinstance(consequence, OfReport) else consequence.kecamatan_code


# ---------------------------------------------------------------- camat_reports

ACKNOWLEDGED = reporting.CamatReportAcknowledged(
    report_id=REPORT, kecamatan_code=WAGIR, acknowledged_on=date(2024, 10, 9)
)
FOLLOWED_UP = reporting.CamatFollowUpRecorded(
    report_id=REPORT, kecamatan_code=WAGIR, cooperative_id=MELATI, action="Kunjungan", done_on=date(2024, 10, 20)
)


async def test_a_report_that_would_vanish_come_or_read_otherwise_is_told(service_database: Database) -> None:
    before = recorded(issued(), ACKNOWLEDGED, issued(ANOTHER, kecamatan_code=TUMPANG))
    numbers = Numbers.of(Counts(registered=2, obliged=2, healthy=1, lapsed=1)).model_copy(update={"lapsed": 0})
    third = issued(UUID(int=103), kecamatan_code=TUMPANG, period="2024-09")
    after = recorded(issued(numbers=numbers.model_dump()), FOLLOWED_UP, third)
    assert await found(service_database, camat_reports.projection, before, after) == [
        "report 2024-Q3 of 35.07.16 Tumpang (issued 2024-10-02): listed yes -> no",
        "report 2024-09 of 35.07.16 Tumpang (issued 2024-10-02): listed no -> yes",
        "report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): lapsed 1 -> 0",
        "report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): acknowledged_on 2024-10-09 -> none",
        f"report 2024-Q3 of 35.07.21 Wagir (issued 2024-10-02): follow_ups none -> 2024-10-20 Kunjungan ({MELATI})",
    ]


async def test_reports_that_are_equal_have_no_consequences(service_database: Database) -> None:
    events = recorded(issued(), ACKNOWLEDGED, FOLLOWED_UP)
    assert await found(service_database, camat_reports.projection, events, events) == []


# ---------------------------------------------------------------- two generations at one moment


async def test_rows_differ_by_their_values_and_may_be_on_one_side_only(service_database: Database) -> None:
    rows = health_status.projection.fold(recorded(registered(MELATI), registered(ANGGREK), held(MELATI, 2023)))
    melati, anggrek = (rows[each] for each in (MELATI, ANGGREK))
    spaced = msgspec.structs.replace(melati, registry=melati.registry.replace(",", " , "))
    third = msgspec.structs.replace(anggrek, subject_id=UUID(int=3))
    await put(service_database, health_status.projection, LIVE, [melati, anggrek])
    await put(service_database, health_status.projection, ASIDE, [spaced, third])
    async with side_by_side(service_database, health_status.projection) as (live, aside):
        different = [each async for each in differences(health_status.projection, live, aside)]
    assert {(was and was.subject_id, becomes and becomes.subject_id) for was, becomes in different} == {
        (ANGGREK, None),
        (None, UUID(int=3)),
    }


async def test_both_generations_are_seen_at_the_moment_the_first_was_opened(service_database: Database) -> None:
    rows = health_status.projection.fold(recorded(*WORLD))
    for number in (LIVE, ASIDE):
        await put(service_database, health_status.projection, number, rows.values())
    async with ReadModels(service_database).view(health_status.projection) as before:
        await service_database.pool.execute("DELETE FROM health_status_g2.health_status")
        await service_database.pool.execute("DELETE FROM health_status_g1.health_status")
        after = await before.beside(health_status.projection, ASIDE)
        assert [each async for each in differences(health_status.projection, before, after)] == []
        assert len([row async for row in after.stream(health_status.ALL)]) == len(rows)


async def test_a_generation_made_with_other_columns_can_not_be_asked_and_says_so(service_database: Database) -> None:
    for number in (LIVE, ASIDE):
        await put(service_database, health_status.projection, number, [])
    await put(service_database, camat_reports.projection, LIVE, [])
    await service_database.pool.execute("ALTER TABLE health_status_g1.health_status DROP COLUMN mentoring")
    with pytest.raises(OtherColumns, match="health_status_g1 or health_status_g2"):
        await told(service_database, health_status.projection)


async def test_a_generation_that_is_not_there_can_not_be_viewed(service_database: Database) -> None:
    read_models = ReadModels(service_database)
    with pytest.raises(LookupError, match="health_status has no generation yet"):
        async with read_models.view(health_status.projection):
            pass
    await put(service_database, health_status.projection, LIVE, [])
    with pytest.raises(LookupError, match="health_status has no generation 7"):
        async with read_models.view(health_status.projection, 7):
            pass
    async with read_models.view(health_status.projection, LIVE) as view:
        assert await view.fetch(health_status.ALL) == []
