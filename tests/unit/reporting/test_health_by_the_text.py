"""The health rule agrees with a second, independent reading of its text, on any history."""

from datetime import date, timedelta
from typing import Any

from by_the_text import by_the_text
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from story import SUBJECT

from services.reporting.domain import facts
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import verdict
from services.reporting.domain.policy import RAT_3Y_2024

YEARS = range(2016, 2024)
CODES = ["35.07.01", "35.07.21", None]
FINDINGS = ["found", "moved", "dormant", "not_found"]
TURNS = [(12, 31), (1, 1), (3, 31), (4, 1), (6, 30), (7, 1)]

turning_days = st.builds(lambda year, turn: date(year, *turn), st.integers(2018, 2024), st.sampled_from(TURNS))
any_day = st.dates(date(2017, 1, 1), date(2024, 12, 31))
some_day = st.one_of(turning_days, any_day)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], date]:
    """Draw what a cooperative's registry and rat streams allow, in the order of recording, and a date to ask of."""
    registry: list[dict[str, Any]] = [
        {
            "what": "registered",
            "legal_entity_date": draw(st.none() | some_day),
            "kecamatan_code": draw(st.sampled_from(CODES)),
            "tier": draw(st.sampled_from(["primary", "secondary"])),
        }
    ]
    open_proposal = False
    for _ in range(draw(st.integers(0, 6))):
        possible = ["corrected", "relocated", "traced", "decided" if open_proposal else "removal_proposed"]
        match draw(st.sampled_from(possible)):
            case "corrected":
                field, values = draw(
                    st.sampled_from(
                        [
                            ("legal_entity_date", st.none() | some_day),
                            ("kecamatan_code", st.sampled_from(CODES)),
                            ("tier", st.sampled_from(["primary", "secondary"])),
                        ]
                    )
                )
                registry.append({"what": "corrected", "changes": {field: draw(values)}})
            case "relocated":
                code = draw(st.sampled_from(["35.07.02", "35.07.03"]))
                registry.append({"what": "relocated", "effective_on": draw(some_day), "kecamatan_code": code})
            case "traced":
                finding = draw(st.sampled_from(FINDINGS))
                registry.append({"what": "traced", "traced_on": draw(some_day), "finding": finding})
            case "removal_proposed":
                registry.append({"what": "removal_proposed", "letter_date": draw(some_day)})
                open_proposal = True
            case "decided":
                what = draw(st.sampled_from(["removal_rejected", "removal_rejected", "removal_approved"]))
                registry.append({"what": what, "decided_on": draw(some_day)})
                open_proposal = False
                if what == "removal_approved":
                    break
    first, last = draw(st.integers(2018, 2021)), draw(st.integers(2019, 2023))
    rat: list[dict[str, Any]] = [
        {"what": "held", "book_year": year, "held_on": date(year + 1, 2, 3), "source": "ods"}
        for year in range(first, last)
    ]
    standing = set(range(first, last))
    for _ in range(draw(st.integers(0, 8))):
        year = draw(st.sampled_from(YEARS))
        if year in standing:
            what = draw(st.sampled_from(["rat_corrected", "annulled"]))
        else:
            what = draw(st.sampled_from(["held", "held", "held", "attested"]))
        event: dict[str, Any] = {"what": what, "book_year": year}
        if what in ("held", "rat_corrected"):
            after = draw(st.sampled_from([0, 30, 89, 90, 91, 180, 181, 182, 364, 365, 500]))
            told = {"held_on": date(year + 1, 1, 1) + timedelta(days=after)}
            event |= {"changes": told} if what == "rat_corrected" else {**told, "source": "office"}
        if what == "held":
            standing.add(year)
        if what == "annulled":
            standing.discard(year)
        rat.append(event)
    merged = []
    shuffle = draw(st.randoms(use_true_random=False))
    while registry or rat:
        source = registry if registry and (not rat or shuffle.random() < 0.5) else rat
        merged.append(source.pop(0))
    for at, event in enumerate(merged, start=1):
        event["at"] = at
    told = [value for event in merged for value in (event | event.get("changes", {})).values()]
    turns = [value for value in told if isinstance(value, date)]
    near_a_turn = st.builds(lambda turn, days: turn + timedelta(days), st.sampled_from(turns), st.integers(-1, 1))
    as_of = draw(st.one_of(some_day, near_a_turn.filter(lambda day: day.year <= 2024)) if turns else some_day)
    return merged, as_of


def as_facts(events: list[dict[str, Any]]) -> Facts:
    """Write a history as the facts that reporting keeps."""
    registry: list[facts.RegistryFact] = []
    rat: list[facts.RATFact] = []
    for event in events:
        stamp = (str(SUBJECT), event["at"], event["at"])
        match event["what"]:
            case "registered":
                registry.append(
                    facts.Registered(
                        *stamp,
                        "Koperasi Melati",
                        None,
                        event["legal_entity_date"],
                        event["kecamatan_code"],
                        None,
                        event["tier"],
                        "regency",
                    )
                )
            case "corrected":
                registry.append(facts.Corrected(*stamp, facts.Changes(**event["changes"])))
            case "relocated":
                registry.append(facts.Relocated(*stamp, event["effective_on"], event["kecamatan_code"], None))
            case "traced":
                registry.append(facts.Traced(*stamp, event["traced_on"], event["finding"]))
            case "removal_proposed":
                registry.append(facts.RemovalProposed(*stamp, event["letter_date"]))
            case "removal_approved":
                registry.append(facts.RemovalApproved(*stamp, event["decided_on"]))
            case "removal_rejected":
                registry.append(facts.RemovalRejected(*stamp, event["decided_on"]))
            case "held":
                rat.append(facts.RATHeld(*stamp, event["book_year"], event["held_on"], event["source"]))
            case "attested":
                rat.append(facts.RATAttested(*stamp, event["book_year"], "nik_grade"))
            case "rat_corrected":
                rat.append(facts.RATCorrected(*stamp, event["book_year"], event["changes"]["held_on"]))
            case "annulled":
                rat.append(facts.RATAnnulled(*stamp, event["book_year"]))
    return Facts(SUBJECT, registry, rat)


@settings(max_examples=250, deadline=None)
@given(histories(), st.integers(0, 24))
def test_the_rule_reads_as_its_text_reads(history: tuple[list[dict[str, Any]], date], known_at: int) -> None:
    events, as_of = history
    expected = by_the_text(events, as_of, known_at)
    found = verdict(as_facts(events), as_of, known_at, RAT_3Y_2024)
    if found is None:
        assert expected is None
        return
    assert expected is not None
    assert expected == expected | {
        "status": found.status,
        "existence": found.existence,
        "kecamatan_code": found.kecamatan_code,
        "book_years": [asdict(year) for year in found.book_years],
        "obliged": found.obliged,
        "held_latest": found.held_latest,
    }


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(0, 24))
def test_knowing_nothing_later_is_as_if_nothing_later_had_been_recorded(
    history: tuple[list[dict[str, Any]], date], known_at: int
) -> None:
    events, as_of = history
    known = [event for event in events if event["at"] <= known_at]
    assert verdict(as_facts(events), as_of, known_at, RAT_3Y_2024) == verdict(
        as_facts(known), as_of, 2**62, RAT_3Y_2024
    )
