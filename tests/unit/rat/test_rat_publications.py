"""What the world gets to know of the rat service's events."""

import json
from datetime import date
from uuid import UUID

import pytest

from contracts import rat as contract
from services.rat.domain import annual_meetings as rat
from services.rat.publications import publish

ONE = UUID(int=1)
WAGIR = "35.07.21"
EVENTS: list[rat.MeetingEvent] = [
    rat.RATHeld(kecamatan_code=WAGIR, book_year=2023, held_on=date(2024, 3, 1), net_surplus=-5, mode="online"),
    rat.RATVerified(kecamatan_code=WAGIR, book_year=2023, verified_on=date(2024, 4, 1)),
    rat.RATCorrected(
        kecamatan_code=None, book_year=2023, changes={"held_on": date(2024, 3, 2), "mode": None}, reason="minutes"
    ),
    rat.RATAnnulled(kecamatan_code=WAGIR, book_year=2023, reason="another's"),
    rat.RATAttested(kecamatan_code=WAGIR, book_year=2022, last_held_on=date(2024, 3, 1)),
    rat.RATPlanned(kecamatan_code=WAGIR, book_year=2024, planned_on=date(2025, 2, 22), venue="Balai Desa"),
    rat.WarningIssued(
        kecamatan_code=None, book_year=2023, level=2, letter_number="518/1/2024", letter_date=date(2024, 7, 8)
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_stored_event_is_one_public_event_of_the_same_name_with_all_its_facts(event: rat.MeetingEvent) -> None:
    public = publish(ONE, event)
    assert public.type_name() == type(event).__name__
    assert public.cooperative_id == ONE
    assert public.kecamatan_of_subject == event.kecamatan_code
    told = json.loads(public.model_dump_json())
    assert {**told, **json.loads(event.model_dump_json())} == told


def test_every_event_of_the_stream_has_a_contract() -> None:
    contracts = {event.type_name() for event in contract.EVENTS}
    assert {event.__name__ for event in rat.decider.events} <= contracts
    assert {type(event) for event in EVENTS} == set(rat.decider.events)
