"""The structs that folds read have the attribute values of the contract's models."""

import json
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from chassis.definitions.decoding import decoder
from contracts.catalogue import EVENTS
from contracts.description import schema as schema_of
from contracts.envelope import PublicEvent
from contracts.examples import EXAMPLES, Example
from contracts.rat import RATHeld
from contracts.registry import CooperativeCorrected, CooperativeRegistered
from contracts.reporting import HealthStatusChanged

type Schema = dict[str, Any]
type Colour = Literal["red", "green"]
type Pairs[T] = dict[str, T]


class Point(BaseModel):
    model_config = ConfigDict(frozen=True)

    x: int
    label: str | None = None


def _red() -> list[Colour]:
    return ["red"]


class Tagged(BaseModel):
    tags: list[str]


class AroundTags(PublicEvent):
    """Holds a container only through another model."""

    service: ClassVar[str] = "registry"

    tagged: Tagged | None


class Everything(PublicEvent):
    """Every kind of field an event may have."""

    service: ClassVar[str] = "registry"

    kecamatan_code: str | None
    at: datetime
    point: Point
    path: list[Point]
    maybe: Point | None = None
    by_name: dict[str, Point]
    lengths: tuple[int, ...] = ()
    share: float
    level: Literal[1, 2, 3]
    colours: list[Colour] = Field(default_factory=_red)
    pairs: Pairs[Annotated[int, Field(ge=0)]] = {"one": 1}  # noqa: RUF012
    from_: date | None = Field(None, alias="from")


MODELS = (*EVENTS, Everything)
every_model = pytest.mark.parametrize("event", MODELS, ids=lambda event: event.__name__)
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example.event).__name__)

TEXTS = {
    "uuid": st.uuids().map(str),
    "date": st.dates().map(date.isoformat),
    "date-time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
}


