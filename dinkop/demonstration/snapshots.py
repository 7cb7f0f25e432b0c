"""The Ministry's yearly exports of the invented regency, in the shape of the real ones."""

import csv
import io
from datetime import date

from dinkop.demonstration.histories import Meeting
from dinkop.demonstration.regency import SNAPSHOTS, Cooperative, Regency

HEADER = (
    *("Koperasi", "Nomor Badan Hukum Pendirian", "Tanggal Badan Hukum Pendirian"),
    *("Nomor Perubahan Anggaran Dasar (Terbaru)", "Tanggal Perubahan Anggaran Dasar (Terbaru)"),
    *("Tanggal RAT Terakhir", "Alamat", "Kelurahan / Desa", "Kecamatan", "Kabupaten", "Provinsi"),
    *("Bentuk Koperasi", "Jenis Koperasi", "Kelompok Koperasi", "Sektor Usaha"),
    *("Jumlah Anggota Pria", "Jumlah Anggota Wanita", "Total Anggota", "Total Manajer", "Total Karyawan"),
    *("Nomor Induk Koperasi (NIK)", "Status NIK", "Tanggal Berlaku Sertifikat", "Status Grade", "Sertifikat (daftar)"),
)
"""The columns of the Ministry's list and detail pages, without those that name people."""

BLANK = " "


def ods_csv(regency: Regency, as_of: date) -> bytes:
    """Return the Ministry's export on one of the days of SNAPSHOTS: UTF-8, comma-separated, thousands with a comma.

    It has the cooperatives founded by then, each with its last meeting and the grade its meetings have earned.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(
        _row(cooperative, as_of) for cooperative in regency.cooperatives if cooperative.legal_entity_date <= as_of
    )
    return file.getvalue().encode()


def grade(cooperative: Cooperative, as_of: date) -> str:
    """Return the Ministry's grade (domain notes, NIK grades), from the meetings it knows of.

    An A that has just been lost stays for a while with every third: the Ministry is slow to take it away. Even
    then the last meeting and the two book years before it were held, so an A never attests too much.
    """
    known = {meeting.book_year for meeting in _known(cooperative, as_of)}
    last_three = {as_of.year - 1, as_of.year - 2, as_of.year - 3}
    the_three_before = {year - 1 for year in last_three}
    if last_three <= known or (the_three_before <= known and max(known) < max(last_three) and _slow(cooperative)):
        return "A"
    match len(last_three & known):
        case 2:
            return "B"
        case 1:
            return "C1" if as_of.year - cooperative.legal_entity_date.year <= 3 else "C2"
        case _:
            return "D"


def _row(cooperative: Cooperative, as_of: date) -> tuple[str, ...]:
    men, women = cooperative.members[SNAPSHOTS.index(as_of)]
    last = max((meeting.held_on for meeting in _known(cooperative, as_of)), default=None)
    certified_until = _certified_until(cooperative, last)
    certificate = "Sudah Bersertifikat" if certified_until else "Belum Bersertifikat"
    return (
        cooperative.name,
        cooperative.legal_entity_number,
        _written(cooperative.legal_entity_date),
        BLANK,
        BLANK,
        _written(last),
        cooperative.address or BLANK,
        cooperative.village or BLANK,
        cooperative.kecamatan,
        "Kab. Malang",
        "Jawa Timur",
        cooperative.form,
        cooperative.type,
        cooperative.group,
        cooperative.sector,
        f"{men:,}",
        f"{women:,}",
        f"{men + women:,}",
        "1" if men + women >= 400 else "0",
        str((men + women) // 90),
        cooperative.nik,
        "Sertifikat - Expired" if certified_until and certified_until < as_of else certificate,
        _written(certified_until),
        grade(cooperative, as_of),
        certificate,
    )


def _known(cooperative: Cooperative, as_of: date) -> tuple[Meeting, ...]:
    return tuple(
        meeting for meeting in cooperative.meetings if meeting.held_on <= as_of and not meeting.recorded_by_office
    )


def _slow(cooperative: Cooperative) -> bool:
    return int(cooperative.nik) % 3 == 0


def _certified_until(cooperative: Cooperative, last: date | None) -> date | None:
    if last is None or _slow(cooperative):
        return None
    return date(last.year + 1, cooperative.legal_entity_date.month, min(cooperative.legal_entity_date.day, 28))


def _written(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else BLANK
