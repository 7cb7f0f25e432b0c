"""What reporting tells the world of its own stored events."""

from typing import assert_never
from uuid import UUID

from contracts import reporting as public
from contracts.envelope import PublicEvent
from services.reporting.domain.announced_health import AnnouncedEvent, HealthStatusChanged
from services.reporting.domain.camat_report_issue import (
    CamatFollowUpRecorded,
    CamatReportAcknowledged,
    CamatReportEvent,
    CamatReportIssued,
)


def publish(stream_id: UUID, event: AnnouncedEvent | CamatReportEvent) -> PublicEvent:
    """Return the public event of a stored one."""
    match event:
        case HealthStatusChanged():
            return public.HealthStatusChanged(
                cooperative_id=stream_id,
                kecamatan_code=event.kecamatan_code,
                from_=event.before,
                to=event.after,
                as_of=event.as_of,
                policy=event.policy,
            )
        case CamatReportIssued():
            return public.CamatReportIssued(
                report_id=stream_id,
                kecamatan_code=event.kecamatan_code,
                period=event.period,
                issued_on=event.issued_on,
                as_of=event.as_of,
                known_at=event.known_at,
                positions=event.positions,
                policy=event.policy,
                numbers=public.CamatReportNumbers(**dict(event.numbers)),
                sha256=event.sha256,
            )
        case CamatReportAcknowledged():
            return public.CamatReportAcknowledged(
                report_id=stream_id, kecamatan_code=event.kecamatan_code, acknowledged_on=event.acknowledged_on
            )
        case CamatFollowUpRecorded():
            # Without the notes: they are anybody's words.
            return public.CamatFollowUpRecorded(
                report_id=stream_id,
                kecamatan_code=event.kecamatan_code,
                cooperative_id=event.cooperative_id,
                action=event.action,
                done_on=event.done_on,
            )
        case _:
            assert_never(event)
