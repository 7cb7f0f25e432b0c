"""How a report puts things: Bahasa Indonesia, dates and numbers as they are written in Indonesia."""

from datetime import date, datetime
from decimal import Decimal

from babel.dates import format_date
from babel.numbers import format_decimal

from chassis.definitions.clock import JAKARTA
from services.reporting.domain.camat_report import Line, RuleInForce, Year

LOCALE = "id_ID"

STATUS = {
    "healthy": "Sehat",
    "on_track": "Menuju sehat",
    "inconsistent": "Tidak rutin RAT",
    "lapsed": "Tidak RAT",
    "not_yet_due": "Belum wajib RAT",
}
EXISTENCE = {
    "registered": "Belum ditelusuri",
    "found": "Ditemukan, beroperasi",
    "moved": "Pindah alamat",
    "dormant": "Tidak beroperasi",
    "not_found": "Tidak ditemukan",
    "removal_proposed": "Diusulkan penghapusan",
}
STATE = {
    "on_time": "tepat waktu",
    "late": "melewati batas dinas",
    "attested": "diakui",
    "missed": "belum",
    "pending": "menunggu",
}
DOUBT = {
    "not_found": "tidak ditemukan saat penelusuran",
    "dormant": "ditemukan tidak beroperasi",
    "never_traced": "tidak RAT dan belum pernah ditelusuri",
}
NUMBER = {
    "registered": "terdaftar",
    "not_yet_due": "belum wajib RAT",
    "obliged": "wajib RAT",
    "healthy": "sehat",
    "on_track": "menuju sehat",
    "inconsistent": "tidak rutin RAT",
    "lapsed": "tidak RAT",
    "held_latest": "sudah RAT tahun buku terakhir",
    "not_found": "tidak ditemukan",
    "removal_proposed": "diusulkan penghapusan",
    "mentoring_open": "permohonan PUAS terbuka",
}
CLOSED = {"completed": "selesai didampingi", "declined": "ditolak", "redirected": "dialihkan"}

TICKS = ("Beroperasi", "Tidak beroperasi", "Pindah", "Tidak ada")
"""What a village ticks of a cooperative that is to be confirmed."""

NOTHING = "–"

_IN_WORDS = {1: "satu", 2: "dua", 3: "tiga", 4: "empat", 5: "lima"}


def day(value: date) -> str:
    """Return a date such as 14 November 2024."""
    return format_date(value, "d MMMM y", locale=LOCALE)


def short_day(value: date) -> str:
    """Return a date such as 14-11-2024."""
    return format_date(value, "dd-MM-y", locale=LOCALE)


def day_of_year(value: date) -> str:
    """Return the day of any year, such as 30 Juni."""
    return format_date(value, "d MMMM", locale=LOCALE)


def in_words(number: int) -> str:
    """Return a small number in a word, such as tiga."""
    return str(_IN_WORDS.get(number, number))


def moment(value: datetime) -> str:
    """Return a time such as 14 November 2024 pukul 09.30.05 WIB."""
    local = value.astimezone(JAKARTA)
    return f"{day(local.date())} pukul {local:%H.%M.%S} WIB"


def count(value: int) -> str:
    """Return a number such as 1.387."""
    return str(format_decimal(value, locale=LOCALE))


def percent(value: float | None) -> str:
    """Return a percentage such as 76,4%."""
    return NOTHING if value is None else f"{format_decimal(Decimal(str(value)), '#,##0.0', locale=LOCALE)}%"


def points(now: float | None, before: float | None) -> str:
    """Return by how many percentage points something rose or fell, such as +1,2 or −0,4."""
    if now is None or before is None:
        return NOTHING
    difference = Decimal(str(now)) - Decimal(str(before))
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return f"{sign}{format_decimal(abs(difference), '#,##0.0', locale=LOCALE)}"


def period(name: str) -> str:
    """Return a period in words, such as Triwulan III 2026."""
    year, _, part = name.partition("-")
    roman = {"1": "I", "2": "II", "3": "III", "4": "IV"}
    if part[0] == "Q":
        return f"Triwulan {roman[part[1]]} {year}"
    if part[0] == "S":
        return f"Semester {roman[part[1]]} {year}"
    return format_date(date(int(year), int(part), 1), "MMMM y", locale=LOCALE)


def held(line: Line, book_year: int) -> str:
    """Return how a book year of a cooperative stands, in a cell's few words."""
    year = next((each for each in line.book_years if each.book_year == book_year), None)
    return NOTHING if year is None else _held(year)


def _held(year: Year) -> str:
    if year.held_on is None:
        return STATE[year.state]
    return f"{short_day(year.held_on)} *" if year.state == "late" else short_day(year.held_on)


def legend(rule: RuleInForce) -> str:
    """Return what the cells of the list mean."""
    primary, secondary = day_of_year(rule.primary_deadline), day_of_year(rule.secondary_deadline)
    deadline = primary if primary == secondary else f"{primary}, sekunder {secondary}"
    return (
        f"Tanggal: hari RAT dilaksanakan; * melewati batas dinas ({deadline}); diakui: menurut peringkat NIK, tanpa"
        f" tanggal; belum: belum melaksanakan RAT; menunggu: belum jatuh tempo; {NOTHING} di luar masa penilaian."
    )


def listed(names: list[str], total: int) -> str:
    """Return a few names of `total`, such as A, B dan 3 lainnya."""
    others = total - len(names)
    if others:
        return f"{', '.join(names)} dan {count(others)} lainnya"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} dan {names[-1]}"
