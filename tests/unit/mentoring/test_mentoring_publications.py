"""What the world learns of a request: nothing that is sealed, of any event."""

import typing
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from chassis.definitions.decider import Event
from chassis.definitions.sealed import Sealed
from services.mentoring.domain import request as rq
from services.mentoring.publications import publish

REQUEST = UUID("01930000-0000-7000-8000-000000000001")
COOPERATIVE = UUID("01930000-0000-7000-8000-000000000002")
ABOUT: dict[str, Any] = {"cooperative_id": COOPERATIVE, "kecamatan_code": "35.07.21"}
DAY, NEXT_DAY = date(2024, 11, 4), date(2024, 11, 5)

PUBLISHED: list[tuple[Any, dict[str, Any]]] = [
    (
        rq.MentoringRequested(
            **ABOUT,
            cooperative_name=Sealed("sealed"),
            village_code="35.07.21.2003",
            address=Sealed("sealed"),
            people=Sealed("sealed"),
            complaint=Sealed("sealed"),
            category="rat",
            channel="letter",
            letter_number=Sealed("sealed"),
            letter_date=DAY,
            received_on=NEXT_DAY,
        ),
        {
            "village_code": "35.07.21.2003",
            "category": "rat",
            "channel": "letter",
            "letter_date": DAY,
            "received_on": NEXT_DAY,
        },
    ),
    (
        rq.MentoringAccepted(**ABOUT, accepted_on=DAY, team=Sealed("sealed"), visit_on=NEXT_DAY),
        {"accepted_on": DAY, "visit_on": NEXT_DAY},
    ),
    (rq.MentoringDeclined(**ABOUT, declined_on=DAY, reason=Sealed("sealed")), {"declined_on": DAY}),
    (
        rq.MentoringRedirected(**ABOUT, redirected_on=DAY, to=Sealed("sealed"), reason=Sealed("sealed")),
        {"redirected_on": DAY},
    ),
    (
        rq.MentoringActivityHeld(**ABOUT, kind="training", held_on=DAY, participants=7717, notes=Sealed("sealed")),
        {"kind": "training", "held_on": DAY},
    ),
    (
        rq.MentoringCompleted(**ABOUT, outcome="merged", completed_on=DAY, notes=Sealed("sealed")),
        {"outcome": "merged", "completed_on": DAY},
    ),
    (rq.MentoringPeopleForgotten(**ABOUT, forgotten_on=DAY), {"forgotten_on": DAY}),
]
every_event = pytest.mark.parametrize(("event", "told"), PUBLISHED, ids=lambda each: type(each).__name__)


@every_event
def test_a_public_event_has_the_ids_codes_kinds_and_dates(event: Any, told: dict[str, Any]) -> None:
    public = publish(REQUEST, event)
    assert public.type_name() == type(event).__name__
    assert public.model_dump() == {"request_id": REQUEST, **ABOUT, **told}


@every_event
def test_nothing_sealed_and_no_number_of_people_becomes_public(event: Any, told: dict[str, Any]) -> None:
    document = publish(REQUEST, event).model_dump_json()
    assert "sealed" not in document
    assert "7717" not in document


def test_these_are_all_events_there_are() -> None:
    assert {type(event) for event, _ in PUBLISHED} == set(rq.decider.events)


def test_whatever_a_stored_event_holds_as_text_is_sealed_or_one_of_few_known_words() -> None:
    codes = {"kecamatan_code", "village_code"}
    for event in rq.decider.events:
        for name, kind in typing.get_type_hints(event).items():
            assert name in codes or kind not in (str, str | None), f"{event.__name__}.{name} could be anybody's words"


def test_a_stored_event_reads_back_as_it_was() -> None:
    for event, _ in PUBLISHED:
        kind: type[Event] = type(event)
        assert kind.model_validate_json(event.model_dump_json()) == event
