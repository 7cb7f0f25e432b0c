"""The stories of camat reports: one for every kecamatan, some acknowledged, some followed up."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from contracts.regions import all_kecamatan
from dinkop.demonstration.calls import COOPERATIVE_ID, REPORT_ID, Body, Call
from dinkop.demonstration.histories import LATEST_BOOK_YEAR, Conduct
from dinkop.demonstration.letters import working_day
from dinkop.demonstration.regency import SEED, TODAY, WAGIR_NIK, Cooperative, Regency

PERIOD, LAST_DAY, ISSUED_ON = "2024-Q3", date(2024, 9, 30), date(2024, 10, 7)
WAGIR = "35.07.21"
FOLLOW_UPS = 3

_OF_THE_SILENT = (
    ("Pengurus diundang ke kantor kecamatan", "Pengurus hadir dan berjanji melaksanakan RAT sebelum akhir tahun."),
    ("Surat camat agar segera melaksanakan RAT", "Disampaikan melalui kepala desa."),
    ("Kunjungan bersama kepala desa", "Pengurus ditemui; laporan keuangan belum selesai, disarankan memohon PUAS."),
    ("Rapat koordinasi pengurus dan desa", "Desa menyediakan balai untuk RAT."),
)
_OF_THE_GONE = (
    ("Keberadaan koperasi dicek bersama perangkat desa", "Papan nama dan pengurus tidak ditemukan."),
    ("Surat keterangan desa diminta", "Desa akan menerbitkan surat keterangan keberadaan koperasi."),
)
_OF_WAGIR = (
    "Kunjungan ke kios pupuk koperasi",
    "Camat menyampaikan apresiasi; dijadikan contoh bagi desa lain.",
)


def every_camat_gets_a_report(regency: Regency) -> Iterator[Call]:
    """Every kecamatan gets a report; two of five camats acknowledge it, and half of those act."""
    for number, kecamatan in enumerate(all_kecamatan()):
        draw = Random(f"{SEED} camat {kecamatan.code}")
        issued = {"kecamatan_code": kecamatan.code, "period": PERIOD, "issued_on": ISSUED_ON.isoformat()}
        yield Call("reporting", kecamatan.code, "/v1/camat-reports", issued)
        if number % 5 not in (0, 3):
            continue
        day = working_day(ISSUED_ON + timedelta(days=draw.randint(1, 12)))
        yield _about_report(kecamatan.code, "acknowledgements", {"acknowledged_on": day.isoformat()})
        for cooperative in _followed_up(regency, kecamatan.code) if number % 5 == 0 else ():
            day = min(working_day(day + timedelta(days=draw.randint(2, 8))), TODAY)
            action, notes = _action(draw, cooperative)
            done: Body = {"action": action, "done_on": day.isoformat(), "notes": notes}
            body = {"cooperative_id": COOPERATIVE_ID, **done}
            yield _about_report(kecamatan.code, "follow-ups", body, cooperative.nik)


def _followed_up(regency: Regency, kecamatan_code: str) -> list[Cooperative]:
    """Return a few of those that had not met by the day the report shows; in Wagir also the one that did at last."""
    silent = [
        one
        for one in regency.cooperatives
        if one.kecamatan_at(LAST_DAY) == kecamatan_code and one.troubled and not one.meeting(LATEST_BOOK_YEAR)
    ]
    met = [regency.wagir] if kecamatan_code == WAGIR else []
    return [*met, *silent[: FOLLOW_UPS - len(met)]]


def _action(draw: Random, cooperative: Cooperative) -> tuple[str, str]:
    if cooperative.nik == WAGIR_NIK:
        return _OF_WAGIR
    return draw.choice(_OF_THE_GONE if cooperative.conduct is Conduct.ON_PAPER else _OF_THE_SILENT)


def _about_report(kecamatan_code: str, what: str, body: Body, nik: str | None = None) -> Call:
    return Call("reporting", kecamatan_code, f"/v1/camat-reports/{REPORT_ID}/{what}", body, nik)
