"""Field types that events of several services share, and what every event about a cooperative carries."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.envelope import PublicEvent

LARGEST_EXACT_INTEGER = 2**53 - 1
"""RFC 7493: beyond it, readers that keep JSON numbers as doubles lose digits."""

type KecamatanCode = Annotated[
    str, Field(pattern=r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}$", description="Kemendagri code of a kecamatan, e.g. 35.07.21")
]
type VillageCode = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}\.[0-9]{4}$",
        description="Kemendagri code of a desa or kelurahan, e.g. 35.07.21.2003",
    ),
]
type BookYear = Annotated[int, Field(ge=1900, le=2999, description="Calendar year whose books a meeting closes")]
type Count = Annotated[int, Field(ge=0, le=LARGEST_EXACT_INTEGER, description="A number of people")]
type Rupiah = Annotated[
    int, Field(ge=-LARGEST_EXACT_INTEGER, le=LARGEST_EXACT_INTEGER, description="Whole rupiah; may be negative")
]
type Changes = Annotated[
    dict[str, str | int | bool | None],
    Field(
        description="Only the fields that changed, with their new values; null means: now without a value. "
        "Dates and ids are text, as in the event that first carried the field"
    ),
]


class AboutCooperative(PublicEvent):
    """Something happened to one cooperative."""

    cooperative_id: UUID = Field(description="The cooperative, as the registry knows it; also `ce-subject`")
    kecamatan_code: KecamatanCode | None = Field(
        description="The cooperative's kecamatan after this event; null when it could not be resolved"
    )
