"""What an operator is told of one service, and of each generation of its projections."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from chassis.engine.lag import Trend


class Told(BaseModel):
    """Something that an operator is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class StoreState(Told):
    """The event store."""

    position: int = Field(description="number of the last event", examples=[2588])


class RelayState(Told):
    """The relay, which publishes what is stored; null where another replica leads."""

    published: int | None = Field(description="number of the last event that is on the stream", examples=[2588])
    backlog: int | None = Field(description="events stored and not on the stream yet", examples=[0])
    last_error: str | None = Field(description="why it stands still, if it does")


class WritesState(Told):
    """Whether commands are accepted; reads go on in any case."""

    accepted: bool
    reason: str | None = Field(description="why not, and what to do")


class ReconciledState(Told):
    """The last comparison of the store with the stream."""

    at: datetime = Field(examples=["2024-11-14T02:10:55.104221Z"])
    age_seconds: float = Field(examples=[3600.0])
    position: int = Field(description="the store's last event that it covered", examples=[2588])
    fine: bool = Field(description="every event was on the stream once and in order, and nothing else")


class OtherGeneration(Told):
    """A generation of a projection besides the live one."""

    generation: int = Field(examples=[2])
    version: int = Field(examples=[1])
    status: str = Field(examples=["previous"])
    made_at: datetime = Field(examples=["2024-11-12T23:58:40.771035Z"])


class ProjectionState(Told):
    """One generation of a projection. What is not known here, because another replica leads, is null."""

    name: str = Field(examples=["reporting.health_status"])
    version: int = Field(description="of the code that this generation was built by", examples=[1])
    code_version: int = Field(description="of the code that runs here; where it differs, rebuild", examples=[1])
    generation: int = Field(examples=[3])
    status: str = Field(description="live is what readers see", examples=["live"])
    others: list[OtherGeneration] = Field([], description="beside the live one: the other generations there are")
    positions: dict[str, int] = Field(
        description="last event applied, of each service", examples=[{"registry": 2588, "rat": 1371}]
    )
    head: dict[str, int] = Field(description="last event on the stream", examples=[{"registry": 2588, "rat": 1371}])
    lag_events: int | None = Field(description="events on the stream that it has not applied", examples=[0])
    lag_seconds: float | None = Field(description="age of the first of them; 0 when there is none", examples=[0.0])
    trend: Trend | None = Field(None, description="of the lag in events, over the last minute", examples=["steady"])
    stalled: bool | None = Field(
        None,
        description="it has not moved for a minute, though there is something to do and nobody paused it",
        examples=[False],
    )
    paused: bool = Field(examples=[False])
    paused_by: str | None = Field(examples=["local"])
    paused_since: datetime | None = Field(examples=["2024-11-14T03:01:12.000417Z"])
    parked: int = Field(0, description="events set aside because they could not be applied", examples=[0])
    last_error: str | None = Field(description="what stopped it, if anything did")
    made_at: datetime = Field(examples=["2024-11-13T23:58:40.771035Z"])
    moved_at: datetime = Field(description="when it last applied something", examples=["2024-11-14T03:04:05.060708Z"])

    @property
    def live(self) -> bool:
        """Tell whether this is the generation that readers see."""
        return self.status == "live"


class ProjectionList(Told):
    """Every generation of every projection."""

    items: list[ProjectionState]
    next_cursor: str | None


class ServiceState(ProjectionList):
    """One service: its store, its relay, every projection."""

    service: str = Field(examples=["reporting"])
    leading: bool = Field(description="this process carries the background work; of several replicas, one does")
    store: StoreState
    relay: RelayState
    writes: WritesState
    parked_reactions: dict[str, int] = Field(
        description="events set aside by reactions, where there are any", examples=[{"reaction:visit": 1}]
    )
    reconciled: ReconciledState | None = Field(description="null when `dinkop reconcile` has never been run")
