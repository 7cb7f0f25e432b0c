"""The stories of annual meetings: which of them the office itself recorded, verified and mended."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from dinkop.demonstration.calls import Body, Call, about_cooperative
from dinkop.demonstration.histories import LATEST_BOOK_YEAR, Conduct, Meeting
from dinkop.demonstration.numbering import roman_month
from dinkop.demonstration.regency import SEED, TODAY, WAGIR_NIK, Cooperative, Regency

VERIFIED_BESIDES = 40


def the_office_attends(regency: Regency) -> Iterator[Call]:
    """In every kecamatan one cooperative's meeting is recorded in full; most are verified, a few corrected."""
    for number, cooperative in enumerate(_recorded_by_office(regency)):
        told = held(cooperative)
        yield told
        reported_on = date.fromisoformat(told.body["reported_on"])
        if number % 7 == 3:
            surplus = told.body["net_surplus"] + 250_000
            yield _corrected(cooperative, {"net_surplus": surplus}, "Salah ketik SHU pada laporan pertama")
        if number % 4 != 1:
            yield verified(cooperative, min(reported_on + timedelta(days=5), TODAY))
        if number % 16 == 8:
            # The verification falls with the correction, and only one of the two is verified again.
            present = told.body["members_present"] + 1
            yield _corrected(cooperative, {"members_present": present}, "Daftar hadir dihitung ulang")
            if number == 8:
                yield verified(cooperative, min(reported_on + timedelta(days=12), TODAY))


def one_is_mistaken_for_another(regency: Regency) -> Iterator[Call]:
    """A meeting is first recorded for another cooperative of the same name, and annulled there."""
    right, wrong = namesakes(regency)
    yield about_cooperative("rat", wrong, "rats", held(right).body)
    yield about_cooperative(
        "rat",
        wrong,
        f"rats/{LATEST_BOOK_YEAR}/annulments",
        {"reason": f"Tercatat pada koperasi yang salah: berita acara milik koperasi senama, NIK {right.nik}"},
    )


def the_office_verifies(regency: Regency) -> Iterator[Call]:
    """The office verifies meetings it knows of from the Ministry."""
    draw = Random(f"{SEED} verifications")
    candidates = [
        one
        for one in regency.cooperatives
        if (meeting := one.meeting(LATEST_BOOK_YEAR)) and not meeting.recorded_by_office
    ]
    for cooperative in draw.sample(candidates, VERIFIED_BESIDES):
        yield verified(cooperative, min(_last(cooperative).held_on + timedelta(days=draw.randint(9, 40)), TODAY))


def namesakes(regency: Regency) -> tuple[Cooperative, Cooperative]:
    """Return a cooperative whose meeting the office recorded, and one of the same name that held none."""
    for right in _recorded_by_office(regency):
        for wrong in regency.cooperatives:
            if wrong.name == right.name and wrong.conduct is Conduct.IRREGULAR and not wrong.meeting(LATEST_BOOK_YEAR):
                return right, wrong
    raise LookupError("no cooperative that the office attended has a namesake without a meeting")


def held(cooperative: Cooperative, **settled: Any) -> Call:
    """Return the record of its last meeting; `settled` is what is not left to chance."""
    meeting = _last(cooperative)
    draw = Random(f"{SEED} meeting {cooperative.nik} {meeting.book_year}")
    total = cooperative.members_total
    second_meeting = draw.randrange(8) == 0
    # An adjourned meeting needs no quorum; any other more than half of the members.
    fewest, most = (
        (total // 4 + 1, total // 2) if second_meeting else (total // 2 + 1, max(total // 2 + 1, total * 9 // 10))
    )
    present = draw.randint(fewest, most)
    own_capital, outside_capital = total * draw.randint(900, 4_200) * 1_000, total * draw.randint(0, 1_800) * 1_000
    turnover = (own_capital + outside_capital) * draw.randint(60, 180) // 100
    body: Body = {
        "book_year": meeting.book_year,
        "held_on": meeting.held_on.isoformat(),
        "reported_on": min(meeting.held_on + timedelta(days=draw.randint(2, 12)), TODAY).isoformat(),
        "mode": draw.choice(("in_person", "in_person", "in_person", "in_person", "online", "written")),
        "members_total": total,
        "members_present": present,
        "second_meeting": second_meeting,
        "minutes_number": f"{draw.randint(1, 40):02}/BA-RAT/{roman_month(meeting.held_on)}/{meeting.held_on.year}",
        "accountability_accepted": True,
        "own_capital": own_capital,
        "outside_capital": outside_capital,
        "total_assets": own_capital + outside_capital,
        "turnover": turnover,
        "net_surplus": turnover * draw.randint(-2, 9) // 100,
    }
    return about_cooperative("rat", cooperative, "rats", body | settled)


def verified(cooperative: Cooperative, on: date) -> Call:
    """Return that the office looked at the minutes of its meeting of the latest book year."""
    path = f"rats/{LATEST_BOOK_YEAR}/verifications"
    return about_cooperative("rat", cooperative, path, {"verified_on": on.isoformat()})


def _recorded_by_office(regency: Regency) -> list[Cooperative]:
    return [
        one
        for one in regency.cooperatives
        if one.nik != WAGIR_NIK and any(meeting.recorded_by_office for meeting in one.meetings)
    ]


def _last(cooperative: Cooperative) -> Meeting:
    return cooperative.meetings[-1]


def _corrected(cooperative: Cooperative, changes: Body, reason: str) -> Call:
    path = f"rats/{LATEST_BOOK_YEAR}/corrections"
    return about_cooperative("rat", cooperative, path, {"changes": changes, "reason": reason})
