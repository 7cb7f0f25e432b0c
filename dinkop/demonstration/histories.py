"""When the invented cooperatives held their annual members' meetings."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from random import Random

from dinkop.demonstration.vocabulary import Weighted

EARLIEST_BOOK_YEAR = 2013
LATEST_BOOK_YEAR = 2023
WINDOW = (2021, 2022, 2023)


class Conduct(Enum):
    """How a cooperative keeps its annual meetings. All but the first two fail the rule on the demonstration's day."""

    STEADY = "held every year of the window"
    NEWCOMER = "founded lately, and held every year since"
    IRREGULAR = "held some years of the window"
    LAPSED = "held none of the window, but some before it"
    ON_PAPER = "never held any, and has no members"
    REVIVED = "held 2019, missed three years, held 2023 late"


TROUBLED = (Conduct.IRREGULAR, Conduct.LAPSED, Conduct.ON_PAPER, Conduct.REVIVED)


@dataclass(frozen=True, slots=True)
class Meeting:
    """An annual meeting, always held in the year after its book year.

    One the office recorded is not yet known to the Ministry.
    """

    book_year: int
    held_on: date
    recorded_by_office: bool = False


# Share of the months in which meetings were held in the regency in 2021; secondary cooperatives have until June.
_PRIMARY_MONTHS: Weighted[int] = (
    *((1, 134), (2, 150), (3, 134), (4, 22), (5, 12), (6, 9)),
    *((7, 5), (8, 5), (9, 4), (10, 2)),
)
_SECONDARY_MONTHS: Weighted[int] = ((2, 1), (3, 4), (4, 4), (5, 4), (6, 4), (7, 1))

_IRREGULAR_PATTERNS: Weighted[tuple[int, ...]] = (
    *(((2021, 2022), 30), ((2021,), 22), ((2022, 2023), 14), ((2021, 2023), 14), ((2022,), 8), ((2023,), 12)),
)
# Out of a hundred; few met in 2020 for book year 2019, the first year of the pandemic.
_HELD_BEFORE = {Conduct.STEADY: 92, Conduct.IRREGULAR: 66, Conduct.LAPSED: 70}
_FEWER_IN_2020 = 18


def meetings(draw: Random, conduct: Conduct, founded: int, *, secondary: bool) -> tuple[Meeting, ...]:
    """Return the meetings of a cooperative founded in a year, oldest first."""
    return tuple(Meeting(year, _held_on(draw, year, secondary)) for year in _book_years(draw, conduct, founded))


def _book_years(draw: Random, conduct: Conduct, founded: int) -> tuple[int, ...]:
    first = max(founded, EARLIEST_BOOK_YEAR)
    match conduct:
        case Conduct.ON_PAPER:
            return ()
        case Conduct.REVIVED:
            return (*range(max(first, 2016), 2020), LATEST_BOOK_YEAR)
        case Conduct.NEWCOMER:
            return tuple(range(first, LATEST_BOOK_YEAR + 1))
        case Conduct.LAPSED:
            last = draw.randint(max(first, 2015), WINDOW[0] - 1)
            return (*_before(draw, conduct, first, last), last)
        case Conduct.IRREGULAR:
            kept = pick(draw, _IRREGULAR_PATTERNS)
            return (*_before(draw, conduct, first, WINDOW[0]), *kept)
        case Conduct.STEADY:
            return (*_before(draw, conduct, first, WINDOW[0]), *WINDOW)


def _before(draw: Random, conduct: Conduct, first: int, end: int) -> tuple[int, ...]:
    chance = _HELD_BEFORE[conduct]
    return tuple(
        year for year in range(first, end) if draw.randrange(100) < chance - (_FEWER_IN_2020 if year == 2019 else 0)
    )


def _held_on(draw: Random, book_year: int, secondary: bool) -> date:
    month = pick(draw, _SECONDARY_MONTHS if secondary else _PRIMARY_MONTHS)
    return date(book_year + 1, month, 1) + timedelta(days=draw.randrange(28))


def pick[T](draw: Random, weighted: Weighted[T]) -> T:
    """Return one of the values, by weight."""
    return draw.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]
