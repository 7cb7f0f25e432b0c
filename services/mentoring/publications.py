"""What the world learns of a request: ids, codes, kinds and dates; nothing that is sealed, and no number of people."""

from typing import assert_never
from uuid import UUID

from contracts import mentoring as public
from services.mentoring.domain.request import (
    MentoringAccepted,
    MentoringActivityHeld,
    MentoringCompleted,
    MentoringDeclined,
    MentoringPeopleForgotten,
    MentoringRedirected,
    MentoringRequested,
    RequestEvent,
)


def publish(stream_id: UUID, event: RequestEvent) -> public.AboutRequest:
    """Return the public event of a stored one; `stream_id` is the request."""
    # Field by field: what a stored event gains later stays private until somebody decides otherwise here.
    about = {
        "request_id": stream_id,
        "cooperative_id": event.cooperative_id,
        "kecamatan_code": event.kecamatan_code,
    }
    match event:
        case MentoringRequested():
            return public.MentoringRequested(
                **about,
                village_code=event.village_code,
                category=event.category,
                channel=event.channel,
                letter_date=event.letter_date,
                received_on=event.received_on,
            )
        case MentoringAccepted():
            return public.MentoringAccepted(**about, accepted_on=event.accepted_on, visit_on=event.visit_on)
        case MentoringDeclined():
            return public.MentoringDeclined(**about, declined_on=event.declined_on)
        case MentoringRedirected():
            return public.MentoringRedirected(**about, redirected_on=event.redirected_on)
        case MentoringActivityHeld():
            return public.MentoringActivityHeld(**about, kind=event.kind, held_on=event.held_on)
        case MentoringCompleted():
            return public.MentoringCompleted(**about, outcome=event.outcome, completed_on=event.completed_on)
        case MentoringPeopleForgotten():
            return public.MentoringPeopleForgotten(**about, forgotten_on=event.forgotten_on)
        case _:
            assert_never(event)
