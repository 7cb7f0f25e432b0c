"""What was done to a projection: one stream a projection, beside the streams of the service's own business."""

from collections.abc import Sequence
from uuid import NAMESPACE_URL, UUID, uuid5

from chassis.definitions.decider import Command, Decider, Event

STREAM = "projection"


class ProjectionRebuilt(Event):
    """A projection was replayed into a new generation, which went live.

    `digest` is the SHA-256 of its rows when it was compared with the generation before; `added`, `changed` and
    `removed` count the rows that differed then. The reason stays inside: an operator wrote it freely.
    """

    projection: str
    generation: int
    version: int
    code: str
    positions: dict[str, int]
    rows: int
    digest: str
    added: int
    changed: int
    removed: int
    reason: str | None = None


class RecordRebuild(Command):
    """Record that a generation went live."""

    rebuilt: ProjectionRebuilt


def projection_id(service: str, projection: str) -> UUID:
    """Return the id of a projection's stream: the same everywhere."""
    return uuid5(NAMESPACE_URL, f"/dinkop/{service}/projections/{projection}")


def evolve(state: None, event: ProjectionRebuilt) -> None:
    """Return nothing: no rule asks what was rebuilt before."""


def decide(command: RecordRebuild, state: None) -> Sequence[ProjectionRebuilt]:
    """Return what happened: it has happened already."""
    return [command.rebuilt]


decider = Decider(stream=STREAM, initial=None, evolve=evolve, decide=decide, events=(ProjectionRebuilt,))
