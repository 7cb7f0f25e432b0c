"""The history of one stream as an answer: what was recorded, by whom, when."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from chassis.engine.ports import StoredEvent, Stream
from chassis.http.calls import Call


class HistoryItem(BaseModel):
    """One event of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event_id: UUID
    type: str
    version: int = Field(description="number within the stream, from 1")
    sequence: int = Field(description="the service's gapless number, as ce-sequence")
    recorded_at: datetime
    actor: str
    correlation_id: str | None
    data: dict[str, Any]


def _as_stored(event: StoredEvent) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(event.data)
    return data


async def history(
    call: Call, stream: Stream, shown: Callable[[StoredEvent], dict[str, Any]] = _as_stored
) -> list[HistoryItem]:
    """Return a stream, oldest first; empty when it does not exist. `shown` says which data of an event to show."""
    return [
        HistoryItem(
            event_id=event.id,
            type=event.type,
            version=event.version,
            sequence=event.position,
            recorded_at=event.recorded_at,
            actor=str(event.metadata.get("actor", "")),
            correlation_id=event.metadata.get("correlation_id"),
            data=shown(event),
        )
        for event in await call.runtime.store.load(stream)
    ]
