"""The office's performance sheet (keragaan): its columns. Dots between thousands, days as dd/mm/yyyy.

Whether it ticks a cooperative as active (`aktif`) is not read: what the office found on the spot is recorded as a
tracing, with its evidence and its day, and no sheet overrules it. The money columns are the business of rat.
"""

import re

from chassis.definitions import cells
from chassis.definitions.cells import DOT_THOUSANDS
from services.registry.domain.sheets import Sheet

ID = "idkop"
NAME = "nmkop"
VILLAGE = "kelurahan"
KECAMATAN = "kecamatan"
NUMBER = "nobh"
LEGAL_DATE = "tglbh"
MEMBERS = "Anggt"


def nik_of(cell: str) -> str | None:
    """Return the NIK in `idkop`: 13 digits; any other content is a number of the office's own and identifies nobody."""
    written = cells.text(cell)
    return written if written and re.fullmatch(r"[0-9]{13}", written) else None


SHEET = Sheet(
    source="office",
    columns={
        "nik": ID,
        "name": NAME,
        "village_code": VILLAGE,
        "kecamatan_code": KECAMATAN,
        "kecamatan_text": KECAMATAN,
        "legal_entity_number": NUMBER,
        "legal_entity_date": LEGAL_DATE,
        "members_total": MEMBERS,
    },
    needed=(NAME, NUMBER, LEGAL_DATE, KECAMATAN),
    numbers=DOT_THOUSANDS,
    nik=nik_of,
)
