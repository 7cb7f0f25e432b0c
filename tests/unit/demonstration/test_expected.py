"""What the demonstration comes to, counted from the histories and again from what is really loaded."""

import csv
import io
from collections import Counter, defaultdict
from datetime import date

import pytest

from contracts.regions import all_kecamatan, resolve_kecamatan
from dinkop.demonstration.expected import COUNTED, EXACT_FROM, expected, found, total
from dinkop.demonstration.meetings import namesakes
from dinkop.demonstration.regency import SNAPSHOTS, TODAY, WAGIR_NIK, regency
from dinkop.demonstration.register import REFUSED_NIK
from dinkop.demonstration.snapshots import ods_csv
from dinkop.demonstration.stories import commands

OF_STORIES = ("not_found", "removal_proposed", "mentoring_open")


def test_about_300_of_1387_hold_their_meetings_inconsistently_or_not_at_all() -> None:
    counts = total(expected(regency(), TODAY))
    assert counts == {
        "registered": 1387,
        "obliged": 1380,
        "healthy": 1054,
        "on_track": 24,
        "inconsistent": 174,
        "lapsed": 128,
        "not_yet_due": 7,
        "held_latest": 1137,
        "not_found": 29,
        "removal_proposed": 1,
        "mentoring_open": 16,
    }
    assert counts["inconsistent"] + counts["lapsed"] == 302


def test_every_kecamatan_has_its_share() -> None:
    counts = expected(regency(), TODAY)
    assert set(counts) == {kecamatan.code for kecamatan in all_kecamatan()}
    troubled = {code: here["inconsistent"] + here["lapsed"] for code, here in counts.items()}
    assert min(troubled.values()) >= 1
    assert all(here["healthy"] for here in counts.values())


@pytest.mark.parametrize(
    "as_of", [EXACT_FROM, date(2023, 12, 31), date(2024, 2, 10), date(2024, 6, 30), date(2024, 7, 1), TODAY], ids=str
)
def test_what_is_loaded_comes_to_what_was_invented(as_of: date) -> None:
    assert loaded(as_of) == {
        code: {name: count for name, count in here.items() if count and name not in OF_STORIES}
        for code, here in expected(regency(), as_of).items()
    }


def test_nothing_is_counted_beside_what_a_kecamatan_is_counted_by() -> None:
    assert all(set(here) == set(COUNTED) for here in expected(regency(), TODAY).values())


@pytest.mark.parametrize(
    ("as_of", "existence"),
    [
        (date(2023, 5, 15), None),
        (date(2023, 5, 16), "not_found"),
        (date(2023, 7, 16), "not_found"),
        (date(2023, 7, 17), "removal_proposed"),
        (date(2024, 2, 5), "removal_proposed"),
        (date(2024, 2, 6), "not_found"),
    ],
    ids=str,
)
def test_a_refused_proposal_holds_from_its_letter_until_the_day_of_the_decision(
    as_of: date, existence: str | None
) -> None:
    assert found(regency(), as_of).get(REFUSED_NIK) == existence


def test_wagir_was_asleep_before_it_was_helped_and_at_work_after_it() -> None:
    assert found(regency(), date(2024, 7, 18))[WAGIR_NIK] == "dormant"
    assert found(regency(), TODAY)[WAGIR_NIK] == "found"


def test_a_request_is_open_from_its_receipt_until_it_is_closed() -> None:
    # In Wagir the cooperative of the story asked from 18 July to 8 October, and another one since 7 October.
    days = ("2024-07-17", "2024-07-18", "2024-10-06", "2024-10-07", "2024-10-08", "2024-11-14")
    open_then = [expected(regency(), date.fromisoformat(day))["35.07.21"]["mentoring_open"] for day in days]
    assert open_then == [0, 1, 1, 2, 1, 1]


def test_the_mistaken_meeting_leaves_no_trace() -> None:
    right, wrong = namesakes(regency())
    assert right.name == wrong.name
    assert right.nik != wrong.nik
    assert wrong.meeting(2023) is None


def loaded(as_of: date) -> dict[str, dict[str, int]]:
    """Count what the exports and calls say, as a spreadsheet would: meetings by date, attestations at a year's end."""
    founded: dict[str, date] = {}
    places: dict[str, str] = {}
    held: defaultdict[str, dict[int, date]] = defaultdict(dict)
    attested: defaultdict[str, set[int]] = defaultdict(set)
    for day in SNAPSHOTS:
        for row in csv.DictReader(io.StringIO(ods_csv(regency(), day).decode())):
            nik = row["Nomor Induk Koperasi (NIK)"]
            founded[nik] = read(row["Tanggal Badan Hukum Pendirian"])
            places[nik] = resolve_kecamatan(row["Kecamatan"]) or "unknown"
            if last := row["Tanggal RAT Terakhir"].strip():
                on = read(last)
                held[nik].setdefault(on.year - 1, on)
                if row["Status Grade"] == "A":
                    attested[nik] |= {on.year - 2, on.year - 3}
    for call in commands(regency()):
        match call.kind:
            case "rats":
                year = call.body["book_year"]
                assert year not in held[call.about], "the year would be recorded twice"
                held[call.about][year] = date.fromisoformat(call.body["held_on"])
            case "annulments":
                del held[call.about][2023]
            case "relocations" if date.fromisoformat(call.body["effective_on"]) <= as_of:
                places[call.about] = call.body["kecamatan_code"]

    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for nik, day in founded.items():
        if day > as_of:
            continue
        done = {year for year, on in held[nik].items() if on <= as_of}
        done |= {year for year in attested[nik] if date(year + 1, 12, 31) <= as_of}
        current = as_of.year - 1
        latest = current if as_of > date(current + 1, 6, 30) or current in done else current - 1
        window = {year for year in (latest, latest - 1, latest - 2) if year >= day.year}
        if not window:
            status = "not_yet_due"
        elif not window & done:
            status = "lapsed"
        elif window - done:
            status = "inconsistent"
        else:
            status = "healthy" if len(window) == 3 else "on_track"
        counts[places[nik]].update(["registered", status])
        if window:
            counts[places[nik]].update(["obliged"] + ["held_latest"] * (latest in done))
    return {code: dict(+here) for code, here in counts.items()}


def read(text: str) -> date:
    """Read a date as the Ministry writes it."""
    day, month, year = map(int, text.split("/"))
    return date(year, month, day)
