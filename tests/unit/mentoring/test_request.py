"""The rules of a request for mentoring."""

from datetime import date
from uuid import UUID

import pytest

from chassis.definitions.sealed import Sealed
from chassis.testing.decider_spec import DeciderSpec
from services.mentoring.domain.request import (
    AlreadyRequested,
    LetterAfterReceipt,
    MentoringRequested,
    ReceivedInTheFuture,
    Request,
    RequestMentoring,
    VillageElsewhere,
    decider,
)

COOPERATIVE = UUID("01930000-0000-7000-8000-000000000002")
TODAY = date(2024, 11, 14)

ASKED = MentoringRequested(
    cooperative_id=COOPERATIVE,
    cooperative_name=Sealed("sealed name"),
    kecamatan_code="35.07.21",
    village_code="35.07.21.2003",
    address=Sealed("sealed address"),
    people=Sealed("sealed people"),
    complaint=Sealed("sealed complaint"),
    category="rat",
    channel="letter",
    letter_number=Sealed("sealed letter number"),
    letter_date=date(2024, 10, 31),
    received_on=date(2024, 11, 4),
)
ASK = RequestMentoring(**dict(ASKED), today=TODAY)

spec = DeciderSpec(decider)


def ask(**different: object) -> RequestMentoring:
    """Return the usual command, but for what is different."""
    return ASK.model_copy(update=different)


def test_a_request_is_taken_down_as_it_was_received() -> None:
    spec.given().when(ASK).then(ASKED)


def test_a_request_that_names_no_cooperative_of_the_register_is_taken_down() -> None:
    spec.given().when(ask(cooperative_id=None)).then(ASKED.model_copy(update={"cooperative_id": None}))


def test_a_request_is_made_once() -> None:
    spec.given(ASKED).when(ASK).then_refused(AlreadyRequested)


def test_a_request_received_today_is_taken_down_and_one_received_tomorrow_is_not() -> None:
    spec.given().when(ask(received_on=TODAY)).then(ASKED.model_copy(update={"received_on": TODAY}))
    spec.given().when(ask(received_on=date(2024, 11, 15))).then_refused(ReceivedInTheFuture, "received_on")


def test_a_letter_may_be_dated_the_day_it_was_received_and_no_later() -> None:
    same_day = date(2024, 11, 4)
    spec.given().when(ask(letter_date=same_day)).then(ASKED.model_copy(update={"letter_date": same_day}))
    spec.given().when(ask(letter_date=date(2024, 11, 5))).then_refused(LetterAfterReceipt, "letter_date")


@pytest.mark.parametrize("village_code", ["35.07.19.2005", "35.07.2.12003"])
def test_a_village_of_another_kecamatan_is_refused(village_code: str) -> None:
    spec.given().when(ask(village_code=village_code)).then_refused(VillageElsewhere, "location.village_code")


def test_a_request_stands_as_requested_once_it_was_taken_down() -> None:
    assert decider.fold([]) == Request(None, None)
    assert decider.fold([ASKED]) == Request(ASKED, "requested")
