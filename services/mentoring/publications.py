"""What the world learns of a request: ids, codes, kinds and dates; nothing that is sealed."""

from typing import assert_never
from uuid import UUID

from contracts import mentoring as public
from services.mentoring.domain.request import MentoringRequested, RequestEvent


def publish(stream_id: UUID, event: RequestEvent) -> public.MentoringRequested:
    """Return the public event of a stored one."""
    match event:
        case MentoringRequested():
            return public.MentoringRequested(
                request_id=stream_id,
                cooperative_id=event.cooperative_id,
                kecamatan_code=event.kecamatan_code,
                village_code=event.village_code,
                category=event.category,
                channel=event.channel,
                letter_date=event.letter_date,
                received_on=event.received_on,
            )
        case _:
            assert_never(event)
