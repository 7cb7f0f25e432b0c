"""What the office itself recorded: told as the HTTP calls that record it.

A story is a function from the regency to calls. Calls about one cooperative are made in the order told.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from dinkop.demonstration.histories import LATEST_BOOK_YEAR, Conduct, Meeting
from dinkop.demonstration.numbering import roman_month
from dinkop.demonstration.regency import SEED, TODAY, WAGIR_NIK, Cooperative, Regency

type Service = Literal["registry", "rat"]
type Body = dict[str, Any]

VERIFIED_BESIDES = 40
NAMES_CORRECTED = 3


@dataclass(frozen=True, slots=True)
class Call:
    """A POST about the cooperative with a NIK; `{cooperative_id}` in the path stands for its id, known when loaded."""

    service: Service
    nik: str
    path: str
    body: Body = field(hash=False)

    @property
    def idempotency_key(self) -> UUID:
        """Return a key that is always the same for the same call, so that a load can be run again."""
        return uuid5(NAMESPACE_URL, f"{SEED} {self.service} {self.nik} {self.path} {json.dumps(self.body)}")


def commands(regency: Regency) -> Iterator[Call]:
    """Yield every call of every story."""
    for story in STORIES:
        yield from story(regency)


def wagir_meets_again(regency: Regency) -> Iterator[Call]:
    """The cooperative in Wagir holds its meeting for 2023 half a year late, for the first time in four years."""
    cooperative = regency.wagir
    meeting = _last(cooperative)
    yield _held(cooperative, meeting, mode="in_person", members_present=24, second_meeting=False, net_surplus=1_850_000)
    yield _verified(cooperative, date(2024, 10, 3))


def the_office_attends(regency: Regency) -> Iterator[Call]:
    """In every kecamatan one cooperative's meeting is recorded in full; most are verified, a few corrected."""
    for number, cooperative in enumerate(_recorded_by_office(regency)):
        meeting = _last(cooperative)
        held = _held(cooperative, meeting)
        yield held
        reported_on = date.fromisoformat(held.body["reported_on"])
        if number % 7 == 3:
            surplus = held.body["net_surplus"] + 250_000
            yield _corrected(cooperative, {"net_surplus": surplus}, "Salah ketik SHU pada laporan pertama")
        if number % 4 != 1:
            yield _verified(cooperative, min(reported_on + timedelta(days=5), TODAY))
        if number % 16 == 8:
            # The verification falls with the correction, and only one of the two is verified again.
            present = held.body["members_present"] + 1
            yield _corrected(cooperative, {"members_present": present}, "Daftar hadir dihitung ulang")
            if number == 8:
                yield _verified(cooperative, min(reported_on + timedelta(days=12), TODAY))


def one_is_mistaken_for_another(regency: Regency) -> Iterator[Call]:
    """A meeting is first recorded for another cooperative of the same name, and annulled there."""
    right, wrong = namesakes(regency)
    yield replace(_held(right, _last(right)), nik=wrong.nik)
    yield Call(
        "rat",
        wrong.nik,
        f"/v1/cooperatives/{{cooperative_id}}/rats/{LATEST_BOOK_YEAR}/annulments",
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
        yield _verified(cooperative, min(_last(cooperative).held_on + timedelta(days=draw.randint(9, 40)), TODAY))


def cooperatives_move(regency: Regency) -> Iterator[Call]:
    """Some move to another kecamatan."""
    for cooperative in regency.cooperatives:
        if move := cooperative.move:
            yield Call(
                "registry",
                cooperative.nik,
                "/v1/cooperatives/{cooperative_id}/relocations",
                {
                    "kecamatan_code": move.village.kecamatan_code,
                    "village_code": move.village.code,
                    "address": move.address,
                    "effective_on": move.effective_on.isoformat(),
                },
            )


def names_are_corrected(regency: Regency) -> Iterator[Call]:
    """Some names that the Ministry shouts are written as on the deed."""
    shouted = [one for one in regency.cooperatives if one.name.isupper() and one.group == "KUD"]
    for cooperative in shouted[:NAMES_CORRECTED]:
        yield Call(
            "registry",
            cooperative.nik,
            "/v1/cooperatives/{cooperative_id}/corrections",
            {"changes": {"name": cooperative.name.title()}, "reason": "Nama disesuaikan dengan akta pendirian"},
        )


STORIES: tuple[Callable[[Regency], Iterator[Call]], ...] = (
    wagir_meets_again,
    one_is_mistaken_for_another,
    the_office_attends,
    the_office_verifies,
    cooperatives_move,
    names_are_corrected,
)


def namesakes(regency: Regency) -> tuple[Cooperative, Cooperative]:
    """Return a cooperative whose meeting the office recorded, and one of the same name that held none."""
    for right in _recorded_by_office(regency):
        for wrong in regency.cooperatives:
            if wrong.name == right.name and wrong.conduct is Conduct.IRREGULAR and not wrong.meeting(LATEST_BOOK_YEAR):
                return right, wrong
    raise LookupError("no cooperative that the office attended has a namesake without a meeting")


def _recorded_by_office(regency: Regency) -> list[Cooperative]:
    return [
        one
        for one in regency.cooperatives
        if one.nik != WAGIR_NIK and any(meeting.recorded_by_office for meeting in one.meetings)
    ]


def _last(cooperative: Cooperative) -> Meeting:
    return cooperative.meetings[-1]


def _held(cooperative: Cooperative, meeting: Meeting, **settled: Any) -> Call:
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
    return Call("rat", cooperative.nik, "/v1/cooperatives/{cooperative_id}/rats", body | settled)


def _verified(cooperative: Cooperative, on: date) -> Call:
    path = f"/v1/cooperatives/{{cooperative_id}}/rats/{LATEST_BOOK_YEAR}/verifications"
    return Call("rat", cooperative.nik, path, {"verified_on": on.isoformat()})


def _corrected(cooperative: Cooperative, changes: Body, reason: str) -> Call:
    path = f"/v1/cooperatives/{{cooperative_id}}/rats/{LATEST_BOOK_YEAR}/corrections"
    return Call("rat", cooperative.nik, path, {"changes": changes, "reason": reason})
