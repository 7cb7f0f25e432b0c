"""What every service tells the world of its own operation."""

from inspect import cleandoc
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.envelope import SERVICES, PublicEvent
from contracts.fields import Count

type Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, hex")]


class ProjectionRebuilt(PublicEvent):
    """A read model was replayed from the events and put in place of the one before.

    `positions` says up to which event of each service it was read. `digest` is the SHA-256 of its `rows` rows when it
    was compared with the one before; `added`, `changed` and `removed` count the rows that differed, which is none
    unless the projection's `version` changed or an operator accepted it. `code` is a digest of the code that did it.
    """

    projection_id: UUID = Field(description="The projection; also `ce-subject`")
    projection: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Without its service")]
    generation: int = Field(description="The number of the new copy of its rows")
    version: int = Field(description="Of the projection's rules")
    code: Digest
    positions: dict[str, int] = Field(description="Per service, the last event it was read up to")
    rows: Count
    digest: Digest
    added: Count
    changed: Count
    removed: Count


REBUILT: dict[str, type[ProjectionRebuilt]] = {
    service: type(
        ProjectionRebuilt.__name__,
        (ProjectionRebuilt,),
        {"service": service, "__module__": __name__, "__doc__": cleandoc(ProjectionRebuilt.__doc__ or "")},
    )
    for service in SERVICES
}
"""The event as each service publishes it."""

EVENTS: tuple[type[PublicEvent], ...] = tuple(REBUILT.values())
