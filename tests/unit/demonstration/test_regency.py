"""The demonstration regency: its size, its shape, and that it is always the same and nobody's."""

import csv
import io
import subprocess
import sys
from collections import Counter
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from contracts.regions import all_kecamatan, resolve_kecamatan, resolve_village
from dinkop.demonstration.histories import Conduct
from dinkop.demonstration.places import places
from dinkop.demonstration.regency import SNAPSHOTS, TODAY, regency
from dinkop.demonstration.snapshots import HEADER, grade, ods_csv
from dinkop.demonstration.stories import commands

REAL = Path(__file__).parents[4] / "shared" / "data" / "ods-kab-malang-2021-12.csv"

DIGESTS = {
    date(2021, 12, 31): "7b568ccd7c35dd8d64ada12b2ee13690db9b8f6049c96a3fcc5fbe3fea5f28ce",
    date(2022, 12, 31): "b6e82662033a17992e9a67e82c6b5964ccbfae952878519231f40080c0e36d98",
    date(2023, 12, 31): "765a9d93915532863bf1898376fffbfb0cd9f05176c76b698798875295027011",
    date(2024, 11, 14): "c625d5ff2d643c495b072abbebc7f6c3f277654aa06b65a7bf6727d655f44df9",
}


def test_there_are_1387_cooperatives_in_all_33_kecamatan() -> None:
    cooperatives = regency().cooperatives
    counted = Counter(one.kecamatan_code for one in cooperatives)
    assert len(cooperatives) == 1387
    assert set(counted) == {kecamatan.code for kecamatan in all_kecamatan()}
    assert counted == {place.code: place.cooperatives for place in places()}


def test_no_two_share_a_nik_or_a_legal_entity_number() -> None:
    cooperatives = regency().cooperatives
    assert len({one.nik for one in cooperatives}) == 1387
    assert len({one.legal_entity_number.upper().replace(" ", "") for one in cooperatives}) == 1387


def test_a_nik_carries_the_bps_code_of_its_kecamatan() -> None:
    bps_codes = {place.code: place.bps_code for place in places()}
    assert len(set(bps_codes.values())) == 33
    for one in regency().cooperatives:
        assert len(one.nik) == 13
        assert one.nik.isdigit()
        assert one.nik.startswith(f"3507{bps_codes[one.kecamatan_code]}")


def test_names_are_shared_so_that_a_name_never_identifies() -> None:
    names = Counter(one.name for one in regency().cooperatives)
    assert names.most_common(1)[0][1] >= 10


def test_kecamatan_and_villages_resolve_however_they_are_written() -> None:
    for one in regency().cooperatives:
        assert resolve_kecamatan(one.kecamatan) == one.kecamatan_code
        assert not one.village or resolve_village(one.kecamatan_code, one.village)
    written = {one.kecamatan for one in regency().cooperatives}
    assert {"Ponco Kusumo", "Sumber Pucung", "Tirto Yudo"} <= written


def test_the_dirt_of_the_real_register_is_there() -> None:
    cooperatives = regency().cooperatives
    assert sum(one.name.isupper() for one in cooperatives) > 150
    assert sum(" " in one.legal_entity_number and "BH" in one.legal_entity_number for one in cooperatives) > 20
    assert sum(not one.village for one in cooperatives) > 150
    assert sum(not one.address for one in cooperatives) > 100
    assert sum(one.village.startswith(("Desa ", "Kelurahan ")) for one in cooperatives) > 80


def test_the_cooperative_in_wagir_had_all_but_stopped_and_met_again() -> None:
    wagir = regency().wagir
    assert wagir.kecamatan_code == "35.07.21"
    assert wagir.members_total < 50
    assert [meeting.book_year for meeting in wagir.meetings if meeting.book_year >= 2019] == [2019, 2023]
    assert wagir.meetings[-1].held_on > date(2024, 6, 30)


def test_some_exist_on_paper_only() -> None:
    on_paper = regency().on_paper
    assert len(on_paper) == 48
    assert all(not one.meetings and one.members_total == 0 for one in on_paper)


def test_meetings_are_held_in_the_year_after_the_book_year_and_mostly_by_march() -> None:
    held = [(one, meeting) for one in regency().cooperatives for meeting in one.meetings]
    for one, meeting in held:
        assert meeting.held_on.year == meeting.book_year + 1
        assert meeting.book_year >= one.legal_entity_date.year
        assert meeting.held_on <= TODAY
    by_march = sum(meeting.held_on.month <= 3 for _, meeting in held) / len(held)
    assert 0.84 < by_march < 0.91


