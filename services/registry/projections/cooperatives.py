"""The register as lists and searches read it: one row a cooperative, its present values."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from chassis.definitions.projection import Projection, Received, Row
from contracts import registry

table = sa.Table(
    "cooperatives",
    sa.MetaData(),
    sa.Column("cooperative_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("legal_entity_number", sa.Text),
    sa.Column("legal_entity_date", sa.Date),
    sa.Column("nik", sa.Text),
    sa.Column("tier", sa.Text, nullable=False),
    sa.Column("scope", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("group", sa.Text),
    sa.Column("sector", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("kecamatan_code", sa.Text, index=True),
    sa.Column("kecamatan_text", sa.Text),
    sa.Column("village_code", sa.Text),
    sa.Column("members_total", sa.Integer),
    sa.Column("nik_grade", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("existence", sa.Text, nullable=False),
    sa.Column("finding", sa.Text),
    sa.Column("traced_on", sa.Date),
    sa.Column("moved_on", sa.Date),
)


class CooperativeRow(Row, frozen=True):
    """A cooperative as it stands now. `finding` is the last, of `traced_on`; `moved_on` is the last relocation's."""

    cooperative_id: UUID
    version: int
    name: str
    legal_entity_number: str | None
    legal_entity_date: date | None
    nik: str | None
    tier: str
    scope: str | None
    type: str | None
    group: str | None
    sector: str | None
    address: str | None
    kecamatan_code: str | None
    kecamatan_text: str | None
    village_code: str | None
    members_total: int | None
    nik_grade: str | None
    source: str
    existence: str = "registered"
    finding: str | None = None
    traced_on: date | None = None
    moved_on: date | None = None


def _registered(row: CooperativeRow | None, received: Received[registry.CooperativeRegistered]) -> CooperativeRow:
    event = received.data
    return CooperativeRow(
        cooperative_id=received.subject,
        version=received.stream_version,
        name=event.name,
        legal_entity_number=event.legal_entity_number,
        legal_entity_date=event.legal_entity_date,
        nik=event.nik,
        tier=event.tier,
        scope=event.scope,
        type=event.type,
        group=event.group,
        sector=event.sector,
        address=event.address,
        kecamatan_code=event.kecamatan_code,
        kecamatan_text=event.kecamatan_text,
        village_code=event.village_code,
        members_total=event.members_total,
        nik_grade=event.nik_grade,
        source=event.source,
    )


_PLACE = ("address", "kecamatan_code", "village_code")


def _changed(
    row: CooperativeRow | None, received: Received[registry.CooperativeCorrected | registry.MinistryRecordChanged]
) -> CooperativeRow | None:
    if row is None:
        return None
    changes = {**received.data.changes}
    if row.moved_on and (received.type == "MinistryRecordChanged" or "kecamatan_code" in changes):
        # It speaks of the registered place, and a relocation came on top.
        for name in _PLACE:
            changes.pop(name, None)
    return _with(row, received, changes)


def _relocated(row: CooperativeRow | None, received: Received[registry.CooperativeRelocated]) -> CooperativeRow | None:
    if row is None:
        return None
    event = received.data
    if row.moved_on and event.effective_on < row.moved_on:
        return _with(row, received, {})
    place = {"kecamatan_code": event.kecamatan_code, "village_code": event.village_code, "address": event.address}
    return _with(row, received, {**place, "moved_on": event.effective_on.isoformat()})


def _traced(row: CooperativeRow | None, received: Received[registry.CooperativeTraced]) -> CooperativeRow | None:
    if row is None:
        return None
    event = received.data
    if row.traced_on and event.traced_on < row.traced_on:
        return _with(row, received, {})
    # A removal that is proposed and not decided goes before what is found meanwhile.
    existence = row.existence if row.existence == "removal_proposed" else event.finding
    return _with(row, received, {"finding": event.finding, "traced_on": event.traced_on, "existence": existence})


def _removal_proposed(
    row: CooperativeRow | None, received: Received[registry.RemovalProposed]
) -> CooperativeRow | None:
    return row and _with(row, received, {"existence": "removal_proposed"})


def _removal_approved(
    row: CooperativeRow | None, received: Received[registry.RemovalApproved]
) -> CooperativeRow | None:
    return row and _with(row, received, {"existence": "dissolved"})


def _removal_rejected(
    row: CooperativeRow | None, received: Received[registry.RemovalRejected]
) -> CooperativeRow | None:
    return row and _with(row, received, {"existence": row.finding or "registered"})


def _with(row: CooperativeRow, received: Received[Any], changes: Mapping[str, Any]) -> CooperativeRow:
    values = msgspec.structs.asdict(row) | dict(changes) | {"version": received.stream_version}
    return msgspec.convert(values, CooperativeRow)


projection = Projection(
    name="cooperatives",
    version=2,
    table=table,
    row=CooperativeRow,
    handlers={
        registry.CooperativeRegistered: _registered,
        registry.CooperativeCorrected: _changed,
        registry.MinistryRecordChanged: _changed,
        registry.CooperativeRelocated: _relocated,
        registry.CooperativeTraced: _traced,
        registry.RemovalProposed: _removal_proposed,
        registry.RemovalApproved: _removal_approved,
        registry.RemovalRejected: _removal_rejected,
    },
)


def page(
    *, kecamatan_code: str | None, q: str | None, existence: str | None, after: UUID | None, limit: int
) -> sa.Select[Any]:
    """Return the query of one page, by id; one row more than `limit` tells whether there is another page.

    `q` finds a part of the name in any case, a NIK, or a part of the legal entity number.
    """
    query = sa.select(table).order_by(table.c.cooperative_id).limit(limit + 1)
    if kecamatan_code is not None:
        query = query.where(table.c.kecamatan_code == kecamatan_code)
    if existence is not None:
        query = query.where(table.c.existence == existence)
    if q is not None:
        query = query.where(
            table.c.name.icontains(q, autoescape=True)
            | (table.c.nik == q)
            | table.c.legal_entity_number.icontains(q, autoescape=True)
        )
    if after is not None:
        query = query.where(table.c.cooperative_id > after)
    return query
