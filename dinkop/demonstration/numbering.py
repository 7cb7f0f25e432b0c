"""Legal entity numbers (nomor badan hukum) in the pattern of each era, with numerals nobody was ever given."""

from datetime import date
from random import Random

_MONTHS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")

# Where each register's running numbers start here: far above the last one that was really given out.
_STARTS = {"II": 21_001, "KWK": 3_001, "KDK": 1_001, "KEP": 3_001, "XVI": 1_001, "KUKM": 91_001, "AHU": 900_001}


class Numbering:
    """Gives out legal entity numbers in ascending order; call it in order of dates."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._last = {register: start - 1 for register, start in _STARTS.items()}

    def number(self, on: date) -> str:
        """Return the number of a cooperative founded on a day, now and then with blanks or mistyped as they are."""
        year, month = on.year, roman_month(on)
        if year <= 1996:
            n = self._next("II")
            return f"{n}/BH/II/17-{year}" if self._draw.randrange(3) == 0 else f"{n}/BH/II/{year}"
        if year == 1997:
            return f"{self._next('KWK')}/BH/KWK.13/{month}/{self._short(year)}"
        if year <= 2000:
            return f"{self._next('KDK')}/BH/KDK.13.13/{month}/{self._short(year)}"
        if year <= 2006:
            return f"180/{self._next('KEP')}/KOP/KEP/421.012/{year}"
        if year <= 2016:
            dirt = self._draw.randrange(100)
            register = "XV.14" if dirt == 0 else "XVI-14" if dirt == 1 else "XVI.14"
            return f"{self._next('XVI')}/BH/{register}/{f' {month} ' if dirt >= 92 else month}/{year}"
        if year <= 2018:
            return f"{self._next('KUKM'):06}/BH/M.KUKM.2/{month}/{year}"
        return f"AHU-{self._next('AHU'):07}.AH.01.{26 if year <= 2021 else 29}.TAHUN {year}"

    def _next(self, register: str) -> int:
        self._last[register] += self._draw.randint(1, 2)
        return self._last[register]

    def _short(self, year: int) -> str:
        return f"{year % 100:02}" if self._draw.randrange(3) == 0 else str(year)


def roman_month(on: date) -> str:
    """Return the month as Indonesian letters number it."""
    return _MONTHS[on.month - 1]
