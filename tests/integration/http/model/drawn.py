"""What the office's days are made of: dates near those on which something turns, few places, values that meet again."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

from contracts.regions import all_kecamatan, villages

TURNS = [(1, 1), (3, 31), (4, 1), (6, 30), (7, 1), (12, 30), (12, 31)]
FIRST, LAST = date(2018, 1, 1), date(2024, 12, 31)
"""Today is 14 November 2024, so a few days lie ahead, when nothing can have happened yet."""

turning_days = st.builds(lambda year, turn: date(year, *turn), st.integers(2018, 2024), st.sampled_from(TURNS))
some_day = st.one_of(turning_days, st.dates(FIRST, LAST))
lately = st.dates(date(2021, 1, 1), LAST)
long_ago = st.dates(date(2008, 1, 1), date(2017, 12, 31))
birthdays = st.one_of(long_ago, long_ago, some_day)

names = st.sampled_from(["Koperasi Melati", "Koperasi Anggrek", "Koperasi Kenanga"])
tiers = st.sampled_from(["primary", "primary", "secondary"])
scopes = st.sampled_from(["regency", "regency", "province", "national"])
findings = st.sampled_from(["found", "moved", "dormant", "not_found"])
numbers = st.integers(1, 40)
"""Of legal entities and NIKs: few enough to be taken now and then."""

CODES = [each.code for each in all_kecamatan()]
codes = st.sampled_from([*["35.07.16", "35.07.21", "35.07.33"] * 10, *CODES])
villages_told = st.sampled_from([None, "of the place"] * 5 + ["of another"])


def at_place(code: str, village: str | None) -> dict[str, str]:
    """Return a place; a village of another kecamatan has to be refused."""
    if village is None:
        return {"kecamatan_code": code}
    lies_in = code if village == "of the place" else CODES[CODES.index(code) - 1]
    return {"kecamatan_code": code, "village_code": villages(lies_in)[1].code}


places = st.builds(at_place, codes, villages_told)
registrations = st.builds(
    lambda told, place, tier: told | place | tier,
    st.fixed_dictionaries(
        {"name": names, "number": numbers, "nik": st.none() | numbers, "legal_entity_date": birthdays, "scope": scopes}
    ),
    places,
    st.fixed_dictionaries({}, optional={"tier": tiers}),
)
_change: st.SearchStrategy[dict[str, Any]] = st.one_of(
    places,
    st.fixed_dictionaries({"village_code": codes.map(lambda code: villages(code)[2].code)}),
    st.fixed_dictionaries({"legal_entity_date": birthdays}),
    st.fixed_dictionaries({"tier": tiers}),
    st.fixed_dictionaries({"scope": scopes}),
    st.fixed_dictionaries({"name": names}),
    st.fixed_dictionaries({"nik": st.none() | numbers}),
)
corrections = st.one_of(_change, st.builds(lambda one, other: one | other, _change, _change))
relocations = st.builds(lambda place, day: place | {"effective_on": day}, places, some_day)
listings = st.fixed_dictionaries(
    {
        "name": names,
        "legal_entity_date": st.none() | birthdays,
        "kecamatan": st.sampled_from(["Wagir", "Tumpang", "Kec. WAGIR", "Kota Malang", ""]),
        "tier": tiers,
        "scope": scopes,
    }
)
tracings = st.lists(st.tuples(lately, findings), min_size=1, max_size=3)
vain = st.lists(st.tuples(lately, st.sampled_from(["not_found", "dormant"])), min_size=1, max_size=3)
"""Tracings after which a removal may be proposed, if they were on two days."""
decisions = st.none() | st.tuples(st.sampled_from(["rejected", "approved"]), st.sampled_from([0, 1, 30, 200, -1]))
"""What the Ministry decides, and how many days after the proposal."""

days_of_meetings = st.one_of(
    st.sampled_from([(0, *turn) for turn in TURNS]),
    st.tuples(st.integers(0, 1), st.integers(1, 12), st.integers(1, 28)),
)
"""So many years after the one that follows the book year, month, day."""
minutes = st.sampled_from(
    [{"members_present": 30}] * 12
    + [{"members_present": present, "second_meeting": second} for present in (20, 21, 41) for second in (True, False)]
).map(lambda told: {"members_total": 40, **told})
book_years = st.integers(2015, 2023)
runs_of_meetings = st.tuples(
    st.integers(2015, 2021), st.lists(st.tuples(days_of_meetings, minutes), min_size=1, max_size=6)
)
"""The meetings of some book years, one after another, and which is the first."""

revisions = st.lists(
    st.tuples(st.sampled_from(["verify", "correct", "annul", "record anew"]), book_years, days_of_meetings, minutes),
    max_size=3,
)
"""What is done about which records."""

courses = st.builds(
    lambda whats, gaps: list(zip(whats, gaps, strict=False)),
    st.sampled_from(
        [
            ["declined"],
            ["redirected"],
            ["accepted"],
            ["accepted", "activity", "completed"],
            ["accepted", "completed", "activity"],
            ["accepted", "activity", "activity"],
            ["completed"],
            ["redirected", "accepted", "completed"],
            [],
        ]
    ),
    st.tuples(*[st.sampled_from([0, 1, 30, 90, 200, -1])] * 3),
)
"""What is done about a request, each so many days after the one before; not all of it can be done in this order."""
requests = st.lists(st.tuples(codes, some_day, courses), min_size=1, max_size=3)


def day_after(book_year: int, day: tuple[int, int, int]) -> date:
    """Return the day of a meeting for a book year."""
    years, month, day_of_month = day
    return date(book_year + 1 + years, month, day_of_month)