def test_only_who_has_members_holds_meetings() -> None:
    for one in regency().cooperatives:
        if one.meetings and one.meetings[-1].book_year >= 2021:
            assert one.members_total >= 9


@pytest.mark.parametrize("day", SNAPSHOTS, ids=str)
def test_an_export_has_the_shape_of_the_ministrys(day: date) -> None:
    rows = rows_of(day)
    assert tuple(rows[0]) == HEADER
    assert len(rows) == sum(one.legal_entity_date <= day for one in regency().cooperatives)
    for row in rows:
        assert all(row.values()), "the Ministry writes a blank where it has nothing"
        men, women, total = (
            int(row[column].replace(",", ""))
            for column in ("Jumlah Anggota Pria", "Jumlah Anggota Wanita", "Total Anggota")
        )
        assert men + women == total


@pytest.mark.parametrize("day", SNAPSHOTS, ids=str)
def test_a_grade_never_attests_a_meeting_that_was_not_held(day: date) -> None:
    graded_a = [one for one in regency().cooperatives if one.legal_entity_date <= day and grade(one, day) == "A"]
    assert graded_a
    for one in graded_a:
        last = max(m.book_year for m in one.meetings if m.held_on <= day and not m.recorded_by_office)
        assert {last, last - 1, last - 2} <= {meeting.book_year for meeting in one.meetings}


def test_later_exports_change_a_little_and_add_the_newly_founded() -> None:
    first, last = (
        {
            row["Nomor Induk Koperasi (NIK)"]: row
            for row in csv.DictReader(io.StringIO(ods_csv(regency(), day).decode()))
        }
        for day in (SNAPSHOTS[0], SNAPSHOTS[-1])
    )
    assert first.keys() < last.keys()
    more_members = sum(first[nik]["Total Anggota"] != last[nik]["Total Anggota"] for nik in first)
    assert 150 < more_members < 350
    assert all(first[nik]["Koperasi"] == last[nik]["Koperasi"] for nik in first)


@pytest.mark.parametrize("day", SNAPSHOTS, ids=str)
def test_an_export_is_the_same_on_every_machine_and_day(day: date) -> None:
    assert sha256(ods_csv(regency(), day)).hexdigest() == DIGESTS[day]


def test_another_process_with_another_hash_seed_makes_the_same_regency() -> None:
    program = """
from hashlib import sha256
from dinkop.demonstration.regency import SNAPSHOTS, regency
from dinkop.demonstration.snapshots import ods_csv
from dinkop.demonstration.stories import commands
print(sha256(ods_csv(regency(), SNAPSHOTS[-1])).hexdigest(), [(c, c.idempotency_key) for c in commands(regency())])
"""
    root = Path(__file__).parents[3]
    other = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "4711", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    here = sha256(ods_csv(regency(), TODAY)).hexdigest()
    assert other == f"{here} {[(call, call.idempotency_key) for call in commands(regency())]}"


@pytest.mark.skipif(not REAL.exists(), reason="the real export is not beside the repository")
def test_no_cooperative_is_a_real_one() -> None:
    with REAL.open(encoding="utf-8-sig", newline="") as file:
        real = list(csv.DictReader(file))
    niks = {row["Nomor Induk Koperasi (NIK)"] for row in real}
    numbers = {row["Nomor Badan Hukum Pendirian"].upper().replace(" ", "") for row in real}
    addresses = {(row["Koperasi"].upper(), row["Alamat"].upper()) for row in real if row["Alamat"].strip()}
    assert len(real) == 1260
    assert not niks & {one.nik for one in regency().cooperatives}
    assert not numbers & {one.legal_entity_number.upper().replace(" ", "") for one in regency().cooperatives}
    assert not addresses & {(one.name.upper(), one.address.upper()) for one in regency().cooperatives}
    assert tuple(real[0]) == HEADER


def test_the_conducts_are_shared_out_as_meant() -> None:
    assert Counter(one.conduct for one in regency().cooperatives) == {
        Conduct.STEADY: 1054,
        Conduct.NEWCOMER: 31,
        Conduct.IRREGULAR: 173,
        Conduct.LAPSED: 80,
        Conduct.ON_PAPER: 48,
        Conduct.REVIVED: 1,
    }


def rows_of(day: date) -> list[dict[str, str]]:
    """Read an export."""
    return list(csv.DictReader(io.StringIO(ods_csv(regency(), day).decode())))
