"""The Ministry's export (ODS): its columns and words. Commas between thousands, days as dd/mm/yyyy."""

from collections.abc import Mapping

from chassis.definitions.cells import COMMA_THOUSANDS
from services.registry.domain.sheets import Sheet

NAME = "Koperasi"
NUMBER = "Nomor Badan Hukum Pendirian"
LEGAL_DATE = "Tanggal Badan Hukum Pendirian"
KECAMATAN = "Kecamatan"
NIK = "Nomor Induk Koperasi (NIK)"
VILLAGE = "Kelurahan / Desa"
FORM = "Bentuk Koperasi"
TYPE = "Jenis Koperasi"
GROUP = "Kelompok Koperasi"
SECTOR = "Sektor Usaha"
ADDRESS = "Alamat"
MEMBERS = "Total Anggota"
GRADE = "Status Grade"

_FORMS: dict[str, Mapping[str, str]] = {
    f"{tier_word} {scope_word}": {"tier": tier, "scope": scope}
    for tier_word, tier in (("primer", "primary"), ("sekunder", "secondary"))
    for scope_word, scope in (("kabupaten/kota", "regency"), ("provinsi", "province"), ("nasional", "national"))
}
_TYPES = {
    "konsumen": {"type": "consumer"},
    "simpan pinjam": {"type": "savings_and_loan"},
    "produsen": {"type": "producer"},
    "pemasaran": {"type": "marketing"},
    "jasa": {"type": "service"},
}
_GRADES = {grade.casefold(): {"nik_grade": grade} for grade in ("A", "B", "C1", "C2", "D")}

SHEET = Sheet(
    source="ods",
    columns={
        "name": NAME,
        "legal_entity_number": NUMBER,
        "legal_entity_date": LEGAL_DATE,
        "kecamatan_code": KECAMATAN,
        "kecamatan_text": KECAMATAN,
        "village_code": VILLAGE,
        "nik": NIK,
        "tier": FORM,
        "scope": FORM,
        "type": TYPE,
        "group": GROUP,
        "sector": SECTOR,
        "address": ADDRESS,
        "members_total": MEMBERS,
        "nik_grade": GRADE,
    },
    needed=(NAME, NUMBER, LEGAL_DATE, KECAMATAN, NIK),
    numbers=COMMA_THOUSANDS,
    vocabularies={FORM: _FORMS, TYPE: _TYPES, GRADE: _GRADES},
)
