"""The list of issued reports, folded from reporting's own public events."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from chassis.definitions.projection import Received
from contracts import reporting
from contracts.envelope import PublicEvent
from services.reporting.domain import camat_report_issue as issue
from services.reporting.domain.camat_report_numbers import Numbers
from services.reporting.domain.counts import Counts
from services.reporting.projections.camat_reports import (
    acknowledgements_of,
    follow_ups_of,
    numbers_of,
    positions_of,
    projection,
)
from services.reporting.publications import publish

REPORT, MELATI = UUID(int=1), UUID(int=2)
START = datetime(2024, 10, 7, 2, tzinfo=UTC)
NUMBERS = Numbers.of(Counts(registered=3, obliged=3, healthy=2, lapsed=1))
ISSUED = issue.CamatReportIssued(
    kecamatan_code="35.07.21",
    period="2024-Q3",
    issued_on=date(2024, 10, 7),
    as_of=date(2024, 9, 30),
    known_at=START,
    positions={"registry": 9, "rat": 4},
    policy="rat-3y-2024",
    numbers=NUMBERS,
    sha256="ab" * 32,
    documents={"pdf": "ab" * 32, "html": "cd" * 32},
    cooperatives=(MELATI,),
)
ACKNOWLEDGED = issue.CamatReportAcknowledged(kecamatan_code="35.07.21", acknowledged_on=date(2024, 10, 9))
FOLLOWED_UP = issue.CamatFollowUpRecorded(
    kecamatan_code="35.07.21", cooperative_id=MELATI, action="Kunjungan", done_on=date(2024, 10, 20), notes="Bu Sri"
)


def received(sequence: int, event: PublicEvent) -> Received[PublicEvent]:
    time = START + timedelta(days=sequence)
    id_, subject = str(UUID(int=sequence)), str(REPORT)
    return Received("reporting", event.type_name(), sequence, id_, subject, sequence, time, event)


def test_an_issued_report_is_listed_with_what_became_of_it() -> None:
    events = [publish(REPORT, event) for event in (ISSUED, ACKNOWLEDGED, FOLLOWED_UP)]
    (row,) = projection.fold(received(n, event) for n, event in enumerate(events, 1)).values()
    assert (row.report_id, row.sequence, row.version, row.issued_at) == (REPORT, 1, 3, START + timedelta(days=1))
    assert (row.kecamatan_code, row.period, row.sha256) == ("35.07.21", "2024-Q3", "ab" * 32)
    assert numbers_of(row) == NUMBERS
    assert positions_of(row) == {"registry": 9, "rat": 4}
    (acknowledged,) = acknowledgements_of(row)
    assert (acknowledged.acknowledged_on, acknowledged.recorded_at) == (date(2024, 10, 9), START + timedelta(days=2))
    (done,) = follow_ups_of(row)
    assert (done.cooperative_id, done.action, done.done_on) == (MELATI, "Kunjungan", date(2024, 10, 20))


@pytest.mark.parametrize("event", [ISSUED, ACKNOWLEDGED, FOLLOWED_UP], ids=lambda event: type(event).__name__)
def test_every_event_is_published_under_its_report_and_kecamatan(event: issue.CamatReportEvent) -> None:
    public = publish(REPORT, event)
    assert public.type_name() == type(event).__name__
    assert isinstance(public, reporting.AboutCamatReport)
    assert public.report_id == REPORT
    assert public.kecamatan_of_subject == "35.07.21"


def test_the_notes_of_a_follow_up_stay_here() -> None:
    assert "Bu Sri" in FOLLOWED_UP.model_dump_json()
    assert "Bu Sri" not in publish(REPORT, FOLLOWED_UP).model_dump_json()
