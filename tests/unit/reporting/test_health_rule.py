"""The health rule, sentence by sentence."""

from uuid import UUID

import pytest
from story import Story, day, states

from services.reporting.domain.policy import RAT_3Y_2024, NoPolicy, Policy, policy_at

THREE = [(2021, "2022-02-01"), (2022, "2023-02-01"), (2023, "2024-02-01")]


def having_held(*years: tuple[int, str]) -> Story:
    story = Story().registered()
    for book_year, held_on in years:
        story.held(book_year, held_on)
    return story


# ---------------------------------------------------------------- status


def test_three_years_in_a_row_are_healthy() -> None:
    found = having_held(*THREE).at("2024-11-14")
    assert found.status == "healthy"
    assert states(found) == {2021: "on_time", 2022: "on_time", 2023: "on_time"}
    assert found.obliged
    assert found.held_latest


def test_some_held_and_some_not_are_inconsistent() -> None:
    found = having_held(THREE[0], THREE[2]).at("2024-11-14")
    assert found.status == "inconsistent"
    assert states(found) == {2021: "on_time", 2022: "missed", 2023: "on_time"}


def test_none_held_has_lapsed() -> None:
    found = having_held((2020, "2021-02-01")).at("2024-11-14")
    assert found.status == "lapsed"
    assert not found.held_latest


def test_a_young_cooperative_that_held_all_it_owed_is_on_track() -> None:
    story = Story().registered("2022-08-17").held(2022, "2023-03-01").held(2023, "2024-03-01")
    found = story.at("2024-11-14")
    assert found.status == "on_track"
    assert states(found) == {2022: "on_time", 2023: "on_time"}


def test_the_first_book_year_is_the_year_of_the_legal_entity_date() -> None:
    assert states(Story().registered("2022-12-31").at("2024-11-14")) == {2022: "missed", 2023: "missed"}
    assert states(Story().registered("2023-01-01").at("2024-11-14")) == {2023: "missed"}


def test_without_a_legal_entity_date_nothing_bounds_the_window() -> None:
    assert states(Story().registered(None).at("1950-11-14")) == {1947: "missed", 1948: "missed", 1949: "missed"}


def test_a_cooperative_founded_this_year_is_not_yet_due_and_has_nothing_pending() -> None:
    found = Story().registered("2024-02-01").at("2024-11-14")
    assert found.status == "not_yet_due"
    assert found.book_years == ()
    assert Story().registered("2024-02-01").at("2024-03-01").book_years == ()
    assert not found.obliged


def test_a_cooperative_founded_last_year_is_not_yet_due_until_30_june() -> None:
    story = Story().registered("2023-02-01")
    found = story.at("2024-06-30")
    assert found.status == "not_yet_due"
    assert states(found) == {2023: "pending"}
    assert story.at("2024-07-01").status == "lapsed"


def test_holding_the_first_meeting_early_puts_a_young_cooperative_on_track() -> None:
    story = Story().registered("2023-02-01").held(2023, "2024-01-20")
    assert story.at("2024-01-19").status == "not_yet_due"
    assert story.at("2024-01-20").status == "on_track"


# ---------------------------------------------------------------- window and deadlines


def test_the_latest_book_year_moves_on_the_day_after_30_june() -> None:
    story = having_held(*THREE[:2])
    assert states(story.at("2024-06-30")) == {2020: "missed", 2021: "on_time", 2022: "on_time", 2023: "pending"}
    assert states(story.at("2024-07-01")) == {2021: "on_time", 2022: "on_time", 2023: "missed"}


def test_the_latest_book_year_moves_earlier_on_the_day_its_meeting_is_held() -> None:
    story = having_held(*THREE)
    assert 2023 not in states(story.at("2023-12-31"))
    assert states(story.at("2024-01-31"))[2023] == "pending"
    assert states(story.at("2024-02-01")) == {2021: "on_time", 2022: "on_time", 2023: "on_time"}


def test_a_pending_year_tells_when_it_is_due() -> None:
    pending = having_held(*THREE[:2]).at("2024-05-01").book_years[-1]
    assert (pending.book_year, pending.due_on, pending.held_on) == (2023, day("2024-06-30"), None)


