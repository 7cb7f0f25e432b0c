"""What a camat report says."""

from datetime import date
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from regency_of_verdicts import AS_OF, TUMPANG, WAGIR, called, healthy, reported, steady
from story import Story

from services.reporting.domain.camat_report import Issue, Report
from services.reporting.domain.camat_report_numbers import percentage
from services.reporting.domain.facts import Facts


@st.composite
def cooperatives(draw: st.DrawFn) -> Facts:
    """Any cooperative: founded before, within or after the window, and any years held."""
    story = Story().registered(
        legal_entity_date=draw(st.sampled_from([None, "2000-05-01", "2022-01-02", "2023-12-31", "2024-11-14"])),
        kecamatan=draw(st.sampled_from([WAGIR, TUMPANG, None])),
        village=draw(st.sampled_from([None, "35.07.21.2003"])),
        scope=draw(st.sampled_from(["regency", "province", None])),
    )
    for year in sorted(draw(st.sets(st.integers(2019, 2023)))):
        story.held(year, f"{year + 1}-{draw(st.sampled_from(['01', '05', '08']))}-10")
    if finding := draw(st.sampled_from([None, "found", "dormant", "not_found"])):
        story.traced("2024-02-01", finding)
    if draw(st.booleans()):
        story.removal_proposed("2024-03-01")
    return called(draw(st.sampled_from(["Melati", "Anggrek"])), story, draw(st.integers(0, 10**6)))


regencies = st.lists(cooperatives(), max_size=12, unique_by=lambda facts: facts.subject)
days = st.dates(date(2022, 1, 1), date(2025, 12, 31))


@given(regencies, days)
def test_the_numbers_add_up(regency: list[Facts], as_of: date) -> None:
    report = reported(regency, as_of=as_of)
    for standing in (report, report.regency):
        assert standing.registered == standing.not_yet_due + standing.obliged
        assert standing.obliged == standing.healthy + standing.on_track + standing.inconsistent + standing.lapsed
        assert standing.held_latest <= standing.obliged
    assert report.registered == len(report.cooperatives)
    parts = [reported(regency, as_of=as_of, code=code) for code in (WAGIR, TUMPANG)]
    assert sum(part.registered for part in parts) <= report.regency.registered


@given(regencies, days)
def test_the_list_says_what_the_numbers_say(regency: list[Facts], as_of: date) -> None:
    report = reported(regency, as_of=as_of)
    for status in ("healthy", "on_track", "inconsistent", "lapsed", "not_yet_due"):
        assert getattr(report, status) == sum(line.status == status for line in report.cooperatives)
    for existence in ("not_found", "removal_proposed"):
        assert getattr(report, existence) == sum(line.existence == existence for line in report.cooperatives)
    shown = {year.book_year for line in report.cooperatives for year in line.book_years}
    assert set(report.book_years) == shown
    assert len(shown) <= 4


@given(regencies, days)
def test_a_cooperative_is_asked_about_at_most_once_and_stands_on_the_list(regency: list[Facts], as_of: date) -> None:
    report = reported(regency, as_of=as_of)
    asked = [each for ask in report.asks for each in ask.cooperatives]
    assert len(asked) == len(set(asked))
    assert set(asked) <= {line.cooperative_id for line in report.cooperatives}
    assert len(report.asks) <= 5
    assert all(ask.by >= as_of for ask in report.asks)
    confirm = [ask.cooperatives for ask in report.asks if ask.kind == "confirm_existence"]
    assert [each.cooperative_id for each in report.to_confirm] == list(*confirm)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_percentage_is_the_nearest_tenth(part: int, more: int) -> None:
    whole = part + more
    found = percentage(part, whole)
    if not whole:
        assert found is None
        return
    assert found is not None
    assert abs(Fraction(str(found)) - Fraction(100 * part, whole)) <= Fraction(1, 20)


def test_half_a_tenth_is_rounded_up() -> None:
    assert percentage(1, 2000) == 0.1
    assert percentage(2, 3) == 66.7


def test_the_list_goes_village_by_village() -> None:
    regency = [
        called("Zebra", healthy(village=None), 1),
        called("melati", healthy(village="35.07.21.2003"), 2),
        called("Anggrek", healthy(village="35.07.21.2003"), 3),
        called("Mawar", healthy(village="35.07.21.2001"), 4),
        called("Elsewhere", healthy(kecamatan=TUMPANG), 5),
    ]
    report = reported(regency)
    names = [(line.village, line.name) for line in report.cooperatives]
    assert names == [
        ("Sitirejo", "Anggrek"),
        ("Sitirejo", "melati"),
        ("Sumbersuko", "Mawar"),
        (None, "Zebra"),
    ]


def test_the_regency_is_there_to_compare_with() -> None:
    report = reported([called("A", healthy(), 1), called("B", Story().registered(kecamatan=TUMPANG), 2)])
    assert (report.shares.healthy, report.regency.shares.healthy) == (100.0, 50.0)
    assert (report.registered, report.regency.registered) == (1, 2)


def test_a_kecamatan_without_any_has_a_report_too() -> None:
    report = reported()
    assert (report.registered, report.obliged, report.shares.healthy, report.asks) == (0, 0, None, ())
    assert report.book_years == ()


def test_requests_are_counted_by_their_own_location_and_by_how_they_ended() -> None:
    def request(number: int, story: Story) -> Facts:
        facts = story.facts()
        return Facts(facts.subject, (), (), facts.mentoring)

    requests = [
        request(1, Story().requested("2024-09-01")),
        request(2, Story().requested("2023-12-01").closed("2024-01-05", "declined")),
        request(3, Story().requested("2024-02-01").closed("2024-05-05")),
        request(4, Story().requested("2024-02-01").closed("2024-12-05")),
        request(5, Story().requested("2022-02-01").closed("2023-05-05")),
        request(6, Story().requested("2024-02-01", TUMPANG)),
        request(7, Story().requested("2024-11-15")),
    ]
    found = reported(requests=requests).mentoring
    assert (found.open, found.received_this_year) == (2, 3)
    assert found.closed_this_year == {"declined": 1, "completed": 1}
    assert reported(requests=requests).mentoring_open == found.open


def test_a_report_in_json_reads_back() -> None:
    report = reported([called("A", steady((2021, 2022)), 1)])
    text = report.model_dump_json()
    assert Report.model_validate_json(text) == report
    assert '"known_at":"2024-11-14T02:30:05.250000Z"' in text


def test_it_is_written_on_the_day_of_its_issue() -> None:
    assert reported().written_on == AS_OF
    lapsed = [called("A", Story().registered(), 1)]
    issued = reported(lapsed, issue=Issue(UUID(int=5), "2024-Q4", date(2024, 12, 2)))
    assert issued.asks[0].by == date(2025, 1, 1)
