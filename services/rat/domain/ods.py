"""The Ministry's export (ODS): what a row says about meetings."""

from collections.abc import Mapping

from chassis.definitions import cells
from chassis.definitions.cells import COMMA_THOUSANDS, BadCell, RowProblem
from services.rat.domain.annual_meetings import Minutes
from services.rat.domain.imports import Reading, Sheet, day_of_meeting, members

NIK = "Nomor Induk Koperasi (NIK)"
NUMBER = "Nomor Badan Hukum Pendirian"
LAST_MEETING = "Tanggal RAT Terakhir"
GRADE = "Status Grade"
MEMBERS = "Total Anggota"

NUMBERS = COMMA_THOUSANDS

ATTESTING_GRADE = "A"
ATTESTED_YEARS = 2
"""Grade A: results reported for the last three book years in a row (the Ministry's own page on grades)."""


def read_row(row: int, row_cells: Mapping[str, str]) -> Reading:
    """Read one row of the export; `row_cells` has the needed columns and any of the optional ones.

    Only the date can be wrong here: an unreadable number of members is the registry's business, and null.
    """
    nik, number = cells.text(row_cells[NIK]), cells.text(row_cells[NUMBER])
    try:
        held_on = day_of_meeting(row_cells[LAST_MEETING])
    except BadCell as bad:
        return Reading(row, nik, number, problems=[RowProblem(row, LAST_MEETING, row_cells[LAST_MEETING], str(bad))])
    if held_on is None:
        return Reading(row, nik, number)
    attests = row_cells[GRADE].strip().upper() == ATTESTING_GRADE
    minutes = Minutes(held_on=held_on, members_total=members(row_cells.get(MEMBERS, ""), NUMBERS))
    return Reading(row, nik, number, minutes, ATTESTED_YEARS if attests else 0)


SHEET = Sheet(
    needed=(NIK, NUMBER, LAST_MEETING, GRADE),
    optional=(MEMBERS,),
    numbers=NUMBERS,
    columns={"nik": NIK, "number": NUMBER, "held_on": LAST_MEETING},
    read_row=read_row,
)
