"""Both truths side by side: what the Ministry says, what the office says, and since when."""

from datetime import UTC, date, datetime, timedelta

from services.registry.domain import cooperative as co
from services.registry.domain.sides import Said, Sides, sides_of

WAGIR, DAU, LAWANG = "35.07.21", "35.07.22", "35.07.25"
FIRST = datetime(2024, 11, 1, 3, tzinfo=UTC)

listed = co.CooperativeRegistered(
    name="Koperasi Melati", kecamatan_code=WAGIR, address="Jl. Wagir 1", members_total=12, source="ods"
)
moved = co.CooperativeRelocated(kecamatan_code=DAU, address="Jl. Dau 1", effective_on=date(2024, 1, 2))


def traced(day: date, finding: co.Finding) -> co.CooperativeTraced:
    evidence = dict.fromkeys(("signboard_found", "office_found", "members_reached", "operating"), False)
    return co.CooperativeTraced(traced_on=day, **evidence, finding=finding, kecamatan_code=WAGIR)


proposed = co.RemovalProposed(
    letter_number="1", letter_date=date(2024, 10, 7), grounds="traced twice", kecamatan_code=WAGIR
)
rejected = co.RemovalRejected(
    decree_number="2", decided_on=date(2024, 10, 28), authority="Ministry", kecamatan_code=WAGIR
)


def at(number: int) -> datetime:
    return FIRST + timedelta(days=number)


def sides(*events: co.CooperativeEvent) -> Sides:
    """Return both sides of a history, of which one event was recorded a day."""
    return sides_of((event, at(number), at(number).date()) for number, event in enumerate(events))


def test_what_the_ministry_lists_is_its_word_of_the_day_it_was_entered_and_the_office_has_none_yet() -> None:
    both = sides(listed)
    assert both.ministry["members_total"] == Said(12, date(2024, 11, 1), FIRST)
    assert both.ministry["existence"] == Said("registered", date(2024, 11, 1), FIRST)
    assert "sector" not in both.ministry
    assert both.office == {}


def test_what_the_office_registered_itself_is_its_own_word() -> None:
    both = sides(listed.model_copy(update={"source": "manual"}))
    assert both.office["name"].value == "Koperasi Melati"
    assert both.ministry == {}


def test_a_finding_stands_beside_the_ministrys_word_with_its_own_day() -> None:
    both = sides(listed, traced(date(2024, 8, 30), "not_found"))
    assert both.ministry["existence"].value == "registered"
    assert both.office["existence"] == Said("not_found", date(2024, 8, 30), at(1))


def test_of_findings_the_last_by_its_day_is_the_offices_word() -> None:
    both = sides(listed, traced(date(2024, 8, 30), "not_found"), traced(date(2024, 5, 7), "found"))
    assert both.office["existence"].value == "not_found"
    both = sides(listed, traced(date(2024, 8, 30), "not_found"), traced(date(2024, 8, 30), "dormant"))
    assert both.office["existence"] == Said("dormant", date(2024, 8, 30), at(2))


def test_a_proposal_is_the_offices_word_until_the_ministry_decides() -> None:
    history = (listed, traced(date(2024, 8, 30), "dormant"), proposed)
    assert sides(*history).office["existence"] == Said("removal_proposed", date(2024, 10, 7), at(2))
    refused = sides(*history, rejected)
    assert refused.office["existence"].value == "dormant"
    assert refused.ministry["existence"] == Said("registered", date(2024, 10, 28), at(3))
    approved = sides(*history, co.RemovalApproved(**vars(rejected)))
    assert approved.ministry["existence"] == Said("dissolved", date(2024, 10, 28), at(3))


def test_a_later_list_does_not_take_the_offices_correction_away() -> None:
    corrected = co.CooperativeCorrected(changes={"members_total": 20}, reason="counted", kecamatan_code=WAGIR)
    later = co.MinistryRecordChanged(changes={"members_total": 14}, source="ods", kecamatan_code=WAGIR)
    both = sides(listed, corrected, later)
    assert both.office["members_total"] == Said(20, at(1).date(), at(1))
    assert both.ministry["members_total"] == Said(14, at(2).date(), at(2))
    assert both.differing == ["members_total"]


def test_the_offices_sheet_is_the_offices_word() -> None:
    sheet = co.MinistryRecordChanged(changes={"members_total": 14}, source="office", kecamatan_code=WAGIR)
    both = sides(listed, sheet)
    assert (both.ministry["members_total"].value, both.office["members_total"].value) == (12, 14)


def test_sides_that_agree_do_not_differ_and_existence_is_never_compared() -> None:
    sheet = co.MinistryRecordChanged(changes={"members_total": 12}, source="office", kecamatan_code=WAGIR)
    assert sides(listed, sheet, traced(date(2024, 8, 30), "found")).differing == []


def test_a_relocation_is_the_offices_word_of_its_own_day_and_the_latest_by_its_day_counts() -> None:
    earlier = co.CooperativeRelocated(kecamatan_code=LAWANG, address="Jl. Lawang 1", effective_on=date(2020, 1, 1))
    both = sides(listed, moved, earlier)
    assert both.office["kecamatan_code"] == Said(DAU, date(2024, 1, 2), at(1))
    assert both.office["village_code"].value is None
    assert both.differing == ["address", "kecamatan_code"]


def test_a_correction_of_the_registered_place_says_nothing_of_the_seat_it_moved_to() -> None:
    corrected = co.CooperativeCorrected(
        changes={"kecamatan_code": LAWANG, "name": "Mawar"}, reason="deed", kecamatan_code=DAU
    )
    both = sides(listed, moved, corrected)
    assert (both.office["kecamatan_code"].value, both.office["name"].value) == (DAU, "Mawar")
    of_the_seat = co.CooperativeCorrected(changes={"address": "Jl. Dau 2"}, reason="seen", kecamatan_code=DAU)
    assert sides(listed, moved, of_the_seat).office["address"].value == "Jl. Dau 2"
