"""The cooperatives there are, so that a request names none that does not exist."""

from uuid import UUID

from sqlalchemy import Column, MetaData, Table, Text, Uuid

from chassis.definitions.projection import Projection, Received, Row
from contracts import registry

table = Table(
    "cooperatives",
    MetaData(),
    Column("cooperative_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
)


class CooperativeRow(Row, frozen=True):
    """A cooperative under its present name."""

    cooperative_id: UUID
    name: str


def _registered(row: CooperativeRow | None, received: Received[registry.CooperativeRegistered]) -> CooperativeRow:
    return CooperativeRow(received.subject, received.data.name)


def _changed(
    row: CooperativeRow | None, received: Received[registry.CooperativeCorrected | registry.MinistryRecordChanged]
) -> CooperativeRow | None:
    name = received.data.changes.get("name")
    return CooperativeRow(received.subject, name) if isinstance(name, str) else row


projection = Projection(
    name="cooperatives",
    version=1,
    table=table,
    row=CooperativeRow,
    handlers={
        registry.CooperativeRegistered: _registered,
        registry.CooperativeCorrected: _changed,
        registry.MinistryRecordChanged: _changed,
    },
)
