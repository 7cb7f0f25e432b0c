"""Kecamatan and villages are found by the ways people write them, and never guessed."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from contracts.regions import (
    Kecamatan,
    all_kecamatan,
    kecamatan,
    resolve_kecamatan,
    resolve_village,
    village,
    villages,
)

EXPORT = Path(__file__).parents[4] / "shared/data/ods-kab-malang-2021-12.csv"


def test_there_are_33_kecamatan_378_desa_and_12_kelurahan() -> None:
    places = [place for region in all_kecamatan() for place in villages(region.code)]
    assert [region.code for region in all_kecamatan()] == [f"35.07.{number:02}" for number in range(1, 34)]
    assert Counter(place.is_kelurahan for place in places) == {False: 378, True: 12}


def test_places_are_known_by_their_codes() -> None:
    assert kecamatan("35.07.21") == Kecamatan("35.07.21", "Wagir")
    place = village("35.07.21.2003")
    assert place is not None
    assert place.kecamatan_code == "35.07.21"
    assert kecamatan("35.07.34") is None
    assert kecamatan("35.07.21.2003") is None
    assert village("35.07.21") is None
    assert villages("35.07.99") == ()


@pytest.mark.parametrize("region", all_kecamatan(), ids=lambda region: region.name)
def test_every_place_is_found_by_its_own_name_and_code(region: Kecamatan) -> None:
    assert resolve_kecamatan(region.name) == resolve_kecamatan(region.code) == region.code
    for place in villages(region.code):
        assert resolve_village(region.code, place.name) == resolve_village(region.code, place.code) == place.code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WAGIR", "35.07.21"),
        ("  wagir ", "35.07.21"),
        ("Kec. Wagir", "35.07.21"),
        ("KECAMATAN  WAGIR", "35.07.21"),
        ("Kec.Wagir", "35.07.21"),
        ("Tirto Yudo", "35.07.30"),
        ("Ponco Kusumo", "35.07.07"),
        ("Sumber Pucung", "35.07.12"),
        ("Karang-Ploso", "35.07.23"),
        ("Sumber Manjing Wetan", "35.07.04"),
        ("Pakis", "35.07.18"),
        ("Pakisaji", "35.07.19"),
        ("350721", "35.07.21"),
    ],
)
def test_a_kecamatan_is_found_however_it_is_written(text: str, code: str) -> None:
    assert resolve_kecamatan(text) == code


@pytest.mark.parametrize("text", ["", " ", "-", "Kec.", "Kecamatan", "Wagirr", "Pakisa", "Malang", "Lowokwaru"])
def test_what_names_no_kecamatan_of_the_regency_stays_unresolved(text: str) -> None:
    assert resolve_kecamatan(text) is None


@pytest.mark.parametrize(
    ("kecamatan_code", "text", "code"),
    [
        ("35.07.06", "DesaTirtomarto", "Tirtomarto"),
        ("35.07.13", "Kel. Penarukan", "Penarukan"),
        ("35.07.13", "Kelurahan PENARUKAN", "Penarukan"),
        ("35.07.13", "Panarukan", "Penarukan"),
        ("35.07.18", "Ds. Banjarrejo", "Banjarejo"),
        ("35.07.16", "Desa Duwet  Krajan", "Duwet Krajan"),
        ("35.07.14", "Desa", None),
        ("35.07.14", "Kelurahan", None),
        ("35.07.14", "-", None),
        ("35.07.10", "Gondanglegi", None),
        ("35.07.21", "Penarukan", None),
        ("35.07.99", "Penarukan", None),
    ],
)
def test_a_village_is_found_within_its_kecamatan_only(kecamatan_code: str, text: str, code: str | None) -> None:
    found = resolve_village(kecamatan_code, text)
    place = village(found) if found else None
    assert (place.name if place else None) == code


@pytest.mark.skipif(not EXPORT.exists(), reason="the Ministry's export is not at hand")
def test_of_the_real_export_only_rows_without_a_kecamatan_stay_unresolved() -> None:
    with EXPORT.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    unresolved = [row["Kecamatan"] for row in rows if resolve_kecamatan(row["Kecamatan"]) is None]
    assert unresolved == ["-", "-", "-"]
    named = [(resolve_kecamatan(row["Kecamatan"]), row["Kelurahan / Desa"]) for row in rows]
    found = [resolve_village(code, text) for code, text in named if code and text.strip()]
    assert len(found) - found.count(None) >= 980
