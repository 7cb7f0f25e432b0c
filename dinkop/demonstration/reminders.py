"""The stories of meetings still to be held: who was warned of a missing one, and who has announced the next."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from random import Random

from contracts.regions import village
from dinkop.demonstration.calls import Call, about_cooperative
from dinkop.demonstration.histories import LATEST_BOOK_YEAR, Conduct
from dinkop.demonstration.letters import office_letter
from dinkop.demonstration.regency import SEED, WAGIR_NIK, Cooperative, Regency

FIRST_WARNING, SECOND_WARNING = date(2024, 7, 8), date(2024, 10, 14)
"""A week after the deadline, and three months later."""

WARNED_PER_KECAMATAN = 2
EARLY_BIRDS = 14

_SATURDAYS_LEFT = (date(2024, 11, 23), date(2024, 11, 30), date(2024, 12, 7), date(2024, 12, 14), date(2024, 12, 21))
_NEXT_SEASON = date(2025, 1, 11)


def the_silent_are_warned(regency: Regency) -> Iterator[Call]:
    """In every kecamatan some are warned of the meeting they missed; every other one answers by announcing it.

    The rest are warned again, but for those that have met since.
    """
    for number, cooperative in enumerate(_warned(regency)):
        yield warned(cooperative, 1, 902 + number, FIRST_WARNING)
        if cooperative.meeting(LATEST_BOOK_YEAR):
            continue  # it has met since
        if number % 2:
            day = Random(f"{SEED} plan {cooperative.nik}").choice(_SATURDAYS_LEFT)
            yield planned(cooperative, LATEST_BOOK_YEAR, day)
        else:
            yield warned(cooperative, 2, 1_395 + number, SECOND_WARNING)


def the_next_meetings_are_announced(regency: Regency) -> Iterator[Call]:
    """Large and orderly cooperatives announce their next meeting before the year is over."""
    draw = Random(f"{SEED} plans")
    orderly = [one for one in regency.cooperatives if one.conduct is Conduct.STEADY and one.members_total > 400]
    for cooperative in draw.sample(orderly, EARLY_BIRDS):
        yield planned(cooperative, LATEST_BOOK_YEAR + 1, _NEXT_SEASON + timedelta(weeks=draw.randrange(11)))


def warned(cooperative: Cooperative, level: int, number: int, on: date) -> Call:
    """Return a letter that warns of the missing meeting of the latest book year."""
    letter = {
        "book_year": LATEST_BOOK_YEAR,
        "level": level,
        "letter_number": office_letter(number, on),
        "letter_date": on.isoformat(),
    }
    return about_cooperative("rat", cooperative, "warnings", letter)


def planned(cooperative: Cooperative, book_year: int, on: date) -> Call:
    """Return the announcement of a meeting, at the village hall if the village is known."""
    here = village(cooperative.village_code) if cooperative.village_code else None
    venue = f"Balai {'Kelurahan' if here.is_kelurahan else 'Desa'} {here.name}" if here else "Kantor koperasi"
    plan = {"book_year": book_year, "planned_on": on.isoformat(), "venue": venue}
    return about_cooperative("rat", cooperative, "rat-plans", plan)


def _warned(regency: Regency) -> Iterator[Cooperative]:
    """Yield who is warned; who has no members has nobody to open the letter."""
    silent = [
        one
        for one in sorted(regency.cooperatives, key=lambda one: (one.kecamatan_code, -one.members_total, one.nik))
        if one.troubled and one.members_total and one.nik != WAGIR_NIK and _silent(one)
    ]
    for _, here in groupby(silent, key=lambda one: one.kecamatan_code):
        yield from list(here)[:WARNED_PER_KECAMATAN]


def _silent(cooperative: Cooperative) -> bool:
    meeting = cooperative.meeting(LATEST_BOOK_YEAR)
    return meeting is None or meeting.held_on > FIRST_WARNING
