"""Which of the rat service's events the world gets to know, and in which words: one public event for each."""

from typing import assert_never
from uuid import UUID

from contracts import rat
from services.rat.domain.annual_meetings import (
    MeetingEvent,
    RATAnnulled,
    RATAttested,
    RATCorrected,
    RATHeld,
    RATPlanned,
    RATVerified,
    WarningIssued,
)


def publish(stream_id: UUID, event: MeetingEvent) -> rat.RATEvent:
    """Return the public event of a stored one; `stream_id` is the cooperative."""
    match event:
        case RATHeld():
            return rat.RATHeld(cooperative_id=stream_id, **vars(event))
        case RATVerified():
            return rat.RATVerified(cooperative_id=stream_id, **vars(event))
        case RATCorrected():
            return rat.RATCorrected(cooperative_id=stream_id, **event.model_dump(mode="json"))
        case RATAnnulled():
            return rat.RATAnnulled(cooperative_id=stream_id, **vars(event))
        case RATAttested():
            return rat.RATAttested(cooperative_id=stream_id, **vars(event))
        case RATPlanned():
            return rat.RATPlanned(cooperative_id=stream_id, **vars(event))
        case WarningIssued():
            return rat.WarningIssued(cooperative_id=stream_id, **vars(event))
        case _:
            assert_never(event)
