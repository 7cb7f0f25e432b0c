"""The invented cooperatives of the demonstration: always the same, in the 33 real kecamatan."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property
from itertools import chain
from random import Random

from contracts.regions import Village, resolve_village
from dinkop.demonstration.histories import TROUBLED, Conduct, Meeting, meetings, pick
from dinkop.demonstration.numbering import Numbering
from dinkop.demonstration.places import Place, places
from dinkop.demonstration.vocabulary import HAMLETS, KINDS, NEWCOMER, SECONDARY_GROUP, STREETS, Kind, Weighted

TODAY = date(2024, 11, 14)
"""The day the demonstration stands on."""

SNAPSHOTS = (date(2021, 12, 31), date(2022, 12, 31), date(2023, 12, 31), TODAY)
"""The days of the Ministry's exports."""

WAGIR_NIK = "3507210058030"
"""A small cooperative in Wagir that had all but stopped, and holds its annual meeting again."""

SEED = "Kabupaten Malang 2024"
TROUBLED_COUNT = 302
NEWCOMERS = 31
MOVED = 4

# Serials from here on are far above any the Ministry has given out, so that no invented NIK is a real one.
_FIRST_SERIAL = 8001

_TROUBLES: Weighted[Conduct] = ((Conduct.IRREGULAR, 59), (Conduct.LAPSED, 28), (Conduct.ON_PAPER, 13))
_FORMS: Weighted[str] = (("Primer Kabupaten/Kota", 971), ("Primer Provinsi", 25), ("Primer Nasional", 4))
_SECONDARY_FORMS: Weighted[str] = (("Sekunder Kabupaten/Kota", 7), ("Sekunder Provinsi", 5))

type Members = tuple[int, int]
"""Men and women."""


@dataclass(frozen=True, slots=True)
class Move:
    """A cooperative's move to another seat."""

    effective_on: date
    village: Village
    address: str


@dataclass(frozen=True, slots=True)
class Cooperative:
    """An invented cooperative. Names, forms, types, groups, sectors and village are in the Ministry's words.

    `members` are those of each snapshot. `kecamatan_code` is where it was registered.
    """

    nik: str
    name: str
    legal_entity_number: str
    legal_entity_date: date
    address: str
    village: str
    kecamatan_code: str
    kecamatan: str
    form: str
    type: str
    group: str
    sector: str
    members: tuple[Members, ...]
    conduct: Conduct
    meetings: tuple[Meeting, ...]
    move: Move | None = None

    @property
    def members_total(self) -> int:
        """Return how many members it has today."""
        return sum(self.members[-1])

    @property
    def troubled(self) -> bool:
        """Return whether it holds its meetings inconsistently or not at all."""
        return self.conduct in TROUBLED

    @property
    def village_code(self) -> str | None:
        """Return the code of the village where it was registered, None when the Ministry does not know it."""
        return resolve_village(self.kecamatan_code, self.village) if self.village else None

    def meeting(self, book_year: int) -> Meeting | None:
        """Return the meeting of a book year, or None."""
        return next((meeting for meeting in self.meetings if meeting.book_year == book_year), None)

    def kecamatan_at(self, as_of: date) -> str:
        """Return the code of the kecamatan its seat is in."""
        return (
            self.move.village.kecamatan_code if self.move and self.move.effective_on <= as_of else self.kecamatan_code
        )


@dataclass(frozen=True)
class Regency:
    """All cooperatives, by NIK."""

    cooperatives: tuple[Cooperative, ...]

    @cached_property
    def by_nik(self) -> dict[str, Cooperative]:
        """Return the cooperatives under their NIK."""
        return {cooperative.nik: cooperative for cooperative in self.cooperatives}

    @property
    def wagir(self) -> Cooperative:
        """Return the cooperative in Wagir that came to life again."""
        return self.by_nik[WAGIR_NIK]

    @property
    def on_paper(self) -> tuple[Cooperative, ...]:
        """Return those that exist on paper only."""
        return tuple(one for one in self.cooperatives if one.conduct is Conduct.ON_PAPER)


