"""The stories of the register: who moved, whose name was mended, whom officers found, who is to be removed."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from dinkop.demonstration.calls import Body, Call, about_cooperative
from dinkop.demonstration.histories import Conduct
from dinkop.demonstration.letters import office_letter, village_letter, working_day
from dinkop.demonstration.regency import SEED, Cooperative, Regency

NAMES_CORRECTED = 3

PROPOSED_NIK = "3507240028032"
"""A women's cooperative in Tumpang that exists on paper only; its removal is proposed and not decided."""

REFUSED_NIK = "3507160168039"
"""One in Kepanjen, whose removal the Ministry refused."""

ON_PAPER_IN_WAGIR_NIK = "3507210088033"

_TOLD_BY_THEMSELVES = (PROPOSED_NIK, REFUSED_NIK)
_LAST_TRACING = date(2024, 11, 12)

_NOBODY = {"signboard_found": False, "office_found": False, "members_reached": False, "operating": False}
_SIGNBOARD = _NOBODY | {"signboard_found": True}
_OFFICE = _NOBODY | {"signboard_found": True, "office_found": True}
_MEMBERS = _NOBODY | {"members_reached": True}
ASLEEP = {"signboard_found": True, "office_found": True, "members_reached": True, "operating": False}
AT_WORK = ASLEEP | {"operating": True}

_GONE = (
    "Alamat ditempati rumah warga; papan nama tidak ditemukan dan tetangga tidak mengenal koperasi ini.",
    "Bangunan kosong, papan nama sudah tidak ada. Pengurus tidak dapat ditemui.",
    "Alamat tidak ditemukan; ketua RT menyatakan belum pernah mengetahui adanya koperasi ini.",
    "Lokasi sudah menjadi toko. Pemilik toko tidak mengetahui keberadaan pengurus koperasi.",
)
_STILL_GONE = "Didatangi kembali bersama perangkat desa; desa menerangkan bahwa koperasi tidak pernah beroperasi."
_OLD_SIGNBOARD = "Papan nama lama masih terpasang, tetapi tidak ada kantor, pengurus, maupun kegiatan usaha."
_SLEEPING = (
    "Kantor terkunci. Menurut tetangga tidak ada kegiatan usaha sejak pandemi.",
    "Mantan sekretaris dapat ditemui; usaha berhenti karena piutang anggota macet.",
)
_MOVED = "Kantor berpindah ke rumah bendahara di desa yang sama; usaha simpan pinjam kecil masih berjalan."
_WORKING = "Kantor buka dan usaha berjalan; RAT belum terlaksana karena laporan keuangan belum selesai."


def cooperatives_move(regency: Regency) -> Iterator[Call]:
    """Some move to another kecamatan."""
    for cooperative in regency.cooperatives:
        if move := cooperative.move:
            yield about_cooperative(
                "registry",
                cooperative,
                "relocations",
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
        changes = {"changes": {"name": cooperative.name.title()}, "reason": "Nama disesuaikan dengan akta pendirian"}
        yield about_cooperative("registry", cooperative, "corrections", changes)


def some_exist_on_paper_only(regency: Regency) -> Iterator[Call]:
    """Of those that exist on paper only, officers went twice to see a third, and once another third.

    The second time they came with the village, which gave a letter: only those whose village is known are traced.
    """
    on_paper = [one for one in regency.on_paper if one.village_code and one.nik not in _TOLD_BY_THEMSELVES]
    for number, cooperative in enumerate(on_paper):
        draw = Random(f"{SEED} tracing {cooperative.nik}")
        twice = number % 3 == 0 or cooperative.nik == ON_PAPER_IN_WAGIR_NIK
        first_on = working_day(date(2023, 9, 4) + timedelta(days=draw.randrange(220)))
        if twice or number % 3 == 1:
            evidence, notes = (_SIGNBOARD, _OLD_SIGNBOARD) if number % 5 == 4 else (_NOBODY, draw.choice(_GONE))
            yield traced(cooperative, first_on, evidence, notes)
        if twice:
            again_on = working_day(first_on + timedelta(days=draw.randint(35, 200)))
            yield traced(cooperative, again_on, _NOBODY, _STILL_GONE, letter=draw.randint(60, 390))


def officers_look_for_the_silent(regency: Regency) -> Iterator[Call]:
    """Of those that met before and do so no more, officers visit some: they find most asleep, a few moved or awake."""
    for number, cooperative in enumerate(_lapsed(regency)):
        draw = Random(f"{SEED} tracing {cooperative.nik}")
        traced_on = min(working_day(date(2024, 2, 1) + timedelta(days=draw.randrange(280))), _LAST_TRACING)
        if cooperative.members_total and number % 4 == 0:
            yield traced(cooperative, traced_on, AT_WORK, _WORKING)
        elif cooperative.members_total and number % 8 == 6:
            # That it moved is for the officer to say: no evidence tells it.
            yield traced(cooperative, traced_on, _MEMBERS | {"operating": True}, _MOVED, finding="moved")
        elif number % 2 == 0:
            yield traced(cooperative, traced_on, draw.choice((_OFFICE, _MEMBERS)), draw.choice(_SLEEPING))


def a_removal_is_proposed(regency: Regency) -> Iterator[Call]:
    """One that two visits did not find is to be removed; the Ministry has not decided yet."""
    gone = regency.by_nik[PROPOSED_NIK]
    yield traced(gone, date(2024, 4, 17), _NOBODY, _GONE[0])
    yield traced(gone, date(2024, 7, 23), _NOBODY, _STILL_GONE, letter=118)
    yield _proposed(gone, 1_243, date(2024, 9, 9), "Dua kali ditelusuri dan tidak ditemukan; desa membenarkan")


def a_removal_is_refused(regency: Regency) -> Iterator[Call]:
    """Another one stays in the register, for the Ministry refused; the next visit finds as little as those before."""
    gone = regency.by_nik[REFUSED_NIK]
    yield traced(gone, date(2023, 5, 16), _NOBODY, _GONE[1])
    yield traced(gone, date(2023, 6, 20), _NOBODY, _STILL_GONE, letter=204)
    yield _proposed(gone, 1_017, date(2023, 7, 17), "Dua kali ditelusuri dan tidak ditemukan; tidak pernah RAT")
    decision = {
        "decision": "rejected",
        "decree_number": "27/SES.DEP.1/II/2024",
        "decided_on": "2024-02-06",
        "authority": "Kementerian Koperasi dan UKM",
    }
    yield about_cooperative("registry", gone, "removal-decisions", decision)
    yield traced(gone, date(2024, 8, 13), _NOBODY, _GONE[2])


def traced(
    cooperative: Cooperative,
    on: date,
    evidence: Body,
    notes: str,
    *,
    letter: int | None = None,
    finding: str | None = None,
) -> Call:
    """Return what officers found on a day; `letter` is the number of the village's, if it gave one."""
    body: Body = {"traced_on": on.isoformat(), **evidence, "notes": notes}
    if letter and (code := cooperative.village_code):
        body["village_letter_number"] = village_letter(letter, code, on)
    if finding:
        body["finding"] = finding
    return about_cooperative("registry", cooperative, "tracings", body)


def _proposed(cooperative: Cooperative, number: int, on: date, grounds: str) -> Call:
    letter = {"letter_number": office_letter(number, on), "letter_date": on.isoformat(), "grounds": grounds}
    return about_cooperative("registry", cooperative, "removal-proposals", letter)


def _lapsed(regency: Regency) -> list[Cooperative]:
    return [one for one in regency.cooperatives if one.conduct is Conduct.LAPSED]
