"""What reporting tells the world: verdicts that changed, and the reports that camats get and act on."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from contracts.envelope import PublicEvent, timestamp
from contracts.fields import AboutCooperative, Count, KecamatanCode

type HealthStatus = Annotated[
    Literal["not_yet_due", "healthy", "on_track", "inconsistent", "lapsed"],
    Field(
        description="healthy: all three book years held; on_track: all of one or two; inconsistent: some; lapsed: none"
    ),
]
type Policy = Annotated[str, Field(description="Name of the rule that was applied, e.g. rat-3y-2024")]


class HealthStatusChanged(AboutCooperative):
    """A cooperative's health changed, by an event or because a deadline passed."""

    service: ClassVar[str] = "reporting"

    from_: HealthStatus | None = Field(alias="from", description="Null when it was not counted before")
    to: HealthStatus | None = Field(description="Null when it is no longer counted")
    as_of: date = Field(description="The day at which it was found so: the first, unless nothing ran on that day")
    policy: Policy


class CamatReportNumbers(BaseModel):
    """The counts of one kecamatan: registered = not_yet_due + obliged, the latter the sum of the four that follow."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    registered: Count
    not_yet_due: Count
    obliged: Count
    healthy: Count
    on_track: Count
    inconsistent: Count
    lapsed: Count
    held_latest: Count = Field(description="Held the latest book year")
    not_found: Count = Field(description="Not found where they should be, of those registered")
    removal_proposed: Count
    mentoring_open: Count = Field(description="Open requests for mentoring, by their own location")


class AboutCamatReport(PublicEvent):
    """Something happened to one report that a camat gets."""

    service: ClassVar[str] = "reporting"

    report_id: UUID = Field(description="The report; also `ce-subject`")
    kecamatan_code: KecamatanCode


class CamatReportIssued(AboutCamatReport):
    """A report on the cooperatives of a kecamatan was frozen and issued to its camat."""

    period: str = Field(
        pattern=r"^[0-9]{4}-(Q[1-4]|S[12]|(0[1-9]|1[0-2]))$",
        description="A quarter (2026-Q3), semester (2026-S1) or month (2026-07)",
    )
    issued_on: date = Field(description="The day it was issued")
    as_of: date = Field(description="The day whose state it shows")
    known_at: Annotated[datetime, PlainSerializer(timestamp, return_type=str)] = Field(
        description="By what had been recorded then"
    )
    positions: dict[str, int] = Field(description="Per service, the last event it knows of")
    policy: Policy
    numbers: CamatReportNumbers
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the bytes of its PDF")


class CamatReportAcknowledged(AboutCamatReport):
    """The camat confirmed having received a report."""

    acknowledged_on: date = Field(description="The day the camat confirmed")


class CamatFollowUpRecorded(AboutCamatReport):
    """The camat, or somebody for them, did something about a cooperative of a report."""

    cooperative_id: UUID = Field(description="Which cooperative was followed up")
    action: str = Field(description="What was done, in a few words")
    done_on: date = Field(description="The day it was done")


EVENTS: tuple[type[PublicEvent], ...] = (
    HealthStatusChanged,
    CamatReportIssued,
    CamatReportAcknowledged,
    CamatFollowUpRecorded,
)
