"""Types of values that cross a boundary: what they refuse, every request model refuses.

They validate Python objects parsed from JSON: a bool or a float is no integer, a number is no date, and text
is trimmed and free of control characters. Lone surrogates are refused by pydantic itself.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, StringConstraints

EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain line breaks or control characters")
    return text


def _printable(text: str) -> str:
    if _CONTROL_BUT_LAYOUT.search(text):
        raise ValueError("must not contain control characters")
    return text


def _calendar_day(value: Any) -> date:
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("must be a date such as 2026-03-28")
    if not EARLIEST <= value <= LATEST:
        raise ValueError(f"must lie between {EARLIEST} and {LATEST}")
    return value


# The pattern tells readers of the schema what the validator enforces: something visible, nothing invisible.
ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_one_line),
    Field(json_schema_extra={"pattern": r"^[^\x00-\x1F\x7F-\x9F]*[^\x00-\x20\x7F-\xA0][^\x00-\x1F\x7F-\x9F]*$"}),
]
"""One line of 1 to 200 characters: a name, a number of a letter."""

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000),
    AfterValidator(_printable),
    Field(json_schema_extra={"pattern": r"[^\x00-\x20\x7F-\xA0]"}),
]
"""1 to 4,000 characters, line breaks allowed: a reason, a note, an address."""

Date = Annotated[date, BeforeValidator(_calendar_day)]
"""A calendar day, `YYYY-MM-DD` and nothing else, from 1900 to 2199."""

Year = Annotated[int, Strict(), Field(ge=EARLIEST.year, le=LATEST.year)]
"""A calendar year, 1900 to 2199."""

Rupiah = Annotated[int, Strict(), Field(ge=-(10**15), le=10**15)]
"""Whole rupiah; may be negative. The bound is far above any cooperative and safe in every JSON reader."""

Count = Annotated[int, Strict(), Field(ge=0, le=10**8)]
"""A number of people or things."""

Flag = Annotated[bool, Strict()]
"""True or false, not a number or a word for it."""

KecamatanCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}$")]
"""A Kemendagri code such as 35.07.21."""

VillageCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]{4}$")]
"""A Kemendagri code such as 35.07.21.2003."""

Nik = Annotated[str, StringConstraints(pattern=r"^[0-9]{13}$")]
"""A cooperative's Nomor Induk Koperasi: 13 digits, leading zeros kept."""
