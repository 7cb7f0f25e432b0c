"""Types of values that cross a boundary."""

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chassis.definitions.values import Count, Date, Flag, KecamatanCode, Nik, Rupiah, ShortText, Text, VillageCode, Year


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Date, 0),
        (Date, 1700000000.0),
        (Date, "2026-3-28"),
        (Date, "20260328"),
        (Date, "2026-W13-6"),
        (Date, "2026-03-28T00:00:00"),
        (Date, "2026-02-29"),
        (Date, "1899-12-31"),
        (Date, "2200-01-01"),
        (Date, "２０２６-03-28"),
        (Date, datetime(2026, 3, 28)),  # noqa: DTZ001
        (Date, True),
        (Rupiah, 1.0),
        (Rupiah, "1"),
        (Rupiah, True),
        (Rupiah, 10**15 + 1),
        (Rupiah, float("nan")),
        (Count, -1),
        (Count, 10**8 + 1),
        (Year, 2019.0),
        (Year, 1899),
        (Flag, 1),
        (Flag, "true"),
        (ShortText, ""),
        (ShortText, " \t "),
        (ShortText, "a\nb"),
        (ShortText, "a\0"),
        (ShortText, "a\x85b"),
        (ShortText, "\ud800"),
        (ShortText, 7),
        (ShortText, "a" * 201),
        (Text, "a\0"),
        (Text, "a" * 4001),
        (KecamatanCode, "35.07.2"),
        (KecamatanCode, "35.07.21\n"),
        (KecamatanCode, "٣٥.07.21"),
        (VillageCode, "35.07.21"),
        (Nik, "350721003000"),
        (Nik, 3507210030001),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_what_is_right_is_taken() -> None:
    assert TypeAdapter(Date).validate_python("2026-03-28") == date(2026, 3, 28)
    assert TypeAdapter(Date).validate_json('"2026-03-28"') == date(2026, 3, 28)
    assert TypeAdapter(Text).validate_python(" Jl. A\nRT 1\t") == "Jl. A\nRT 1"
    assert TypeAdapter(Rupiah).validate_python(-(10**15)) == -(10**15)


def test_the_schema_says_what_a_date_and_a_text_look_like() -> None:
    assert TypeAdapter(Date).json_schema() == {"type": "string", "format": "date"}
    assert TypeAdapter(ShortText).json_schema()["maxLength"] == 200


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_any_value_is_taken_or_refused_and_what_is_taken_stays(value: Any) -> None:
    for kind in (Date, Rupiah, Count, Year, Flag, ShortText, Text, KecamatanCode, VillageCode, Nik):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        try:
            taken = adapter.validate_python(value)
        except ValidationError:
            continue
        assert adapter.validate_python(adapter.dump_python(taken, mode="json")) == taken
