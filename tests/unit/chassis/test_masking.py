"""What may be shown of an event is what its contract binds: not a word of anybody's."""

import json
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from chassis.definitions.masking import HIDDEN, masked, without
from contracts.catalogue import CATALOGUE
from contracts.rat import RATCorrected, RATHeld
from contracts.registry import CooperativeRegistered

PERSON = "Siti Aminah"


class Address(BaseModel):
    """A part of a visit."""

    street: str
    code: Annotated[str, Field(pattern="^[0-9]{5}$")]


class Visit(BaseModel):
    """One field of every sort."""

    id: UUID
    day: date | None
    kind: Literal["visit", "training"]
    always: Literal["so"]
    who: str
    note: str | None = None
    count: int
    done: bool
    addresses: list[Address]
    changes: dict[str, str | int | None]
    amounts: dict[str, int]


WHOLE: dict[str, Any] = {
    "id": str(UUID(int=1)),
    "day": "2024-11-14",
    "kind": "visit",
    "always": "so",
    "who": PERSON,
    "note": None,
    "count": 3,
    "done": True,
    "addresses": [{"street": "Jalan Mawar", "code": "65158"}],
    "changes": {"name": "Melati", "members_total": 5},
    "amounts": {"rat": 7},
}


def shown(data: Any, contract: type[BaseModel] = Visit) -> Any:
    return masked(contract, json.dumps(data).encode())[0]


def test_what_the_contract_binds_is_shown_and_every_other_text_is_hidden() -> None:
    assert shown(WHOLE) == {
        **WHOLE,
        "who": HIDDEN,
        "addresses": [{"street": HIDDEN, "code": "65158"}],
        "changes": {"name": HIDDEN, "members_total": 5},
    }


@pytest.mark.parametrize(
    "name", ["id", "day", "kind", "always", "who", "note", "count", "done", "addresses", "unknown"]
)
@pytest.mark.parametrize("wrong", [PERSON, [PERSON], {"who": PERSON}, {PERSON: 1}, {"a": {"b": [PERSON]}}])
def test_a_name_is_hidden_wherever_it_stands(name: str, wrong: Any) -> None:
    assert PERSON not in json.dumps(shown({**WHOLE, name: wrong}))


@pytest.mark.parametrize(("name", "number"), [("who", 81234567), ("unknown", 81234567), ("id", 4.5), ("count", True)])
def test_a_number_is_shown_only_where_the_contract_has_one(name: str, number: Any) -> None:
    assert shown({**WHOLE, name: number})[name] == HIDDEN


def test_data_that_is_no_object_shows_nothing() -> None:
    assert [shown(data) for data in (PERSON, [PERSON, 5], 5)] == [HIDDEN, [HIDDEN, HIDDEN], HIDDEN]
    with pytest.raises(ValueError):
        masked(Visit, PERSON.encode())


def test_no_public_event_shows_a_text_that_its_contract_leaves_open() -> None:
    for event in CATALOGUE.values():
        everything = {
            name: PERSON for field, info in event.model_fields.items() for name in (field, info.alias or field)
        }
        assert PERSON not in json.dumps(shown(everything, event)), event


def test_of_the_contracts_ids_codes_dates_and_sums_are_shown() -> None:
    registered = {
        "cooperative_id": str(UUID(int=1)),
        "kecamatan_code": "35.07.21",
        "name": "KSP Melati",
        "address": "x",
    }
    assert shown(registered, CooperativeRegistered) == {**registered, "name": HIDDEN, "address": HIDDEN}
    held = {
        "book_year": 2023,
        "held_on": "2024-02-01",
        "source": "office",
        "net_surplus": -4,
        "minutes_number": "12/RAT",
    }
    assert shown(held, RATHeld) == {**held, "minutes_number": HIDDEN}
    corrected = {"changes": {"held_on": "2024-02-02", "members_present": 9}, "reason": "typing error"}
    assert shown(corrected, RATCorrected)["changes"] == {"held_on": HIDDEN, "members_present": 9}


def test_the_words_hidden_are_found_again_in_what_quotes_them() -> None:
    _, words = masked(Visit, json.dumps(WHOLE).encode())
    assert without(words, f"ValueError: no number: 'Aminah' of {PERSON}, Jalan") == (
        f"ValueError: no number: '{HIDDEN}' of {HIDDEN}, {HIDDEN}"
    )
