"""The list of planned meetings, folded from public events of two services."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chassis.definitions.projection import Received
from contracts import rat, registry
from contracts.envelope import PublicEvent
from services.rat.projections.plans import PlansRow, projection

MELATI = UUID(int=1)
WAGIR, TUMPANG, DAMPIT = "35.07.21", "35.07.16", "35.07.05"


def fold(*events: PublicEvent) -> PlansRow:
    """Return the row after the events, numbered per service in this order."""
    numbers: dict[str, int] = {}
    received = []
    for event in events:
        sequence = numbers[event.service] = numbers.get(event.service, 0) + 1
        time = datetime(2024, 11, 14, tzinfo=UTC)
        id_, subject = str(UUID(int=sequence)), str(MELATI)
        received.append(Received(event.service, event.type_name(), sequence, id_, subject, sequence, time, event))
    [row] = projection.fold(received).values()
    return row


def about(event: type[PublicEvent], kecamatan_code: str | None = WAGIR, **told: Any) -> PublicEvent:
    return event.model_validate({"cooperative_id": MELATI, "kecamatan_code": kecamatan_code, **told})


REGISTERED = about(
    registry.CooperativeRegistered, name="Koperasi Wanita Melati", legal_entity_number="1", legal_entity_date=None
)
DISSOLVED = about(registry.RemovalApproved, decree_number="1", decided_on="2025-01-02", authority="Kementerian")


def moved(kecamatan_code: str, effective_on: str) -> PublicEvent:
    return about(registry.CooperativeRelocated, kecamatan_code, address="Jl. Raya 1", effective_on=effective_on)


def planned(book_year: int = 2024, planned_on: str = "2025-02-22", venue: str = "Balai Desa") -> PublicEvent:
    return about(rat.RATPlanned, book_year=book_year, planned_on=planned_on, venue=venue)


def held(book_year: int = 2024, held_on: str = "2025-02-23") -> PublicEvent:
    return about(rat.RATHeld, book_year=book_year, held_on=held_on, source="office")


CORRECTED = about(rat.RATCorrected, book_year=2024, changes={"held_on": "2025-02-24"}, reason="minutes")
CORRECTED_ELSEWHERE = about(rat.RATCorrected, book_year=2024, changes={"turnover": 1}, reason="minutes")
ANNULLED = about(rat.RATAnnulled, book_year=2024, reason="a namesake's")


def plan(book_year: int, planned_on: str, venue: str, held_on: str | None = None) -> dict[str, Any]:
    return {"book_year": book_year, "planned_on": planned_on, "venue": venue, "held_on": held_on}


def test_a_plan_is_listed_under_the_kecamatan_of_its_cooperative() -> None:
    row = fold(REGISTERED, planned())
    assert (row.kecamatan_code, row.announced) == (WAGIR, [plan(2024, "2025-02-22", "Balai Desa")])


def test_each_book_year_has_one_plan_which_is_the_last_announced() -> None:
    row = fold(REGISTERED, planned(), planned(2023, "2025-02-20"), planned(2024, "2025-03-01", "Kantor Desa"))
    assert row.announced == [plan(2023, "2025-02-20", "Balai Desa"), plan(2024, "2025-03-01", "Kantor Desa")]


def test_a_cooperative_that_moves_takes_its_plans_along() -> None:
    assert fold(REGISTERED, planned(), moved(TUMPANG, "2024-12-01")).kecamatan_code == TUMPANG


def test_of_two_moves_the_later_day_counts_and_not_the_later_report() -> None:
    row = fold(REGISTERED, moved(TUMPANG, "2024-12-01"), moved(DAMPIT, "2024-06-01"), planned())
    assert (row.kecamatan_code, row.moved_on) == (TUMPANG, date(2024, 12, 1))


def test_a_corrected_kecamatan_is_the_one_that_the_registry_gives() -> None:
    corrected = about(registry.CooperativeCorrected, DAMPIT, changes={"kecamatan_code": DAMPIT}, reason="deed")
    assert fold(REGISTERED, planned(), corrected).kecamatan_code == DAMPIT


def test_the_plans_of_a_dissolved_cooperative_are_marked_as_nobodys() -> None:
    assert fold(REGISTERED, planned(), DISSOLVED).dissolved_on == date(2025, 1, 2)


def test_a_plan_tells_when_its_meeting_was_held_as_the_record_stands() -> None:
    told = [planned(), held(), CORRECTED_ELSEWHERE, CORRECTED, ANNULLED, held(held_on="2025-03-01")]
    expected = [None, "2025-02-23", "2025-02-23", "2025-02-24", None, "2025-03-01"]
    for count, held_on in enumerate(expected, 1):
        assert fold(REGISTERED, *told[:count]).announced == [plan(2024, "2025-02-22", "Balai Desa", held_on)]


def test_a_meeting_of_another_year_leaves_a_plan_as_it_is_and_makes_none() -> None:
    assert fold(REGISTERED, planned(), held(2023, "2024-03-01")).announced == [plan(2024, "2025-02-22", "Balai Desa")]
    assert fold(REGISTERED, held(2023, "2024-03-01")).announced == []


OF_REGISTRY = [REGISTERED, moved(TUMPANG, "2024-12-01"), DISSOLVED]
OF_RAT = [planned(), held(), CORRECTED, ANNULLED, planned(2025, "2026-02-20")]


@given(st.permutations(["registry"] * len(OF_REGISTRY) + ["rat"] * len(OF_RAT)))
def test_however_two_services_interleave_the_row_is_the_same(order: Sequence[str]) -> None:
    left = {"registry": iter(OF_REGISTRY), "rat": iter(OF_RAT)}
    assert fold(*(next(left[service]) for service in order)) == fold(*OF_REGISTRY, *OF_RAT)
