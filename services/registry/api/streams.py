"""What every call about one cooperative has in common: carrying out a command, and loading the stream."""

from datetime import datetime
from uuid import UUID

from fastapi.responses import JSONResponse

from chassis.engine.ports import AlreadyClaimed, Stream
from chassis.http.calls import Body, Call, CallOf
from services.registry.domain import cooperative
from services.registry.domain.cooperative import (
    AlreadyRegistered,
    CooperativeCommand,
    CooperativeEvent,
    NoSuchCooperative,
)


class Accepted(Body):
    """What an accepted command answers."""

    cooperative_id: UUID
    version: int


async def execute(call: Call, cooperative_id: UUID, command: CooperativeCommand) -> JSONResponse:
    """Carry out a command. Raises its refusals; AlreadyRegistered, naming the holder, when a key is taken."""
    try:
        return await call.execute(
            cooperative.decider, cooperative_id, command, answer={"cooperative_id": str(cooperative_id)}
        )
    except AlreadyClaimed as taken:
        what = "NIK" if taken.claim.space == "nik" else "legal entity number"
        raise AlreadyRegistered(
            f"Cooperative {taken.holder} carries {what} {taken.claim.key} already.", holder=str(taken.holder)
        ) from None


async def kecamatan_of(cooperative_id: UUID, call: CallOf) -> str | None:
    """Return the kecamatan in which a cooperative sits now. Raises NoSuchCooperative."""
    events = await load(call, cooperative_id)
    return cooperative.decider.fold([event for event, _ in events]).place.kecamatan_code


async def load(call: Call, cooperative_id: UUID) -> list[tuple[CooperativeEvent, datetime]]:
    """Return the stream with the times of recording. Raises NoSuchCooperative."""
    stored = await call.runtime.store.load(Stream(cooperative.decider.stream, cooperative_id))
    if not stored:
        raise NoSuchCooperative
    decode = call.handler(cooperative.decider).codec.decode
    return [(decode(each), each.recorded_at) for each in stored]
