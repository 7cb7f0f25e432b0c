"""Kecamatan and villages of Kabupaten Malang, by code and by the ways their names are written.

The table holds Kemendagri's codes and names (Kepmendagri 300.2.2-2430/2025) and, as `also_written`,
differing spellings of BPS and of older lists.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("regions-3507.csv")


@dataclass(frozen=True, slots=True)
class Kecamatan:
    """A sub-regency, such as 35.07.21 Wagir."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Village:
    """A desa or kelurahan, such as 35.07.21.2003."""

    code: str
    name: str

    @property
    def kecamatan_code(self) -> str:
        """Return the code of the kecamatan it lies in."""
        return self.code.rpartition(".")[0]

    @property
    def is_kelurahan(self) -> bool:
        """Tell an urban ward from a desa: Kemendagri numbers wards 1xxx and desa 2xxx."""
        return self.code.rpartition(".")[2].startswith("1")


def all_kecamatan() -> tuple[Kecamatan, ...]:
    """Return the 33 kecamatan, by code."""
    return tuple(_regions().kecamatan.values())


def kecamatan(code: str) -> Kecamatan | None:
    """Return the kecamatan with a Kemendagri code, or None."""
    return _regions().kecamatan.get(code)


def villages(kecamatan_code: str) -> tuple[Village, ...]:
    """Return the villages of a kecamatan, by code; none for an unknown one."""
    return tuple(place for place in _regions().villages.values() if place.kecamatan_code == kecamatan_code)


def village(code: str) -> Village | None:
    """Return the village with a Kemendagri code, or None."""
    return _regions().villages.get(code)


def resolve_kecamatan(text: str) -> str | None:
    """Return the code of the kecamatan that `text` names, or None.

    Case, blanks, punctuation and a leading Kec. or Kecamatan do not matter; letters do. A near miss stays
    unresolved: a cooperative filed under the wrong kecamatan is worse than one filed under none.
    """
    return _look_up(_regions().kecamatan_named, text, ("kecamatan", "kec"))


def resolve_village(kecamatan_code: str, text: str) -> str | None:
    """Return the code of the village of this kecamatan that `text` names, or None.

    As `resolve_kecamatan`, with a leading Desa, Ds., Kelurahan or Kel.
    """
    return _look_up(_regions().villages_named.get(kecamatan_code, {}), text, ("desa", "ds", "kelurahan", "kel"))


@dataclass(frozen=True, slots=True)
class _Regions:
    kecamatan: dict[str, Kecamatan]
    villages: dict[str, Village]
    kecamatan_named: dict[str, str]
    villages_named: dict[str, dict[str, str]]


@cache
def _regions() -> _Regions:
    regions = _Regions({}, {}, {}, {})
    with TABLE.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            code, name = row["code"], row["name"]
            if code.count(".") == 2:
                regions.kecamatan[code] = Kecamatan(code, name)
                names = regions.kecamatan_named
            else:
                regions.villages[code] = Village(code, name)
                names = regions.villages_named.setdefault(code.rpartition(".")[0], {})
            for written in (name, code, *filter(None, row["also_written"].split("|"))):
                if names.setdefault(_letters(written), code) != code:
                    raise ValueError(f"{TABLE.name}: {written!r} names both {names[_letters(written)]} and {code}")
    return regions


def _look_up(names: dict[str, str], text: str, prefixes: Iterable[str]) -> str | None:
    letters = _letters(text)
    # The whole is tried first, so that a name which begins like a prefix is still found.
    wordings = (letters, *(letters.removeprefix(prefix) for prefix in prefixes if letters.startswith(prefix)))
    return next((names[wording] for wording in wordings if wording in names), None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