def instances(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Return JSON values that the schema allows; optional properties are left out at times."""
    match schema:
        case {"$ref": reference}:
            return instances(root["$defs"][reference.removeprefix("#/$defs/")], root)
        case {"anyOf": alternatives}:
            return st.one_of([instances(alternative, root) for alternative in alternatives])
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "object", "properties": properties}:
            required = set(schema.get("required", ()))
            members = {name: instances(inner, root) for name, inner in properties.items()}
            return st.fixed_dictionaries(
                {name: member for name, member in members.items() if name in required},
                optional={name: member for name, member in members.items() if name not in required},
            )
        case {"type": "object", "additionalProperties": inner}:
            return st.dictionaries(st.text(), instances(inner, root), max_size=4)
        case {"type": "array", "items": inner}:
            return st.lists(instances(inner, root), max_size=4)
        case {"type": "string", "format": format_}:
            return TEXTS[format_]
        case {"type": "string", "pattern": pattern}:
            return st.from_regex(str(pattern).replace("$", r"\Z"), fullmatch=True)
        case {"type": "string"}:
            return st.text()
        case {"type": "integer"}:
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case {"type": "number"}:
            return st.floats(allow_nan=False, allow_infinity=False)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "null"}:
            return st.none()
    raise NotImplementedError(schema)


@cache
def documents(event: type[PublicEvent]) -> st.SearchStrategy[Any]:
    """Return data of an event, as its schema allows it."""
    schema = schema_of(event)
    return instances(schema, schema)


def attributes(value: Any) -> Any:
    """Return models and structs as (type name, attributes), so that either can be compared with the other."""
    if isinstance(value, BaseModel):
        return type(value).__name__, {name: attributes(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, {name: attributes(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: attributes(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [attributes(inner) for inner in value]
    return type(value) if not isinstance(value, datetime) else datetime, value


@every_example
def test_an_example_decodes_to_what_the_model_reads(example: Example) -> None:
    data = json.dumps(example.message()["data"]).encode()
    assert attributes(decoder(type(example.event))(data)) == attributes(example.event)


@every_model
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_the_schema_allows_decodes_to_what_the_model_reads(event: type[PublicEvent], data: Any) -> None:
    document = data.draw(documents(event)) | data.draw(st.sampled_from([{}, {"of_a_later_version": [1]}]))
    text = json.dumps(document).encode()
    model = event.model_validate_json(text)
    assert attributes(decoder(event)(text)) == attributes(model)
    published = model.model_dump_json().encode()
    assert attributes(decoder(event)(published)) == attributes(model)


def test_every_field_can_be_left_out_that_has_a_default() -> None:
    text = (
        b'{"kecamatan_code":null,"at":"2026-01-01T00:00:00Z","point":{"x":1},'
        b'"path":[],"by_name":{},"share":1,"level":2}'
    )
    first, second = decoder(Everything)(text), decoder(Everything)(text)
    assert attributes(first) == attributes(Everything.model_validate_json(text))
    assert first.colours is not second.colours
    assert first.pairs is not second.pairs
    assert first.from_ is None


def test_a_change_to_null_differs_from_no_change() -> None:
    example = next(example.event for example in EXAMPLES if isinstance(example.event, CooperativeCorrected))
    text = example.model_copy(update={"changes": {"nik": None}}).model_dump_json().encode()
    assert decoder(CooperativeCorrected)(text).changes == {"nik": None}


@pytest.mark.parametrize("only", [{"book_year"}, {"book_year", "held_on"}, {"second_meeting", "cooperative_id"}])
def test_only_the_fields_asked_for_are_decoded(only: set[str]) -> None:
    example = next(example.event for example in EXAMPLES if isinstance(example.event, RATHeld))
    text = example.model_dump_json().encode()
    struct = decoder(RATHeld, only=only)(text)
    assert set(struct.__struct_fields__) == only
    assert {name: getattr(struct, name) for name in only} == example.model_dump(include=only)


def test_a_field_asked_for_that_the_event_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="RATHeld has no venue"):
        decoder(RATHeld, only={"venue", "book_year"})


def test_fields_are_asked_for_by_the_name_they_have_in_python() -> None:
    example = next(example.event for example in EXAMPLES if isinstance(example.event, HealthStatusChanged))
    text = example.model_dump_json().encode()
    assert json.loads(text)["from"] == "inconsistent"
    assert decoder(HealthStatusChanged, only={"from_"})(text).from_ == "inconsistent"


def test_a_decoder_is_made_once() -> None:
    assert decoder(RATHeld) is decoder(RATHeld)
    assert decoder(RATHeld, only={"book_year", "held_on"}) is decoder(RATHeld, only=["held_on", "book_year"])


def test_a_decoded_event_is_frozen() -> None:
    example = EXAMPLES[0].event
    struct = decoder(CooperativeRegistered)(example.model_dump_json().encode())
    with pytest.raises(AttributeError):
        struct.name = "another"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"cooperative_id":"x","kecamatan_code":null,"book_year":2024,"verified_on":"2025-01-01"}',
    ],
)
def test_data_of_another_shape_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoder(RATHeld)(text)


def test_a_model_that_does_more_than_hold_fields_is_refused() -> None:
    class Tidy(PublicEvent):
        service: ClassVar[str] = "registry"

        name: str

        @field_validator("name")
        @classmethod
        def strip(cls, name: str) -> str:
            return name.strip()

    with pytest.raises(TypeError, match="Tidy has validators"):
        decoder(Tidy)


def test_structs_that_cannot_be_in_a_cycle_are_not_tracked() -> None:
    scalars = decoder(CooperativeRegistered)(EXAMPLES[0].event.model_dump_json().encode())
    with_changes = decoder(CooperativeCorrected)(EXAMPLES[1].event.model_dump_json().encode())
    assert not type(scalars).__struct_config__.gc
    assert type(with_changes).__struct_config__.gc
    assert type(decoder(AroundTags)(b'{"tagged":null}')).__struct_config__.gc


def test_ids_and_dates_are_not_left_as_text() -> None:
    struct = decoder(RATHeld, only={"cooperative_id", "held_on"})(EXAMPLES[8].event.model_dump_json().encode())
    assert isinstance(struct.cooperative_id, UUID)
    assert isinstance(struct.held_on, date)
