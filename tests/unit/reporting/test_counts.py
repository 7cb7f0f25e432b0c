"""The counts of each kecamatan."""

import pytest
from story import ALWAYS, Story, day

from services.reporting.domain.counts import tally
from services.reporting.domain.mentoring import open_in

CODES = ["35.07.10", "35.07.21"]
AS_OF = "2024-11-14"


def healthy(kecamatan: str | None = "35.07.21", scope: str | None = "regency") -> Story:
    story = Story().registered(kecamatan=kecamatan, scope=scope)
    return story.held(2021, "2022-02-01").held(2022, "2023-02-01").held(2023, "2024-02-01")


def test_every_status_and_finding_has_its_count() -> None:
    stories = [
        healthy(),
        Story().registered("2023-01-01").held(2023, "2024-01-05"),
        Story().registered().held(2021, "2022-02-01").traced("2024-01-01", "not_found"),
        Story().registered().traced("2023-01-01", "not_found").removal_proposed("2024-01-01"),
        Story().registered("2024-01-01"),
    ]
    total = tally(CODES, [story.at(AS_OF) for story in stories], ["35.07.10"]).total
    assert (total.registered, total.obliged) == (5, 4)
    assert (total.healthy, total.on_track, total.inconsistent, total.lapsed, total.not_yet_due) == (1, 1, 1, 1, 1)
    assert (total.held_latest, total.not_found, total.removal_proposed, total.mentoring_open) == (2, 1, 1, 1)


def test_a_cooperative_counts_where_it_sits_on_that_day() -> None:
    moved = healthy().relocated("2024-06-01", "35.07.10")
    before = tally(CODES, [moved.at("2024-05-31")], []).by_kecamatan
    after = tally(CODES, [moved.at("2024-06-01")], []).by_kecamatan
    assert (before["35.07.21"].registered, before["35.07.10"].registered) == (1, 0)
    assert (after["35.07.21"].registered, after["35.07.10"].registered) == (0, 1)


def test_every_kecamatan_is_there_and_none_for_those_without() -> None:
    counted = tally(CODES, [healthy(None).at(AS_OF)], [])
    assert list(counted.by_kecamatan) == [*CODES, None]
    assert counted.by_kecamatan[None].healthy == 1
    assert tally(CODES, [], []).by_kecamatan[None].registered == 0


def test_a_code_that_is_not_asked_for_counts_under_none_so_that_the_parts_make_the_total() -> None:
    counted = tally(CODES, [healthy("35.07.99").at(AS_OF)], ["35.07.98"])
    elsewhere = counted.by_kecamatan[None]
    assert (elsewhere.healthy, elsewhere.mentoring_open) == (1, 1)
    assert elsewhere == counted.total


def test_all_scopes_count_unless_one_is_asked_for() -> None:
    verdicts = [healthy(scope=scope).at(AS_OF) for scope in ("regency", "province", "national", None)]
    assert tally(CODES, verdicts, []).total.registered == 4
    assert tally(CODES, verdicts, [], scope="regency").total.registered == 1


@pytest.mark.parametrize("how", ["declined", "redirected", "completed"])
def test_a_request_is_open_from_its_receipt_until_the_day_it_is_closed(how: str) -> None:
    facts = Story().requested("2024-05-02", "35.07.10").closed("2024-08-01", how).facts()
    found = [open_in(facts, day(on), ALWAYS) for on in ("2024-05-01", "2024-05-02", "2024-07-31", "2024-08-01")]
    assert found == [None, "35.07.10", "35.07.10", None]


def test_a_request_is_open_as_far_as_was_known() -> None:
    story = Story().requested("2024-05-02", recorded="2024-05-03T00:00:00Z")
    facts = story.closed("2024-08-01", recorded="2024-09-01T00:00:00Z").facts()
    for known_at, expected in (("2024-05-02", None), ("2024-08-31", "35.07.21"), ("2024-09-01", None)):
        assert open_in(facts, day("2024-10-01"), ALWAYS.fromisoformat(f"{known_at}T00:00:00+00:00")) == expected
