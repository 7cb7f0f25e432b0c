"""What the rat service tells the world: annual members' meetings held, verified, planned, missed."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.envelope import PublicEvent
from contracts.fields import AboutCooperative, BookYear, Changes, Count, Rupiah

type MeetingMode = Annotated[
    Literal["in_person", "online", "written"],
    Field(description="How the members met"),
]
type RATSource = Annotated[Literal["office", "ods", "nik_grade"], Field(description="Where the record came from")]
type AttestationSource = Annotated[
    Literal["nik_grade"], Field(description="What attests it: the Ministry gave a grade that needs this meeting")
]
type WarningLevel = Annotated[Literal[1, 2, 3], Field(description="Surat peringatan 1, 2 or 3")]


class RATEvent(AboutCooperative):
    """Something the rat service recorded about one cooperative's book year."""

    service: ClassVar[str] = "rat"

    book_year: BookYear


class RATHeld(RATEvent):
    """A cooperative's annual members' meeting for a book year was recorded."""

    held_on: date = Field(description="The day of the meeting")
    reported_on: date | None = Field(None, description="When the cooperative told the office")
    verified_on: date | None = Field(None, description="When the office verified it")
    mode: MeetingMode | None = None
    members_total: Count | None = None
    members_present: Count | None = None
    second_meeting: bool = Field(False, description="An adjourned meeting, which needs no quorum of half")
    minutes_number: str | None = Field(None, description="Nomor berita acara")
    accountability_accepted: bool | None = Field(None, description="The meeting accepted the board's accountability")
    own_capital: Rupiah | None = None
    outside_capital: Rupiah | None = None
    total_assets: Rupiah | None = None
    turnover: Rupiah | None = None
    net_surplus: Rupiah | None = Field(None, description="Sisa hasil usaha; negative is a loss")
    source: RATSource


class RATVerified(RATEvent):
    """The office verified the record of an annual meeting."""

    verified_on: date = Field(description="The day the office verified it")


class RATCorrected(RATEvent):
    """The record of an annual meeting was corrected; an earlier verification falls."""

    changes: Changes
    reason: str = Field(description="Why, in the officer's words")


class RATAnnulled(RATEvent):
    """The record of an annual meeting was declared void; the book year can be recorded again."""

    reason: str = Field(description="Why, in the officer's words")


class RATAttested(RATEvent):
    """A book year counts as held because the Ministry's grade needs it, though nobody knows the date."""

    source: AttestationSource = "nik_grade"
    last_held_on: date | None = Field(None, description="The last meeting in the same row of the source")


class RATPlanned(RATEvent):
    """A cooperative announced when and where it will hold its annual meeting."""

    planned_on: date = Field(description="The day it is to be held")
    venue: str = Field(description="Where, as announced")


class WarningIssued(RATEvent):
    """The office warned a cooperative that it had not held its annual meeting."""

    level: WarningLevel
    letter_number: str = Field(description="Of the letter of warning, as written")
    letter_date: date = Field(description="The day of the letter")


EVENTS: tuple[type[PublicEvent], ...] = (
    RATHeld,
    RATVerified,
    RATCorrected,
    RATAnnulled,
    RATAttested,
    RATPlanned,
    WarningIssued,
)