@pytest.mark.parametrize(
    ("tier", "held_on", "state"),
    [
        ("primary", "2024-03-31", "on_time"),
        ("primary", "2024-04-01", "late"),
        ("primary", "2024-07-01", "late"),
        ("secondary", "2024-06-30", "on_time"),
        ("secondary", "2024-07-01", "late"),
    ],
)
def test_a_meeting_after_the_deadline_of_its_tier_is_late(tier: str, held_on: str, state: str) -> None:
    found = Story().registered(tier=tier).held(2023, held_on).at("2024-11-14")
    assert states(found)[2023] == state


def test_late_is_still_held() -> None:
    found = having_held(*THREE[:2], (2023, "2024-10-05")).at("2024-11-14")
    assert found.status == "healthy"
    assert found.held_latest


def test_a_meeting_counts_from_the_day_it_was_held() -> None:
    story = having_held(*THREE[:2], (2023, "2024-10-05"))
    assert story.at("2024-10-04").status == "inconsistent"
    assert story.at("2024-10-05").status == "healthy"


def test_an_old_year_made_up_for_late_counts_from_then_on() -> None:
    story = having_held(*THREE[1:], (2021, "2024-09-09"))
    assert states(story.at("2024-09-08"))[2021] == "missed"
    assert states(story.at("2024-09-09"))[2021] == "late"


# ---------------------------------------------------------------- attestation


def test_an_attested_year_counts_as_held_from_31_december() -> None:
    story = Story().registered().attested(2020)
    assert states(story.at("2021-12-30"))[2020] == "missed"
    found = story.at("2021-12-31")
    assert states(found)[2020] == "attested"
    assert found.book_years[-1].held_on is None
    assert found.book_years[-1].source == "nik_grade"


def test_attested_years_and_a_meeting_make_a_cooperative_healthy() -> None:
    story = Story().registered().held(2020, "2021-02-02", source="ods").attested(2018).attested(2019)
    assert story.at("2021-12-31").status == "healthy"


def test_a_recorded_meeting_says_more_than_an_attestation() -> None:
    story = Story().registered().attested(2020).held(2020, "2021-05-02")
    assert states(story.at("2021-12-31"))[2020] == "late"


def test_an_attestation_holds_until_a_meeting_recorded_for_a_later_day() -> None:
    story = Story().registered().attested(2020).held(2020, "2022-03-02")
    assert states(story.at("2022-03-01"))[2020] == "attested"
    assert states(story.at("2022-03-02"))[2020] == "late"


def test_a_meeting_for_a_year_before_the_first_counts_for_nothing() -> None:
    found = Story().registered("2024-02-01").held(2023, "2024-02-05").attested(2022).at("2024-11-14")
    assert (found.status, found.held_latest, found.book_years) == ("not_yet_due", False, ())


# ---------------------------------------------------------------- corrections and annulments


def test_a_corrected_date_was_always_so() -> None:
    story = having_held(*THREE).rat_corrected(2023, "2024-04-02")
    assert states(story.at("2024-04-01"))[2023] == "pending"
    assert states(story.at("2024-04-02"))[2023] == "late"
    assert story.at("2024-04-02").book_years[-1].source == "office"


def test_an_annulled_meeting_was_not_held() -> None:
    assert states(having_held(*THREE).annulled(2022).at("2024-11-14"))[2022] == "missed"


def test_a_meeting_recorded_anew_after_an_annulment_counts() -> None:
    story = having_held(*THREE).rat_corrected(2022, "2023-03-30").annulled(2022).held(2022, "2023-05-01")
    assert states(story.at("2024-11-14"))[2022] == "late"


def test_annulling_a_meeting_leaves_the_attestation_of_its_year() -> None:
    story = Story().registered().attested(2020).held(2020, "2021-02-02").annulled(2020)
    assert states(story.at("2021-12-31"))[2020] == "attested"


# ---------------------------------------------------------------- what counts


def test_a_cooperative_counts_from_its_legal_entity_date_on() -> None:
    story = Story().registered("2020-06-15")
    assert story.find("2020-06-14") is None
    assert story.find("2020-06-15") is not None


def test_a_cooperative_no_longer_counts_from_the_day_its_removal_was_approved() -> None:
    story = Story().registered().removal_proposed("2024-01-10").removal_approved("2024-08-01")
    assert story.at("2024-07-31").existence == "removal_proposed"
    assert story.find("2024-08-01") is None


def test_a_cooperative_nobody_registered_does_not_count() -> None:
    assert Story().held(2020, "2021-02-02").find("2024-11-14") is None


