"""What the mentoring service tells the world about PUAS requests: ids, codes, kinds and dates, never people."""

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import PublicEvent
from contracts.fields import KecamatanCode, VillageCode

type Category = Annotated[
    Literal["rat", "bookkeeping", "vacant_board", "dispute", "legality", "business", "bad_loans", "other"],
    Field(description="What help is asked for"),
]
type Channel = Annotated[
    Literal["letter", "phone", "web", "visit", "camat"],
    Field(description="How the request reached the office"),
]
type ActivityKind = Annotated[
    Literal["visit", "training", "monitoring", "evaluation", "rat_attendance"],
    Field(description="training is bimtek; rat_attendance: the team was at the annual members' meeting"),
]
type Outcome = Annotated[
    Literal["rat_held", "active_again", "merged", "dissolution_path", "unreachable", "withdrawn"],
    Field(description="What came of the mentoring"),
]


class AboutRequest(PublicEvent):
    """Something happened to one request for mentoring."""

    service: ClassVar[str] = "mentoring"

    request_id: UUID = Field(description="The request; also `ce-subject`")
    cooperative_id: UUID | None = Field(description="Null when the cooperative is not known to the register")
    kecamatan_code: KecamatanCode = Field(description="Of the request's own location")


class MentoringRequested(AboutRequest):
    """Somebody asked the office to mentor a cooperative."""

    village_code: VillageCode | None = None
    category: Category
    channel: Channel
    letter_date: date | None = Field(None, description="Of the letter that asks, if one does")
    received_on: date = Field(description="The day the office got it; it is open from then on")


class MentoringAccepted(AboutRequest):
    """The office took a request on; a team will visit."""

    accepted_on: date = Field(description="The day it was accepted")
    visit_on: date = Field(description="When the team means to come")


class MentoringDeclined(AboutRequest):
    """The office declined a request; it is closed."""

    declined_on: date = Field(description="The day it was declined")


class MentoringRedirected(AboutRequest):
    """The office handed a request on to somebody else; here it is closed."""

    redirected_on: date = Field(description="The day it was handed on")


class MentoringActivityHeld(AboutRequest):
    """The team visited, trained, monitored, evaluated, or was at the annual members' meeting."""

    kind: ActivityKind
    held_on: date = Field(description="The day of the activity")


class MentoringCompleted(AboutRequest):
    """The mentoring is over; the request is closed."""

    outcome: Outcome
    completed_on: date = Field(description="The day it ended")


class MentoringPeopleForgotten(AboutRequest):
    """The personal data of a request was erased for good; how far the request had come stays as it was."""

    forgotten_on: date = Field(description="The day the data was erased")


EVENTS: tuple[type[PublicEvent], ...] = (
    MentoringRequested,
    MentoringAccepted,
    MentoringDeclined,
    MentoringRedirected,
    MentoringActivityHeld,
    MentoringCompleted,
    MentoringPeopleForgotten,
)
