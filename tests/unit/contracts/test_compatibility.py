"""What counts as breaking an old event or an existing consumer."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, create_model

from contracts.compatibility import breaks
from contracts.description import schema


class Visit(BaseModel):
    place: str


FIELDS: dict[str, Any] = {
    "cooperative_id": (UUID, ...),
    "kind": (Literal["visit", "training"], ...),
    "held_on": (date, ...),
    "notes": (str | None, None),
    "level": (int, Field(ge=1)),
    "code": (str, Field(pattern="^[0-9]$")),
    "visits": (list[Visit], ...),
    "tallies": (dict[str, int], ...),
    "second": (bool, False),
}


def changed(**fields: Any) -> list[str]:
    """Return what breaks when these fields are put, or (None) taken off."""
    after = {name: field for name, field in (FIELDS | fields).items() if field is not None}
    old, new = create_model("Held", **FIELDS), create_model("Held", **after)
    return breaks(old.model_json_schema(), new.model_json_schema())


class VisitInTime(Visit):
    minute: int


def test_the_same_schema_breaks_nothing() -> None:
    assert changed() == []


def test_a_new_optional_field_breaks_nothing() -> None:
    assert changed(venue=(str | None, None)) == []


def test_new_descriptions_break_nothing() -> None:
    assert changed(held_on=(date, Field(title="When", description="The day", examples=["2026-01-01"]))) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"notes": None}, "data.notes: removed"),
        ({"held_on": None}, "data.held_on: removed"),
        ({"venue": (str, ...)}, "data.venue: newly required"),
        ({"second": (bool, ...)}, "data.second: newly required"),
        ({"held_on": (date | None, None)}, "data.held_on: no longer required"),
        ({"held_on": (date | None, ...)}, "data.held_on: type null is newly allowed"),
        ({"notes": (str, "")}, "data.notes: type null is no longer allowed"),
        ({"kind": (Literal["visit"], ...)}, "data.kind: value 'training' is no longer allowed"),
        ({"kind": (Literal["visit", "training", "call"], ...)}, "data.kind: value 'call' is newly allowed"),
        ({"kind": (str, ...)}, "data.kind: opened to any value"),
        ({"notes": (Literal["short"] | None, None)}, "data.notes: closed to a list of values"),
        ({"level": (str, ...)}, "data.level: type integer is no longer allowed"),
        ({"level": (int, Field(ge=2))}, "data.level: minimum changed from 1 to 2"),
        ({"level": (int, ...)}, "data.level: minimum changed from 1 to None"),
        ({"code": (str, Field(pattern="^[0-9]+$"))}, "data.code: pattern changed from ^[0-9]$ to ^[0-9]+$"),
        ({"held_on": (str, ...)}, "data.held_on: format changed from date to None"),
        ({"visits": (list[str], ...)}, "data.visits[]: type object is no longer allowed"),
        ({"visits": (list[VisitInTime], ...)}, "data.visits[].minute: newly required"),
        ({"tallies": (dict[str, str], ...)}, "data.tallies.*: type integer is no longer allowed"),
        ({"second": (bool, True)}, "data.second: an absent value now means True, not False"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_breaking_change_is_named(fields: dict[str, Any], problem: str) -> None:
    assert problem in changed(**fields)


def test_a_real_event_with_a_field_taken_off_is_a_break() -> None:
    from contracts.registry import CooperativeRegistered

    promised = schema(CooperativeRegistered)
    without = {**promised, "properties": {k: v for k, v in promised["properties"].items() if k != "tier"}}
    assert breaks(promised, without) == ["data.tier: removed"]
    assert breaks(promised, promised) == []