@cache
def regency() -> Regency:
    """Return the demonstration regency."""
    draw = Random(SEED)
    conducts = _conducts(draw)
    drafts = [
        _draft(Random(f"{SEED} {place.code} {index}"), place, conduct)
        for place in places()
        for index, conduct in enumerate(conducts[place.code])
    ]
    drafts.append(_wagir(Random(f"{SEED} Wagir")))
    drafts.sort(key=lambda draft: (draft.legal_entity_date, draft.nik, draft.name, draft.address))
    numbering, serials = Numbering(Random(f"{SEED} numbers")), _serials()
    numbered = [
        replace(
            draft,
            nik=f"{draft.nik}{next(serials[draft.kecamatan_code])}",
            legal_entity_number=numbering.number(draft.legal_entity_date),
        )
        for draft in drafts
    ]
    by_nik = {one.nik: one for one in sorted(numbered, key=lambda one: one.nik)}
    for changed in chain(_recorded_by_office(draw, by_nik), _moved(draw, by_nik)):
        by_nik[changed.nik] = changed
    return Regency(tuple(by_nik.values()))


def _conducts(draw: Random) -> dict[str, list[Conduct]]:
    """Share the troubled ones out, at least one to a kecamatan and more to larger ones, and the newcomers."""
    # Wagir's one place is kept free for the cooperative that is told of by name.
    sizes = {place.code: place.cooperatives - (place.code == "35.07.21") for place in places()}
    shares = {code: size * draw.randint(6, 15) for code, size in sizes.items()}
    troubled = dict.fromkeys(sizes, 1)
    while sum(troubled.values()) < TROUBLED_COUNT - 1:
        neediest = max(shares, key=lambda code: (shares[code] / troubled[code], code))
        troubled[neediest] += 1
    conducts = {
        code: [pick(draw, _TROUBLES) for _ in range(troubled[code])] + [Conduct.STEADY] * (size - troubled[code])
        for code, size in sizes.items()
    }
    steady = [(code, index) for code in sizes for index in range(troubled[code], sizes[code])]
    for code, index in draw.sample(steady, NEWCOMERS):
        conducts[code][index] = Conduct.NEWCOMER
    return conducts


def _draft(draw: Random, place: Place, conduct: Conduct) -> Cooperative:
    """Invent a cooperative; `nik` is so far only its beginning."""
    kind = NEWCOMER if conduct is Conduct.NEWCOMER else pick(draw, tuple((kind, kind.weight) for kind in KINDS))
    founded = _founded(draw, kind, conduct)
    secondary = kind.group == SECONDARY_GROUP
    slot = draw.randrange(len(place.villages))
    village_known = draw.randrange(100) < 82
    return Cooperative(
        nik=f"3507{place.bps_code}{slot + 2 if village_known else 1:02}",
        name=_name(draw, kind),
        legal_entity_number="",
        legal_entity_date=founded,
        address=_address(draw, place.villages[slot]),
        village=_written(draw, place.villages[slot]) if village_known else "",
        kecamatan_code=place.code,
        kecamatan=place.written,
        form=pick(draw, _SECONDARY_FORMS if secondary else _FORMS),
        type=pick(draw, kind.types),
        group=kind.group,
        sector=pick(draw, kind.sectors),
        members=_members(draw, kind, conduct),
        conduct=conduct,
        meetings=meetings(draw, conduct, founded.year, secondary=secondary),
    )


def _wagir(draw: Random) -> Cooperative:
    place = next(place for place in places() if place.code == "35.07.21")
    founded = date(2010, 6, 17)
    held = meetings(draw, Conduct.REVIVED, founded.year, secondary=False)
    return Cooperative(
        nik=f"3507{place.bps_code}05",
        name="Koperasi Tani Ngudi Saras",
        legal_entity_number="",
        legal_entity_date=founded,
        address="Dusun Krajan RT.03 RW.01",
        village=place.villages[3].name,
        kecamatan_code=place.code,
        kecamatan=place.written,
        form="Primer Kabupaten/Kota",
        type="Konsumen",
        group="Kop. Pertanian",
        sector="Pertanian, Kehutanan dan Perikanan",
        members=((19, 12),) * len(SNAPSHOTS),
        conduct=Conduct.REVIVED,
        meetings=(*held[:-1], Meeting(2023, date(2024, 9, 21), recorded_by_office=True)),
    )


