"""Registering a cooperative, correcting its record, recording that it moved."""

from typing import Annotated
from uuid import UUID

import fastapi
from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions import clock
from chassis.definitions.decider import Invalid
from chassis.definitions.values import Date, KecamatanCode, Text, VillageCode
from chassis.http.calls import Body, CallOf
from chassis.http.routing import Routes
from contracts import regions, roles
from services.registry.api.streams import Accepted, execute
from services.registry.domain.cooperative import (
    Changes,
    CorrectCooperative,
    RegisterCooperative,
    Registration,
    RelocateCooperative,
)

routes = Routes()

EXAMPLE = {
    "name": "Koperasi Tani Contoh",
    "legal_entity_number": "518/12/BH/2012",
    "legal_entity_date": "2012-05-14",
    "kecamatan_code": "35.07.21",
    "village_code": "35.07.21.2003",
    "address": "Jl. Raya Wagir 12",
    "type": "producer",
    "members_total": 42,
}
"""A registration as an office would write it."""


class UnknownKecamatan(Invalid):
    """The kecamatan must be one of this regency's."""


class UnknownVillage(Invalid):
    """The village must be one of this regency's."""


class Correction(Body):
    """What was wrong from the start, and why we know."""

    changes: Changes = Field(examples=[{"members_total": 42, "address": "Jl. Raya Wagir 12"}])
    reason: Text = Field(examples=["Member list of 12 March shows 42"])


class Relocation(Body):
    """Where the cooperative moved."""

    kecamatan_code: KecamatanCode = Field(examples=["35.07.21"])
    village_code: VillageCode | None = Field(None, examples=["35.07.21.2003"])
    address: Text = Field(examples=["Jl. Raya Wagir 12"])
    effective_on: Date | None = Field(None, description="first day at the new seat; default today")


@routes.post("/v1/cooperatives", callers=roles.OFFICE, response_model=Accepted, summary="Register a cooperative")
async def register(body: Annotated[Registration, fastapi.Body(examples=[EXAMPLE])], call: CallOf) -> JSONResponse:
    """Register a cooperative. A taken NIK, or a taken number without a NIK of its own, is 409 naming the holder."""
    _known(body.kecamatan_code, body.village_code)
    cooperative_id = clock.new_id()
    command = RegisterCooperative(registration=body, today=call.today)
    return await execute(call, cooperative_id, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/corrections",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Correct what was wrong from the start",
)
async def correct(cooperative_id: UUID, body: Correction, call: CallOf) -> JSONResponse:
    """Correct a record: it was always so."""
    _known(body.changes.get("kecamatan_code"), body.changes.get("village_code"), "changes.")
    command = CorrectCooperative(changes=body.changes, reason=body.reason, today=call.today)
    return await execute(call, cooperative_id, command)


@routes.post(
    "/v1/cooperatives/{cooperative_id}/relocations",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Record that it moved",
)
async def relocate(cooperative_id: UUID, body: Relocation, call: CallOf) -> JSONResponse:
    """Record that a cooperative moved its seat."""
    _known(body.kecamatan_code, body.village_code)
    command = RelocateCooperative(
        kecamatan_code=body.kecamatan_code,
        village_code=body.village_code,
        address=body.address,
        effective_on=body.effective_on or call.today,
        today=call.today,
    )
    return await execute(call, cooperative_id, command)


def _known(kecamatan_code: str | None, village_code: str | None, prefix: str = "") -> None:
    if kecamatan_code is not None and regions.kecamatan(kecamatan_code) is None:
        raise UnknownKecamatan(f"{prefix}kecamatan_code", f"{kecamatan_code} is no kecamatan of Kabupaten Malang")
    if village_code is not None and regions.village(village_code) is None:
        raise UnknownVillage(f"{prefix}village_code", f"{village_code} is no village of Kabupaten Malang")
