"""What the lists of the mentoring service hold after the events."""

from datetime import UTC, date, datetime
from uuid import UUID

from chassis.definitions.projection import Received
from contracts import mentoring, registry
from contracts.envelope import PublicEvent
from services.mentoring.projections import cooperatives, requests
from services.mentoring.projections.cooperatives import CooperativeRow
from services.mentoring.projections.requests import RequestRow

REQUEST = UUID("01930000-0000-7000-8000-000000000001")
COOPERATIVE = UUID("01930000-0000-7000-8000-000000000002")


def received(sequence: int, subject: UUID, event: PublicEvent) -> Received[PublicEvent]:
    """Return an event as a fold meets it."""
    id = UUID(int=sequence)
    time = datetime(2024, 11, 4, tzinfo=UTC)
    return Received(event.service, event.type_name(), sequence, id, subject, sequence, time, event)


REGISTERED = registry.CooperativeRegistered(
    cooperative_id=COOPERATIVE,
    kecamatan_code="35.07.21",
    name="KSP Contoh",
    legal_entity_number="1",
    legal_entity_date=None,
)


def test_a_registered_cooperative_is_known() -> None:
    rows = cooperatives.projection.fold([received(1, COOPERATIVE, REGISTERED)])
    assert rows == {COOPERATIVE: CooperativeRow(COOPERATIVE, "KSP Contoh")}


def test_a_cooperative_is_known_under_its_newest_name() -> None:
    renamed = registry.CooperativeCorrected(
        cooperative_id=COOPERATIVE, kecamatan_code="35.07.21", changes={"name": "KSP Lain"}, reason="akta"
    )
    changed = registry.MinistryRecordChanged(
        cooperative_id=COOPERATIVE, kecamatan_code="35.07.21", changes={"members_total": 3}, source="ods"
    )
    events = [
        received(1, COOPERATIVE, REGISTERED),
        received(2, COOPERATIVE, renamed),
        received(3, COOPERATIVE, changed),
    ]
    assert cooperatives.projection.fold(events) == {COOPERATIVE: CooperativeRow(COOPERATIVE, "KSP Lain")}


def test_a_request_is_listed_under_its_own_location() -> None:
    asked = mentoring.MentoringRequested(
        request_id=REQUEST,
        cooperative_id=COOPERATIVE,
        kecamatan_code="35.07.19",
        village_code="35.07.19.2005",
        category="rat",
        channel="letter",
        letter_date=date(2024, 10, 31),
        received_on=date(2024, 11, 4),
    )
    assert requests.projection.fold([received(1, REQUEST, asked)]) == {
        REQUEST: RequestRow(
            request_id=REQUEST,
            cooperative_id=COOPERATIVE,
            kecamatan_code="35.07.19",
            village_code="35.07.19.2005",
            category="rat",
            channel="letter",
            letter_date=date(2024, 10, 31),
            received_on=date(2024, 11, 4),
            state="requested",
        )
    }
