"""The Ministry's export (ODS): which columns it has, and what a row says."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chassis.definitions import cells
from chassis.definitions.cells import COMMA_THOUSANDS, BadCell, RowProblem
from services.registry.domain.cooperative import Listing
from services.registry.domain.imports import Reading

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

NEEDED = (NAME, NUMBER, LEGAL_DATE, KECAMATAN, NIK)
OPTIONAL = (VILLAGE, FORM, TYPE, GROUP, SECTOR, ADDRESS, MEMBERS, GRADE)

COLUMN_OF = {
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
}

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
_VOCABULARIES = ((FORM, _FORMS), (TYPE, _TYPES), (GRADE, _GRADES))
_TEXTS = (("name", NAME), ("legal_entity_number", NUMBER), ("group", GROUP), ("sector", SECTOR), ("address", ADDRESS))
_LISTING: TypeAdapter[Listing] = TypeAdapter(Listing)


def read_row(
    row: int,
    row_cells: Mapping[str, str],
    resolve_kecamatan: Callable[[str], str | None],
    resolve_village: Callable[[str, str], str | None],
) -> Reading:
    """Read one row of the export; `row_cells` has the NEEDED columns and any of the OPTIONAL ones.

    The resolvers return the code of a kecamatan by its name, and of a village by kecamatan code and name, or
    None. A kecamatan without a code keeps its text and gives a warning; so does a word outside a vocabulary.
    """
    values: dict[str, Any] = {}
    problems: list[RowProblem] = []
    warnings: list[RowProblem] = []

    for name, column in _TEXTS:
        if words := cells.text(row_cells.get(column, "")):
            values[name] = words
    nik = cells.text(row_cells[NIK])
    if nik:
        values["nik"] = nik
    try:
        if legal_date := cells.day(row_cells[LEGAL_DATE]):
            values["legal_entity_date"] = legal_date
    except BadCell as bad:
        problems.append(RowProblem(row, LEGAL_DATE, row_cells[LEGAL_DATE], str(bad)))
    try:
        members = COMMA_THOUSANDS.whole(row_cells.get(MEMBERS, ""))
        if members is not None:
            values["members_total"] = members
    except BadCell as bad:
        problems.append(RowProblem(row, MEMBERS, row_cells[MEMBERS], str(bad)))
    for column, vocabulary in _VOCABULARIES:
        word = cells.text(row_cells.get(column, ""))
        if word is None:
            continue
        if meaning := vocabulary.get(word.casefold()):
            values.update(meaning)
        else:
            warnings.append(RowProblem(row, column, word, "is not a word of this column's vocabulary"))
    if kecamatan := cells.text(row_cells[KECAMATAN]):
        code = resolve_kecamatan(kecamatan)
        if code:
            values |= {"kecamatan_code": code, "kecamatan_text": None}
            village = cells.text(row_cells.get(VILLAGE, ""))
            if village and (village_code := resolve_village(code, village)):
                values["village_code"] = village_code
        else:
            values["kecamatan_text"] = kecamatan
            warnings.append(RowProblem(row, KECAMATAN, kecamatan, "is no kecamatan of this regency"))

    number = values.get("legal_entity_number")
    if "name" not in values:
        problems.append(RowProblem(row, NAME, None, "the name is missing"))
    if not nik and not number:
        problems.append(RowProblem(row, NIK, None, "neither a NIK nor a legal entity number says which one it is"))
    try:
        listing = _LISTING.validate_python(values)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_context=False):
            column = COLUMN_OF[str(error["loc"][0])]
            what = "is not 13 digits" if column == NIK else error["msg"].removeprefix("Value error, ")
            problems.append(RowProblem(row, column, row_cells.get(column), what))
        listing = None
    if problems:
        return Reading(row, nik, number, None, problems)
    return Reading(row, nik, number, listing, (), warnings)
