"""The history of one stream as an answer: what was recorded, by whom, when."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from chassis.definitions.decider import Invalid
from chassis.engine.ports import StoredEvent, Stream
from chassis.http.calls import Call, cursor_after


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


class HistoryPage(BaseModel):
    """One page of a stream, oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: list[HistoryItem]
    next_cursor: str | None


async def history(
    call: Call,
    stream: Stream,
    cursor: str | None,
    limit: int,
    shown: Callable[[StoredEvent], dict[str, Any]] = _as_stored,
) -> HistoryPage:
    """Return a page of a stream, oldest first. `shown` says which data of an event to show.

    Raises Invalid for a cursor that is none of ours.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise Invalid("cursor", "take it from next_cursor of the page before")
    events = await call.runtime.store.load(stream, int(cursor or 0))
    items = [
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
        for event in events[:limit]
    ]
    return HistoryPage(items=items, next_cursor=cursor_after(str(items[-1].version)) if len(events) > limit else None)
