"""How letters are numbered, and on which days an office works."""

from datetime import date, timedelta

_SATURDAY = 5
_TO_MONDAY = 7


def office_letter(number: int, on: date) -> str:
    """Return the number of a letter of the cooperative office."""
    return f"518/{number}/35.07.110/{on.year}"


def camat_letter(number: int, kecamatan_code: str, on: date) -> str:
    """Return the number of a camat's letter about cooperatives."""
    return f"518/{number}/{kecamatan_code}/{on.year}"


def village_letter(number: int, village_code: str, on: date) -> str:
    """Return the number of a village's letter that certifies something."""
    return f"470/{number}/{village_code}/{on.year}"


def working_day(on: date) -> date:
    """Return the day, or the Monday after it when it lies on a weekend."""
    return on if on.weekday() < _SATURDAY else on + timedelta(days=_TO_MONDAY - on.weekday())
