"""What reporting tells the world: verdicts that changed."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.envelope import PublicEvent
from contracts.fields import AboutCooperative

type HealthStatus = Literal["not_yet_due", "healthy", "on_track", "inconsistent", "lapsed"]
type Policy = Annotated[str, Field(description="Name of the rule that was applied, e.g. rat-3y-2024")]


class HealthStatusChanged(AboutCooperative):
    """A cooperative's health changed, by an event or because a deadline passed."""

    service: ClassVar[str] = "reporting"

    from_: HealthStatus | None = Field(alias="from", description="Null when it was not counted before")
    to: HealthStatus | None = Field(description="Null when it is no longer counted")
    as_of: date = Field(description="The day from which the new status holds")
    policy: Policy


EVENTS: tuple[type[PublicEvent], ...] = (HealthStatusChanged,)
