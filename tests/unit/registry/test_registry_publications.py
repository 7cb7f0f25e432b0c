"""What the world gets to know of the registry's events."""

import json
from datetime import date
from uuid import UUID

import pytest

from contracts import registry
from services.registry.domain import cooperative as co
from services.registry.publications import publish

ONE = UUID(int=1)
EVENTS: list[co.CooperativeEvent] = [
    co.CooperativeRegistered(
        name="Koperasi", legal_entity_date=date(2015, 8, 3), kecamatan_code="35.07.21", nik_grade="C1", source="ods"
    ),
    co.CooperativeCorrected(
        changes={"legal_entity_date": date(2015, 8, 4), "village_code": None}, reason="deed", kecamatan_code="35.07.21"
    ),
    co.CooperativeRelocated(kecamatan_code="35.07.22", address="Jl. A", effective_on=date(2020, 1, 1)),
    co.CooperativeTraced(
        traced_on=date(2024, 8, 30),
        signboard_found=True,
        office_found=False,
        members_reached=False,
        operating=False,
        village_letter_number="470/118",
        finding="not_found",
        kecamatan_code="35.07.21",
    ),
    co.RemovalProposed(
        letter_number="518/77", letter_date=date(2024, 9, 30), grounds="traced twice", kecamatan_code="35.07.21"
    ),
    co.RemovalApproved(
        decree_number="114/KEP", decided_on=date(2024, 11, 1), authority="Ministry", kecamatan_code="35.07.21"
    ),
    co.RemovalRejected(
        decree_number="115/KEP", decided_on=date(2024, 11, 1), authority="Ministry", kecamatan_code=None
    ),
    co.MinistryRecordChanged(changes={"members_total": 12}, source="ods", kecamatan_code=None),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_stored_event_is_one_public_event_of_the_same_name_with_all_its_facts(event: co.CooperativeEvent) -> None:
    public = publish(ONE, event)
    assert public.type_name() == type(event).__name__
    assert public.cooperative_id == ONE
    assert public.kecamatan_of_subject == event.kecamatan_code
    told = json.loads(public.model_dump_json())
    stored = json.loads(event.model_dump_json())
    stored.pop("notes", None)
    assert {**told, **stored} == told


def test_the_notes_of_a_tracing_stay_with_the_office() -> None:
    [traced] = [event for event in EVENTS if isinstance(event, co.CooperativeTraced)]
    public = publish(ONE, traced.model_copy(update={"notes": "Pak Contoh di RT 3 menyimpan stempel"}))
    assert public == publish(ONE, traced)
    assert "Contoh" not in public.model_dump_json()


def test_every_event_of_the_stream_has_a_contract() -> None:
    contracts = {event.type_name() for event in registry.EVENTS}
    assert {event.__name__ for event in co.decider.events} <= contracts
    assert {type(event) for event in EVENTS} == set(co.decider.events)