def test_a_corrected_legal_entity_date_moves_the_start_and_the_first_book_year() -> None:
    story = Story().registered("2020-06-15").corrected(legal_entity_date="2022-06-15")
    assert story.find("2022-06-14") is None
    assert states(story.at("2024-11-14")) == {2022: "missed", 2023: "missed"}
    assert Story().registered("2020-06-15").corrected(legal_entity_date=None).find("1990-01-01") is not None


def test_a_corrected_tier_moves_the_deadline() -> None:
    story = Story().registered(tier="primary").held(2023, "2024-05-01").corrected(tier="secondary")
    assert states(story.at("2024-11-14"))[2023] == "on_time"


# ---------------------------------------------------------------- where


def test_a_relocation_holds_from_its_day_on() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10", "35.07.10.2001")
    before, after = story.at("2023-02-28"), story.at("2023-03-01")
    assert (before.kecamatan_code, before.village_code) == ("35.07.21", "35.07.21.2003")
    assert (after.kecamatan_code, after.village_code) == ("35.07.10", "35.07.10.2001")


def test_the_last_relocation_by_its_day_holds_whatever_the_order_of_recording() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10").relocated("2022-03-01", "35.07.11")
    assert story.at("2022-06-01").kecamatan_code == "35.07.11"
    assert story.at("2023-06-01").kecamatan_code == "35.07.10"


def test_of_two_relocations_on_one_day_the_later_recorded_holds() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10").relocated("2023-03-01", "35.07.11")
    assert story.at("2023-06-01").kecamatan_code == "35.07.11"


def test_a_corrected_kecamatan_replaces_the_registered_one_and_relocations_come_on_top() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10").corrected(kecamatan_code="35.07.12")
    assert story.at("2023-02-28").kecamatan_code == "35.07.12"
    assert story.at("2023-03-01").kecamatan_code == "35.07.10"


def test_a_kecamatan_can_be_corrected_to_none() -> None:
    assert Story().registered().corrected(kecamatan_code=None).at("2023-02-28").kecamatan_code is None


def test_a_corrected_village_alone_is_that_of_the_latest_seat() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10", "35.07.10.2001")
    story.corrected(village_code="35.07.10.2002").relocated("2024-03-01", "35.07.11", "35.07.11.2001")
    found = [story.at(on).village_code for on in ("2023-02-28", "2023-03-01", "2024-03-01")]
    assert found == ["35.07.21.2003", "35.07.10.2002", "35.07.11.2001"]


def test_the_latest_seat_is_the_last_by_its_day_also_for_a_corrected_village() -> None:
    story = Story().registered().relocated("2024-03-01", "35.07.11", "35.07.11.2001")
    story.relocated("2023-03-01", "35.07.10", "35.07.10.2001").corrected(village_code="35.07.11.2002")
    found = [story.at(on).village_code for on in ("2023-03-01", "2024-03-01")]
    assert found == ["35.07.10.2001", "35.07.11.2002"]


def test_a_village_that_the_ministry_changes_is_that_of_the_first_seat() -> None:
    story = Story().registered().relocated("2023-03-01", "35.07.10", "35.07.10.2001")
    story.record_changed(village_code="35.07.21.2004")
    found = [story.at(on).village_code for on in ("2023-02-28", "2023-03-01")]
    assert found == ["35.07.21.2004", "35.07.10.2001"]


# ---------------------------------------------------------------- existence


def test_existence_is_the_last_finding_by_its_day() -> None:
    story = Story().registered().traced("2023-05-01", "not_found").traced("2022-05-01", "found")
    assert story.at("2022-04-30").existence == "registered"
    assert story.at("2022-05-01").existence == "found"
    assert story.at("2023-05-01").existence == "not_found"


def test_of_two_findings_on_one_day_the_later_recorded_wins() -> None:
    story = Story().registered().traced("2023-05-01", "not_found").traced("2023-05-01", "moved")
    assert story.at("2023-05-01").existence == "moved"


def test_a_removal_is_proposed_from_its_letter_until_it_is_decided() -> None:
    story = Story().registered().traced("2023-05-01", "not_found").removal_proposed("2023-06-01")
    assert story.at("2023-05-31").existence == "not_found"
    assert story.at("2023-06-01").existence == "removal_proposed"
    story.removal_rejected("2023-09-01")
    assert story.at("2023-08-31").existence == "removal_proposed"
    assert story.at("2023-09-01").existence == "not_found"


