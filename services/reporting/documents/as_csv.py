"""The cooperatives of a camat report as CSV: a row each, every row with what the numbers stand on."""

import csv
import io
from collections.abc import Iterator

from contracts.envelope import timestamp
from services.reporting.documents import wording
from services.reporting.domain.camat_report import Report

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(report: Report) -> bytes:
    """Return the list as CSV in UTF-8, RFC 4180."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows([harmless(cell) for cell in row] for row in _rows(report))
    return file.getvalue().encode()


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: a name may begin like one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(report: Report) -> Iterator[list[str]]:
    yield [
        *("no", "kode_kecamatan", "kecamatan", "kode_desa", "desa_kelurahan", "id_koperasi", "nama_koperasi", "nik"),
        *("status", "temuan_lapangan", "puas_terbuka"),
        *(f"rat_tb_{year}" for year in report.book_years),
        *(f"tanggal_rat_tb_{year}" for year in report.book_years),
        *("keadaan_per", "tercatat_sampai", "kebijakan", "peristiwa_terakhir"),
    ]
    read = " ".join(f"{service}:{position}" for service, position in report.positions.items())
    stamp = (report.as_of.isoformat(), timestamp(report.known_at), report.policy, read)
    for number, line in enumerate(report.cooperatives, 1):
        years = {year.book_year: year for year in line.book_years}
        of_years = [years.get(year) for year in report.book_years]
        yield [
            *(str(number), report.kecamatan_code, report.name, line.village_code or "", line.village or ""),
            *(str(line.cooperative_id), line.name, line.nik or ""),
            *(wording.STATUS[line.status], wording.EXISTENCE[line.existence], "ya" if line.mentoring_open else "tidak"),
            *(wording.STATE[year.state] if year else "" for year in of_years),
            *(year.held_on.isoformat() if year and year.held_on else "" for year in of_years),
            *stamp,
        ]
