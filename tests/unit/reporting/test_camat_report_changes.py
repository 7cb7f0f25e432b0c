"""What would read otherwise, and why."""

from datetime import date
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from regency_of_verdicts import AS_OF, TUMPANG, WAGIR, healthy, steady
from story import Story

from services.reporting.domain import facts as f
from services.reporting.domain.camat_report_changes import Changes, changes
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.counts import tally
from services.reporting.domain.facts import Facts
from services.reporting.domain.health import EVERYTHING, HealthRule
from services.reporting.domain.mentoring import open_in
from services.reporting.domain.policy import RAT_3Y_2024

RULE = HealthRule(AS_OF, EVERYTHING, RAT_3Y_2024)


def numbers(cooperatives: list[Facts], requests: list[Facts]) -> Numbers:
    """Count as a fresh report does."""
    verdicts = [verdict for facts in cooperatives if (verdict := RULE.judge(facts))]
    codes = [code for facts in requests if (code := open_in(facts, AS_OF, EVERYTHING))]
    return Numbers.of(tally([WAGIR], verdicts, codes).by_kecamatan[WAGIR])


def since(story: Story, then: Facts) -> Changes:
    """Return what changed of a report that knew `then`."""
    positions = {
        part: max((fact.sequence for fact in getattr(then, part)), default=0)
        for part in ("registry", "rat", "mentoring")
    }
    return changes(WAGIR, numbers([then], []), positions, RULE, [story.facts()], [])


def frozen(story: Story) -> Facts:
    facts = story.facts()
    return Facts(facts.subject, list(facts.registry), list(facts.rat), list(facts.mentoring))


def by_number(found: Changes) -> dict[str, tuple[int, int]]:
    return {each.number: (each.was, each.now) for each in found.numbers}


def test_nothing_recorded_changes_nothing() -> None:
    story = healthy()
    assert since(story, frozen(story)) == Changes(numbers=(), cooperatives=())


def test_a_meeting_recorded_late_moves_the_numbers_and_is_named() -> None:
    story = steady((2021, 2022))
    then = frozen(story)
    late = story.held(2023, "2024-02-20").facts().rat[-1]
    found = since(story, then)
    assert by_number(found) == {"healthy": (0, 1), "inconsistent": (1, 0), "held_latest": (0, 1)}
    for change in found.numbers:
        (move,) = change.why
        assert (move.cause.event, move.cause.event_id, move.cause.name) == ("RATHeld", UUID(late.id), "Koperasi Melati")
    (line,) = found.cooperatives
    assert (line.was, line.now) == ("inconsistent", "healthy")


def test_each_event_answers_for_what_it_alone_moved() -> None:
    story = steady((2021, 2022))
    then = frozen(story)
    story.held(2023, "2024-02-20").annulled(2021)
    found = since(story, then)
    assert by_number(found) == {"held_latest": (0, 1)}
    (line,) = found.cooperatives
    assert (line.was, line.now) == ("inconsistent", "inconsistent")
    assert [cause.event for cause in line.why] == ["RATHeld", "RATAnnulled"]


def test_what_is_undone_again_reads_as_before() -> None:
    story = steady((2021, 2022))
    then = frozen(story)
    story.held(2023, "2024-02-20").annulled(2023)
    assert since(story, then) == Changes(numbers=(), cooperatives=())


def test_a_corrected_day_changes_a_line_without_changing_a_number() -> None:
    story = healthy()
    then = frozen(story)
    story.rat_corrected(2022, "2023-02-16")
    found = since(story, then)
    assert found.numbers == ()
    assert [cause.event for line in found.cooperatives for cause in line.why] == ["RATCorrected"]


def test_a_cooperative_that_had_left_by_then_is_no_longer_on_the_report() -> None:
    story = healthy()
    then = frozen(story)
    story.relocated("2024-10-01", TUMPANG)
    found = since(story, then)
    assert by_number(found)["registered"] == (1, 0)
    assert [(line.was, line.now) for line in found.cooperatives] == [("healthy", None)]


def test_a_move_after_the_reports_day_changes_nothing() -> None:
    story = healthy()
    then = frozen(story)
    story.relocated("2024-11-15", TUMPANG)
    assert since(story, then) == Changes(numbers=(), cooperatives=())


def test_a_request_received_by_then_and_written_down_later_is_named() -> None:
    story = Story().requested("2024-11-01")
    request = Facts(UUID(int=9), (), (), story.mentoring)
    found = changes(WAGIR, numbers([], []), {}, RULE, [], [request])
    assert by_number(found) == {"mentoring_open": (0, 1)}
    cause = found.numbers[0].why[0].cause
    assert (cause.event, cause.request_id, cause.cooperative_id) == ("MentoringRequested", UUID(int=9), None)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Facts], dict[str, int]]:
    """Some cooperatives whose facts share one numbering a service, and positions anywhere in it."""
    sequences = {"registry": 0, "rat": 0}
    clock = 0
    cooperatives = [Facts(UUID(int=100 + n), [], [], []) for n in range(draw(st.integers(1, 4)))]

    def add(facts: Facts, service: str, kind: type[f.Fact], *values: object) -> None:
        nonlocal clock
        clock += draw(st.integers(0, 2))
        sequences[service] += 1
        id_ = str(UUID(int=clock << 32 | len(service) << 16 | sequences[service]))
        fact = kind(id_, sequences[service], clock, *values)
        getattr(facts, service).append(fact)

    for facts in cooperatives:
        add(facts, "registry", f.Registered, "K", None, date(2015, 1, 1), WAGIR, None, "primary", "regency")
    for _ in range(draw(st.integers(0, 25))):
        facts = draw(st.sampled_from(cooperatives))
        year = draw(st.integers(2020, 2023))
        held_on = date(year + 1, draw(st.sampled_from([2, 9])), 1)
        match draw(st.integers(0, 6)):
            case 0 | 1 | 2:
                add(facts, "rat", f.RATHeld, year, held_on, "office")
            case 3:
                add(facts, "rat", f.RATAnnulled, year)
            case 4:
                add(facts, "registry", f.Relocated, date(2024, 3, 1), draw(st.sampled_from([WAGIR, TUMPANG])), None)
            case 5:
                add(facts, "registry", f.Traced, date(2024, 4, 1), draw(st.sampled_from(["found", "not_found"])))
            case _:
                add(facts, "registry", f.RemovalApproved, date(2024, draw(st.sampled_from([5, 12])), 1))
    return cooperatives, {service: draw(st.integers(0, last)) for service, last in sequences.items()}


@settings(max_examples=200)
@given(histories())
def test_what_was_and_every_move_come_to_what_a_fresh_report_says(told: tuple[list[Facts], dict[str, int]]) -> None:
    cooperatives, positions = told
    then = [
        Facts(
            facts.subject,
            [fact for fact in facts.registry if fact.sequence <= positions["registry"]],
            [fact for fact in facts.rat if fact.sequence <= positions["rat"]],
        )
        for facts in cooperatives
    ]
    was, now = numbers(then, []), numbers(cooperatives, [])
    found = changes(WAGIR, was, positions, RULE, cooperatives, [])
    differing = {name: (before, getattr(now, name)) for name, before in was if before != getattr(now, name)}
    assert by_number(found) == differing
    assert all(each.was + sum(move.by for move in each.why) == each.now for each in found.numbers)
    newer = {
        UUID(fact.id)
        for facts in cooperatives
        for part in positions
        for fact in getattr(facts, part)
        if fact.sequence > positions[part]
    }
    assert {move.cause.event_id for each in found.numbers for move in each.why} <= newer