def test_a_tracing_while_a_removal_is_proposed_shows_once_it_is_refused() -> None:
    story = Story().registered().removal_proposed("2023-06-01").traced("2023-07-01", "found")
    assert story.at("2023-07-01").existence == "removal_proposed"
    assert story.removal_rejected("2023-09-01").at("2023-09-01").existence == "found"


def test_a_second_proposal_after_a_refusal_holds_in_its_turn() -> None:
    story = Story().registered().removal_proposed("2023-06-01").removal_rejected("2023-09-01")
    story.removal_proposed("2024-02-01")
    assert story.at("2023-12-31").existence == "registered"
    assert story.at("2024-02-01").existence == "removal_proposed"


# ---------------------------------------------------------------- what was known


def test_only_what_was_recorded_by_then_is_known() -> None:
    story = Story().registered(recorded="2022-01-01T00:00:00Z")
    for book_year, held_on in THREE:
        story.held(book_year, held_on, recorded=f"{book_year + 2}-01-01T00:00:00Z")
    assert story.find("2024-11-14", "2021-12-31T23:59:59.999999Z") is None
    assert story.at("2024-11-14", "2022-01-01T00:00:00Z").status == "lapsed"
    assert story.at("2024-11-14", "2024-12-31T23:59:59.999999Z").status == "inconsistent"
    assert story.at("2024-11-14", "2025-01-01T00:00:00Z").status == "healthy"


def test_a_time_in_another_zone_is_the_same_time() -> None:
    story = Story().registered(recorded="2022-01-01T00:00:00Z")
    assert story.find("2024-11-14", "2022-01-01T07:00:00+07:00") is not None
    assert story.find("2024-11-14", "2022-01-01T06:59:59+07:00") is None


def test_before_its_annulment_was_known_a_meeting_counted() -> None:
    story = having_held(*THREE).annulled(2023, recorded="2025-01-01T00:00:00Z")
    assert story.at("2024-11-14", "2024-12-31T00:00:00Z").status == "healthy"
    assert story.at("2024-11-14").status == "inconsistent"


def test_before_a_dissolution_was_known_the_cooperative_counted() -> None:
    story = Story().registered().removal_proposed("2024-01-10")
    story.removal_approved("2024-02-01", recorded="2024-03-01T00:00:00Z")
    assert story.at("2024-02-15", "2024-02-15T00:00:00Z").existence == "removal_proposed"
    assert story.find("2024-02-15", "2024-03-01T00:00:00Z") is None


# ---------------------------------------------------------------- because


def test_a_verdict_names_the_rule_and_the_events_that_decided_it() -> None:
    story = Story().registered("2020-05-01").held(2019, "2020-06-01").held(2022, "2023-02-01").attested(2021)
    because = story.at("2024-11-14").because
    assert because.rule == (
        "Policy rat-3y-2024 at 2024-11-14: book years 2021 to 2023 decide; 2021 (due 2022-06-30) is attested; "
        "2022 (due 2023-06-30) was held on 2023-02-01; 2023 (due 2024-06-30) was not held: "
        "inconsistent, for some were held and some were not."
    )
    assert because.events == tuple(str(UUID(int=n)) for n in (1, 3, 4))


def test_an_annulment_and_a_finding_are_among_the_deciding_events() -> None:
    story = Story().registered().held(2023, "2024-02-01").annulled(2023).traced("2024-03-01", "dormant")
    assert set(story.at("2024-11-14").because.events) == {str(UUID(int=n)) for n in (1, 2, 3, 4)}


# ---------------------------------------------------------------- policies


def test_the_policy_of_a_date_is_the_one_valid_then() -> None:
    old = RAT_3Y_2024
    new = Policy("rat-2y-2030", day("2030-01-01"), None, 2, (5, 31), (3, 31), (5, 31), (12, 31))
    assert policy_at(day("2029-12-31"), (old, new)) is old
    assert policy_at(day("2030-01-01"), (old, new)) is new
    with pytest.raises(NoPolicy):
        policy_at(day("2029-12-31"), (new,))


def test_another_policy_is_another_row_and_not_other_code() -> None:
    two_years = Policy("rat-2y", None, None, 2, (5, 31), (2, 28), (5, 31), (12, 31))
    story = having_held(*THREE[1:2], (2023, "2024-03-01"))
    found = story.at("2024-06-01", policy=two_years)
    assert found.status == "healthy"
    assert states(found) == {2022: "on_time", 2023: "late"}
    assert states(having_held(*THREE[:2]).at("2024-06-01", policy=two_years)) == {2022: "on_time", 2023: "missed"}
