"""Reading the stream from the command line: follow it, find one event, export a stamped snapshot."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

from chassis.engine.ports import LogMessage
from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from contracts.envelope import SERVICES, STREAM
from dinkop.system import Failed, System


def cloud_event(message: LogMessage) -> dict[str, Any]:
    """Return an event in the CloudEvents JSON format (structured mode), extensions included."""
    attributes = {
        name.removeprefix("ce-"): value
        for name, value in message.headers.items()
        if name.startswith("ce-") or name == "traceparent"
    }
    return {**attributes, "data": json.loads(message.data)}


async def follow(system: System, last: int, *, forever: bool) -> AsyncGenerator[LogMessage]:
    """Yield the last events of the stream and, if `forever`, those to come."""
    async with connection.connect(system.running.nats_url, "dinkop-events") as broker:
        feed = JetStreamFeed(connection.client(broker))
        head = await feed.head()
        after = max(0, head - last)
        if after >= head and not forever:
            return
        async with aclosing(feed.follow(frozenset(SERVICES), after)) as batches:
            async for batch in batches:
                for message in batch:
                    if message.log_sequence > head and not forever:
                        return
                    yield message
                if not forever and batch and batch[-1].log_sequence >= head:
                    return


async def find(system: System, event_id: UUID) -> LogMessage:
    """Return one event by its id, reading the stream from the start. Raises Failed when it is not there."""
    wanted = str(event_id)
    async with aclosing(follow(system, 2**62, forever=False)) as messages:
        async for message in messages:
            if message.headers["ce-id"] == wanted:
                return message
    raise Failed(f"The stream has no event {event_id}.")


async def export(system: System, path: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Write every event up to now as JSON lines, after a first line that says up to where.

    A reader that goes on after `log_sequence` of that first line misses nothing and gets nothing twice. The
    file appears whole or not at all.
    """
    part = path.with_name(path.name + ".part")
    positions: dict[str, int] = {}
    events = 0
    async with connection.connect(system.running.nats_url, "dinkop-export") as broker:
        feed = JetStreamFeed(connection.client(broker))
        head, identity = await feed.head(), await feed.identity()
        try:
            with part.open("w", encoding="utf-8") as lines:
                # The stamp comes first, so that it is found without reading all; its length is kept for it.
                lines.write(" " * 500 + "\n")
                if head:
                    async with aclosing(feed.follow(frozenset(SERVICES), 0)) as batches:
                        async for batch in batches:
                            for message in batch:
                                if message.log_sequence > head:
                                    break
                                positions[message.service] = int(message.headers["ce-sequence"])
                                lines.write(json.dumps(cloud_event(message), ensure_ascii=False) + "\n")
                                events += 1
                            progress(min(batch[-1].log_sequence, head) if batch else 0, head)
                            if batch and batch[-1].log_sequence >= head:
                                break
                stamp = {
                    "stream": STREAM,
                    "incarnation": identity,
                    "log_sequence": head,
                    "events": events,
                    "positions": positions,
                }
                lines.seek(0)
                lines.write(json.dumps(stamp))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return stamp
