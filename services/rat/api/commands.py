"""What every call about one cooperative has in common: it must be known here, and commands go where it sits now."""

from collections.abc import Callable, Mapping
from uuid import UUID

from fastapi.responses import JSONResponse

from chassis.http.calls import AtLeast, Body, CallOf
from services.rat.domain import annual_meetings
from services.rat.domain.annual_meetings import AnyMeetingCommand, CooperativeDissolved, NoSuchCooperative
from services.rat.projections import cooperatives


class Accepted(Body):
    """What an accepted command answers."""

    cooperative_id: UUID
    book_year: int
    version: int


async def execute(
    call: CallOf,
    at_least: Mapping[str, int],
    cooperative_id: UUID,
    book_year: int,
    command_in: Callable[[str | None], AnyMeetingCommand],
) -> JSONResponse:
    """Carry out the command that `command_in` makes of the kecamatan in which the cooperative sits now."""
    if first := await call.first_answer():
        return first
    known = await known_cooperative(call, cooperative_id, at_least)
    if known.dissolved_on:
        raise CooperativeDissolved
    command = command_in(known.kecamatan_code)
    answer = {"cooperative_id": str(cooperative_id), "book_year": book_year}
    return await call.execute(annual_meetings.decider, cooperative_id, command, answer=answer)


async def kecamatan_of(cooperative_id: UUID, call: CallOf, at_least: AtLeast) -> str | None:
    """Return the kecamatan in which a cooperative sits now. Raises NoSuchCooperative."""
    return (await known_cooperative(call, cooperative_id, at_least)).kecamatan_code


async def known_cooperative(
    call: CallOf, cooperative_id: UUID, at_least: Mapping[str, int]
) -> cooperatives.CooperativeRow:
    """Return what is known of a cooperative, also of a dissolved one. Raises NoSuchCooperative."""
    known = await call.row(cooperatives.projection, cooperative_id, at_least)
    if known is None:
        raise NoSuchCooperative(
            "There is no cooperative with this id, or it was registered a moment ago: pass the registration's"
            " Dinkop-Position as at_least to wait for it."
        )
    return known
