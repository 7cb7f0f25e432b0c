"""The health_status projection: from public events to rows, however the services interleave."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.definitions.decoding import decoder
from chassis.definitions.projection import Received
from contracts import mentoring, rat, registry
from contracts.envelope import PublicEvent
from services.reporting.domain import facts
from services.reporting.domain.facts import appended, decoded, microseconds
from services.reporting.domain.health import verdict
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import RAT_3Y_2024
from services.reporting.projections.health_status import HealthRow, facts_of, projection

MELATI, ANGGREK, REQUEST = UUID(int=1), UUID(int=2), UUID(int=3)
START = datetime(2024, 1, 1, tzinfo=UTC)
ABOUT = {"cooperative_id": MELATI, "kecamatan_code": "35.07.21"}


class Log:
    """Numbers events per service, as the services do."""

    def __init__(self) -> None:
        self._sequences: dict[str, int] = {}

    def receive(self, event: PublicEvent, subject: UUID = MELATI) -> Received[Any]:
        sequence = self._sequences[event.service] = self._sequences.get(event.service, 0) + 1
        return Received(
            service=event.service,
            type=event.type_name(),
            sequence=sequence,
            event_id=str(UUID(int=(len(event.service) << 64) + sequence)),
            subject_id=str(subject),
            stream_version=1,
            time=START + timedelta(hours=sequence, microseconds=sequence),
            data=_decode(event),
        )


def _decode(event: PublicEvent) -> Any:
    decode = projection.decoders.get((event.service, event.type_name()), decoder(type(event)))
    return decode(event.model_dump_json(by_alias=True).encode())


def registered(**changes: Any) -> registry.CooperativeRegistered:
    given = {
        "name": "Koperasi Melati",
        "legal_entity_number": "1/BH/XVI.14/2010",
        "legal_entity_date": date(2010, 1, 5),
        "nik": "3507210020001",
        "scope": "regency",
        "village_code": "35.07.21.2003",
    }
    return registry.CooperativeRegistered(**{**ABOUT, **given, **changes})


def held(book_year: int, held_on: date, **changes: Any) -> rat.RATHeld:
    return rat.RATHeld(**{**ABOUT, "book_year": book_year, "held_on": held_on, "source": "office", **changes})


def row_of(*events: PublicEvent) -> HealthRow:
    log = Log()
    rows = projection.fold(log.receive(event) for event in events)
    assert list(rows) == [MELATI]
    return rows[MELATI]


def test_a_row_keeps_each_fact_with_the_event_it_came_by() -> None:
    row = row_of(registered(), held(2023, date(2024, 2, 1)))
    found = facts_of(row)
    assert found.registry == [
        facts.Registered(
            str(UUID(int=(8 << 64) + 1)),
            1,
            microseconds(START) + 3_600_000_001,
            "Koperasi Melati",
            "3507210020001",
            date(2010, 1, 5),
            "35.07.21",
            "35.07.21.2003",
            "primary",
            "regency",
        )
    ]
    assert found.rat == [
        facts.RATHeld(
            str(UUID(int=(3 << 64) + 1)), 1, microseconds(START) + 3_600_000_001, 2023, date(2024, 2, 1), "office"
        )
    ]
    assert (row.kind, row.cooperative_id, row.kecamatan_codes) == ("cooperative", MELATI, ["35.07.21"])


def test_every_event_the_rule_needs_becomes_a_fact_of_its_own_kind() -> None:
    row = row_of(
        registered(),
        registry.CooperativeCorrected(**ABOUT, changes={"legal_entity_date": "2011-02-03", "address": "x"}, reason="-"),
        registry.MinistryRecordChanged(**ABOUT, changes={"scope": None, "members_total": 9}, source="ods"),
        registry.CooperativeRelocated(
            **{**ABOUT, "kecamatan_code": "35.07.10"}, address="x", effective_on=date(2023, 1, 2)
        ),
        registry.CooperativeTraced(
            **ABOUT,
            traced_on=date(2023, 3, 4),
            signboard_found=False,
            office_found=False,
            members_reached=True,
            operating=False,
            finding="dormant",
        ),
        registry.RemovalProposed(**ABOUT, letter_number="1", letter_date=date(2023, 5, 6), grounds="-"),
        registry.RemovalRejected(**ABOUT, decree_number="2", decided_on=date(2023, 7, 8), authority="-"),
        registry.RemovalApproved(**ABOUT, decree_number="3", decided_on=date(2023, 9, 10), authority="-"),
        held(2022, date(2023, 2, 3)),
        rat.RATCorrected(**ABOUT, book_year=2022, changes={"held_on": "2023-02-04", "turnover": 5}, reason="-"),
        rat.RATAnnulled(**ABOUT, book_year=2022, reason="-"),
        rat.RATAttested(**ABOUT, book_year=2021),
    )
    found = facts_of(row)
    assert [(type(fact), *msgspec.structs.astuple(fact)[3:]) for fact in found.registry[1:]] == [
        (facts.Corrected, facts.Changes(legal_entity_date=date(2011, 2, 3))),
        (facts.RecordChanged, facts.Changes(scope=None)),
        (facts.Relocated, date(2023, 1, 2), "35.07.10", None),
        (facts.Traced, date(2023, 3, 4), "dormant"),
        (facts.RemovalProposed, date(2023, 5, 6)),
        (facts.RemovalRejected, date(2023, 7, 8)),
        (facts.RemovalApproved, date(2023, 9, 10)),
    ]
    assert [(type(fact), *msgspec.structs.astuple(fact)[3:]) for fact in found.rat] == [
        (facts.RATHeld, 2022, date(2023, 2, 3), "office"),
        (facts.RATCorrected, 2022, date(2023, 2, 4)),
        (facts.RATAnnulled, 2022),
        (facts.RATAttested, 2021, "nik_grade"),
    ]
    assert [fact.sequence for fact in found.registry] == list(range(1, 9))


def test_a_row_lists_every_kecamatan_it_ever_had_once() -> None:
    row = row_of(
        registered(kecamatan_code=None),
        registry.CooperativeCorrected(**ABOUT, changes={"kecamatan_code": "35.07.21"}, reason="-"),
        registry.CooperativeRelocated(
            **{**ABOUT, "kecamatan_code": "35.07.10"}, address="x", effective_on=date(2023, 1, 2)
        ),
        registry.CooperativeRelocated(**ABOUT, address="x", effective_on=date(2024, 1, 2)),
        registry.CooperativeCorrected(**ABOUT, changes={"kecamatan_code": None}, reason="-"),
    )
    assert row.kecamatan_codes == ["35.07.21", "35.07.10"]


def test_rows_never_share_a_list_that_changes() -> None:
    log = Log()
    events = [
        log.receive(registered(), MELATI),
        log.receive(registered(), ANGGREK),
        log.receive(
            registry.CooperativeRelocated(
                **{**ABOUT, "kecamatan_code": "35.07.10"}, address="x", effective_on=date(2023, 1, 2)
            ),
            MELATI,
        ),
    ]
    rows = projection.fold(events)
    assert rows[MELATI].kecamatan_codes == ["35.07.21", "35.07.10"]
    assert rows[ANGGREK].kecamatan_codes == ["35.07.21"]


def test_what_no_verdict_depends_on_leaves_the_row_as_it_was() -> None:
    before = row_of(registered(), held(2023, date(2024, 2, 1)))
    assert before == row_of(
        registered(),
        held(2023, date(2024, 2, 1)),
        registry.CooperativeCorrected(**ABOUT, changes={"address": "Jl. Raya 1"}, reason="-"),
        rat.RATCorrected(**ABOUT, book_year=2023, changes={"turnover": 5}, reason="-"),
        rat.RATVerified(**ABOUT, book_year=2023, verified_on=date(2024, 3, 1)),
    )


def test_a_request_has_a_row_of_its_own_that_names_its_cooperative() -> None:
    event = mentoring.MentoringRequested(
        request_id=REQUEST,
        cooperative_id=MELATI,
        kecamatan_code="35.07.21",
        category="rat",
        channel="letter",
        received_on=date(2024, 5, 2),
    )
    row = projection.fold([Log().receive(event, REQUEST)])[REQUEST]
    assert (row.kind, row.cooperative_id, row.kecamatan_codes) == ("request", MELATI, ["35.07.21"])
    assert open_in(facts_of(row), date(2024, 5, 2), datetime(2100, 1, 1, tzinfo=UTC)) == "35.07.21"


@pytest.mark.parametrize(
    ("event", "how"),
    [
        (mentoring.MentoringDeclined(**ABOUT, request_id=REQUEST, declined_on=date(2024, 6, 3)), "declined"),
        (mentoring.MentoringRedirected(**ABOUT, request_id=REQUEST, redirected_on=date(2024, 6, 3)), "redirected"),
        (
            mentoring.MentoringCompleted(
                **ABOUT, request_id=REQUEST, completed_on=date(2024, 6, 3), outcome="rat_held"
            ),
            "completed",
        ),
    ],
)
def test_a_request_is_open_until_the_day_it_is_closed(event: PublicEvent, how: str) -> None:
    asked = mentoring.MentoringRequested(
        **ABOUT, request_id=REQUEST, category="rat", channel="letter", received_on=date(2024, 5, 2)
    )
    log = Log()
    row = projection.fold([log.receive(asked, REQUEST), log.receive(event, REQUEST)])[REQUEST]
    always = datetime(2100, 1, 1, tzinfo=UTC)
    assert open_in(facts_of(row), date(2024, 6, 2), always) == "35.07.21"
    assert open_in(facts_of(row), date(2024, 6, 3), always) is None
    assert [fact.how for fact in facts_of(row).mentoring if isinstance(fact, facts.MentoringClosed)] == [how]


@pytest.mark.parametrize(
    "event",
    [
        registry.CooperativeCorrected(**ABOUT, changes={"legal_entity_date": "1900-01-00"}, reason="-"),
        registry.CooperativeCorrected(**ABOUT, changes={"name": None}, reason="-"),
        rat.RATCorrected(**ABOUT, book_year=2023, changes={"held_on": None}, reason="-"),
    ],
    ids=["broken date", "no name", "no date"],
)
def test_a_correction_that_cannot_be_right_is_refused_and_changes_nothing(event: PublicEvent) -> None:
    row = row_of(registered())
    with pytest.raises(msgspec.ValidationError):
        projection.apply(row, Log().receive(event))
    assert len(facts_of(row).registry) == 1


@given(st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_how_services_interleave(chance: random.Random) -> None:
    log = Log()
    per_service: dict[str, list[Received[Any]]] = {"registry": [], "rat": []}
    for subject in (MELATI, ANGGREK):
        events: list[PublicEvent] = [
            registered(),
            registry.CooperativeRelocated(
                **{**ABOUT, "kecamatan_code": "35.07.10"}, address="x", effective_on=date(2023, 1, 2)
            ),
            held(2022, date(2023, 2, 1)),
            rat.RATAnnulled(**ABOUT, book_year=2022, reason="-"),
            held(2022, date(2023, 3, 1)),
        ]
        for event in events:
            per_service[event.service].append(log.receive(event, subject))
    in_order = projection.fold([*per_service["registry"], *per_service["rat"]])
    assert projection.fold(interleaved(per_service, chance)) == in_order


def interleaved(per_service: dict[str, list[Received[Any]]], chance: random.Random) -> Iterator[Received[Any]]:
    left = [list(events) for events in per_service.values()]
    while left := [events for events in left if events]:
        yield chance.choice(left).pop(0)


def test_a_meeting_that_arrives_before_its_cooperative_waits_in_the_row() -> None:
    row = row_of(held(2023, date(2024, 2, 1)))
    assert verdict(facts_of(row), date(2024, 11, 14), microseconds(START) * 2, RAT_3Y_2024) is None
    assert row.kecamatan_codes == []


def test_facts_read_back_from_postgresql_can_be_appended_to() -> None:
    fact = facts.RATAnnulled(str(REQUEST), 2, 5, 2022)
    as_jsonb_prints = '[["ann", "00000000-0000-0000-0000-000000000003", 1, 4, 2021]]'
    assert decoded(MELATI, rat=appended(as_jsonb_prints, fact)).rat == [
        facts.RATAnnulled(str(REQUEST), 1, 4, 2021),
        fact,
    ]


@given(st.datetimes(timezones=st.just(UTC)))
def test_recorded_times_are_kept_to_the_microsecond(time: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(time)) == time


def test_the_row_has_the_columns_of_the_table_in_its_order() -> None:
    assert [column.name for column in projection.table.columns] == list(HealthRow.__struct_fields__)
