"""What the mentoring service tells the world about PUAS requests: ids, codes, kinds and dates, never people."""

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import PublicEvent
from contracts.fields import KecamatanCode, VillageCode

type Category = Literal["rat", "bookkeeping", "vacant_board", "dispute", "legality", "business", "bad_loans", "other"]
type Channel = Literal["letter", "phone", "web", "visit", "camat"]


class MentoringRequested(PublicEvent):
    """Somebody asked the office to mentor a cooperative."""

    service: ClassVar[str] = "mentoring"

    request_id: UUID
    cooperative_id: UUID | None = Field(description="Null when the cooperative is not known to the register")
    kecamatan_code: KecamatanCode = Field(description="Of the request's own location")
    village_code: VillageCode | None = None
    category: Category
    channel: Channel
    letter_date: date | None = None
    received_on: date


EVENTS: tuple[type[PublicEvent], ...] = (MentoringRequested,)
