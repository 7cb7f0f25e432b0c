"""The cooperatives the registry has told us about: which exist, where they sit now, how lists name them."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from chassis.definitions.projection import Projection, Received, Row
from contracts import registry
from contracts.identity import legal_entity_key
from services.rat.domain.imports import KnownCooperative, Register

table = sa.Table(
    "cooperatives",
    sa.MetaData(),
    sa.Column("cooperative_id", sa.Uuid, primary_key=True),
    sa.Column("nik", sa.Text),
    sa.Column("number_key", sa.Text),
    sa.Column("kecamatan_code", sa.Text),
    sa.Column("moved_on", sa.Date),
    sa.Column("dissolved_on", sa.Date),
)


class CooperativeRow(Row, frozen=True):
    """One cooperative. `moved_on` is the date of its last known relocation."""

    cooperative_id: UUID
    nik: str | None
    number_key: str | None
    kecamatan_code: str | None
    moved_on: date | None = None
    dissolved_on: date | None = None


def _registered(row: CooperativeRow | None, received: Received[registry.CooperativeRegistered]) -> CooperativeRow:
    event = received.data
    number = event.legal_entity_number
    return CooperativeRow(
        received.subject, event.nik, legal_entity_key(number) if number else None, event.kecamatan_code
    )


def _changed(
    row: CooperativeRow | None, received: Received[registry.CooperativeCorrected | registry.MinistryRecordChanged]
) -> CooperativeRow | None:
    if row is None:
        return None
    changes = received.data.changes
    number = changes.get("legal_entity_number")
    return msgspec.structs.replace(
        row,
        nik=changes.get("nik", row.nik),
        number_key=legal_entity_key(number) if isinstance(number, str) else row.number_key,
        kecamatan_code=received.data.kecamatan_code,
    )


def _relocated(row: CooperativeRow | None, received: Received[registry.CooperativeRelocated]) -> CooperativeRow | None:
    event = received.data
    if row is None or (row.moved_on and event.effective_on < row.moved_on):
        return row
    return msgspec.structs.replace(row, kecamatan_code=event.kecamatan_code, moved_on=event.effective_on)


def _dissolved(row: CooperativeRow | None, received: Received[registry.RemovalApproved]) -> CooperativeRow | None:
    return row and msgspec.structs.replace(row, dissolved_on=received.data.decided_on)


projection = Projection(
    name="cooperatives",
    version=1,
    table=table,
    row=CooperativeRow,
    handlers={
        registry.CooperativeRegistered: _registered,
        registry.CooperativeCorrected: _changed,
        registry.MinistryRecordChanged: _changed,
        registry.CooperativeRelocated: _relocated,
        registry.RemovalApproved: _dissolved,
    },
)


def every() -> sa.Select[Any]:
    """Return the query of all cooperatives."""
    return sa.select(table)


def register_of(rows: Iterable[CooperativeRow]) -> Register:
    """Return the rows by the two ways in which a list names a cooperative."""
    by_nik: dict[str, KnownCooperative] = {}
    by_number: dict[str, list[KnownCooperative]] = {}
    for row in rows:
        known = KnownCooperative(row.cooperative_id, row.nik, row.kecamatan_code, row.dissolved_on is not None)
        if row.nik:
            by_nik[row.nik] = known
        if row.number_key:
            by_number.setdefault(row.number_key, []).append(known)
    return Register(by_nik, by_number)