def _founded(draw: Random, kind: Kind, conduct: Conduct) -> date:
    first, last = pick(draw, kind.founded)
    # Who lapsed has held a meeting before the window, so was founded before it.
    year = min(draw.randint(first, last), 2020) if conduct is Conduct.LAPSED else draw.randint(first, last)
    return date(year, 1, 4) + timedelta(days=draw.randrange(290 if year == TODAY.year else 358))


def _name(draw: Random, kind: Kind) -> str:
    words: list[str] = []
    for vocabulary in kind.words:
        words.append(draw.choice([word for word in vocabulary if word not in words]))
    title, proper = draw.choice(kind.titles), " ".join(words)
    style = draw.randrange(100)
    if style < 17:
        return f"{title} {proper}".upper()
    return f"{title} {proper.upper() if style < 29 else proper}"


def _address(draw: Random, village: Village) -> str:
    style, number, street = draw.randrange(100), draw.randint(1, 190), draw.choice(STREETS)
    hamlet, rt, rw = draw.choice(HAMLETS), draw.randint(1, 30), draw.randint(1, 9)
    if style < 11:
        return ""
    if style < 45:
        return f"Jl. Raya {village.name} No. {number}"
    if style < 75:
        return f"Jl. {street} {'No. ' if style < 65 else ''}{number}"
    return f"{'Dusun' if style < 90 else 'Dsn.'} {hamlet} RT.{rt:02} RW.{rw:02}"


def _written(draw: Random, village: Village) -> str:
    if draw.randrange(100) < 12:
        return f"{'Kelurahan' if village.is_kelurahan else 'Desa'} {village.name}"
    return village.name


def _members(draw: Random, kind: Kind, conduct: Conduct) -> tuple[Members, ...]:
    low, usual, high = kind.members
    share = 0 if kind.women == 0 else min(100, kind.women + (draw.randint(-10, 10) if kind.women < 100 else 0))
    if draw.randrange(100) < 55:
        total = draw.randint(low, usual)
    else:
        stretch = draw.randint(0, 1000)
        total = usual + (high - usual) * stretch * stretch // 1_000_000
    if conduct is Conduct.ON_PAPER or (conduct is Conduct.LAPSED and draw.randrange(100) < 50):
        total = 0
    men, women = total - total * share // 100, total * share // 100
    counted = [(men, women)]
    for _ in SNAPSHOTS[1:]:
        if conduct in (Conduct.STEADY, Conduct.NEWCOMER) and draw.randrange(100) < 9:
            change = draw.randint(-2, 6)
            men, women = (men, women + change) if women > men else (men + change, women)
        counted.append((men, women))
    return tuple(counted)


def _serials() -> dict[str, Iterator[int]]:
    return {place.code: iter(range(_FIRST_SERIAL, _FIRST_SERIAL + place.cooperatives)) for place in places()}


def _recorded_by_office(draw: Random, by_nik: dict[str, Cooperative]) -> Iterator[Cooperative]:
    """Let the office itself record the last meeting of one steady cooperative in every kecamatan."""
    for place in places():
        here = [one for one in by_nik.values() if one.kecamatan_code == place.code and one.conduct is Conduct.STEADY]
        # Many women's cooperatives share their names, and one of them is to be mistaken for another.
        chosen = draw.choice([one for one in here if one.group == "Kop. Wanita"] or here)
        *earlier, last = chosen.meetings
        yield replace(chosen, meetings=(*earlier, replace(last, recorded_by_office=True)))


def _moved(draw: Random, by_nik: dict[str, Cooperative]) -> Iterator[Cooperative]:
    candidates = [
        one
        for one in by_nik.values()
        if one.conduct is Conduct.STEADY and one.legal_entity_date.year < 2020 and one.group == "Kop. Serba Usaha"
    ]
    for one in draw.sample(candidates, MOVED):
        place = draw.choice([place for place in places() if place.code != one.kecamatan_code])
        village = draw.choice(place.villages)
        effective_on = date(2024, draw.randint(1, 9), draw.randint(1, 28))
        yield replace(one, move=Move(effective_on, village, f"Jl. Raya {village.name} No. {draw.randint(1, 190)}"))
