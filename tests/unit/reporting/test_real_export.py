"""The health rule on a real export of the Ministry, December 2021: 1,260 cooperatives."""

import csv
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from by_the_text import by_the_text

from contracts.regions import all_kecamatan, resolve_kecamatan
from services.reporting.domain import facts
from services.reporting.domain.counts import tally
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import HealthRule, Verdict
from services.reporting.domain.policy import RAT_3Y_2024

EXPORT = Path(__file__).resolve().parents[4] / "shared" / "data" / "ods-kab-malang-2021-12.csv"

pytestmark = pytest.mark.skipif(not EXPORT.exists(), reason=f"no Ministry export at {EXPORT}")


def readable(text: str) -> date | None:
    """Read dd/mm/yyyy; blanks and the spreadsheets' day zero are no dates."""
    try:
        day, month, year = map(int, text.strip().split("/"))
        found = date(year, month, day)
    except ValueError:
        return None
    return found


def events_of(row: dict[str, str]) -> list[dict[str, Any]]:
    """Return what importing one row records: a registration, its last meeting, and what a grade A attests."""
    scope = {"Kabupaten/Kota": "regency", "Provinsi": "province", "Nasional": "national"}
    tier, _, area = row["Bentuk Koperasi"].strip().partition(" ")
    events: list[dict[str, Any]] = [
        {
            "what": "registered",
            "legal_entity_date": readable(row["Tanggal Badan Hukum Pendirian"]),
            "kecamatan_code": resolve_kecamatan(row["Kecamatan"]),
            "tier": "secondary" if tier == "Sekunder" else "primary",
            "scope": scope[area],
        }
    ]
    last = readable(row["Tanggal RAT Terakhir"])
    if last is not None:
        events.append({"what": "held", "book_year": last.year - 1, "held_on": last, "source": "ods"})
        if row["Status Grade"] == "A":
            events += [{"what": "attested", "book_year": year} for year in (last.year - 2, last.year - 3)]
    return [event | {"at": at} for at, event in enumerate(events)]


def facts_of(row: dict[str, str]) -> Facts:
    """Return the facts of one row."""
    subject = UUID(int=int(row["Nomor Induk Koperasi (NIK)"]))
    registry: list[facts.RegistryFact] = []
    rat: list[facts.RATFact] = []
    for event in events_of(row):
        stamp = (str(subject), event["at"], event["at"])
        match event["what"]:
            case "registered":
                where = (event["legal_entity_date"], event["kecamatan_code"], None, event["tier"], event["scope"])
                registry.append(facts.Registered(*stamp, row["Koperasi"], None, *where))
            case "held":
                rat.append(facts.RATHeld(*stamp, event["book_year"], event["held_on"], "ods"))
            case "attested":
                rat.append(facts.RATAttested(*stamp, event["book_year"], "nik_grade"))
    return Facts(subject, registry, rat)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with EXPORT.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def judged(rows: list[dict[str, str]], as_of: date) -> list[Verdict]:
    rule = HealthRule(as_of, 2**62, RAT_3Y_2024)
    return [verdict for row in rows if (verdict := rule.judge(facts_of(row)))]


def test_the_end_of_2021_reads_as_the_office_counted_it(rows: list[dict[str, str]]) -> None:
    found = Counter(verdict.status for verdict in judged(rows, date(2021, 12, 31)))
    assert found == {"healthy": 352, "on_track": 4, "inconsistent": 390, "lapsed": 500, "not_yet_due": 14}
    assert found.total() == 1260


def test_every_kecamatan_adds_up_and_three_cooperatives_have_none(rows: list[dict[str, str]]) -> None:
    counted = tally([k.code for k in all_kecamatan()], judged(rows, date(2021, 12, 31)), [])
    assert counted.by_kecamatan[None].registered == 3
    assert len(counted.by_kecamatan) == 34
    assert all(counts.registered for counts in counted.by_kecamatan.values())
    assert sum(counts.registered for counts in counted.by_kecamatan.values()) == counted.total.registered == 1260
    assert counted.total.obliged == 1260 - 14


@pytest.mark.parametrize("as_of", [date(2019, 12, 31), date(2020, 6, 30), date(2021, 3, 1)], ids=str)
def test_at_other_dates_it_reads_as_the_text_reads(rows: list[dict[str, str]], as_of: date) -> None:
    found = {v.cooperative_id: (v.status, v.kecamatan_code, v.held_latest) for v in judged(rows, as_of)}
    for row in rows[::90]:
        expected = by_the_text(events_of(row), as_of, known_at=9)
        actual = found.get(UUID(int=int(row["Nomor Induk Koperasi (NIK)"])))
        assert actual == (expected and (expected["status"], expected["kecamatan_code"], expected["held_latest"])), row[
            "Nomor Induk Koperasi (NIK)"
        ]
