"""Reading the stream from the command line: follow it, find one event, export a stamped snapshot."""

import json
import os
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

from chassis.engine.ports import LogMessage
from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from chassis.storage.durable import sync_folder
from contracts.completeness import Manifest, OutOfOrder, fingerprint
from contracts.envelope import SERVICES, STREAM
from dinkop.completeness import BEFORE_DATA, kecamatan_of, six_digits
from dinkop.system import Failed, System

STAMP = 1_000
"""Characters kept for the first line of a snapshot: four services, 33 kecamatan."""


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
    async with connection.connect(system.nats, "dinkop-events") as broker:
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


def line(message: LogMessage) -> str:
    """Return an event as a line of a snapshot: CloudEvents JSON whose last member, the data, has its very bytes.

    Raises Failed when they don't go into a line.
    """
    event = cloud_event(message)
    del event["data"]
    if b"\n" in message.data or b"\r" in message.data:
        raise Failed(f"Event {event['id']} has line breaks in its data; a snapshot has an event a line.")
    attributes = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return attributes[:-1] + BEFORE_DATA + message.data.decode() + "}\n"


async def export(
    system: System, path: Path, kecamatan: Collection[str], progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write every event up to now, or those of some kecamatan, as JSON lines, after a first line with what there is.

    A reader that goes on after `log_sequence` of that first line, on the stream of this `incarnation`, misses nothing
    and gets nothing twice; on another one it begins with the first event and passes over what it has. The file
    appears whole, on disk, or not at all.
    """
    chosen = six_digits(kecamatan)
    part = path.with_name(path.name + ".part")
    positions: dict[str, int] = {}
    held = Manifest()
    async with connection.connect(system.nats, "dinkop-export") as broker:
        feed = JetStreamFeed(connection.client(broker))
        head, identity = await feed.head(), await feed.identity()
        try:
            with part.open("w", encoding="utf-8") as lines:
                # The stamp comes first, so that it is found without reading all; its length is kept for it.
                lines.write(" " * STAMP + "\n")
                if head:
                    async with aclosing(feed.follow(frozenset(SERVICES), 0)) as batches:
                        async for batch in batches:
                            for message in batch:
                                if message.log_sequence > head:
                                    break
                                number = int(message.headers["ce-sequence"])
                                positions[message.service] = number
                                filed = kecamatan_of(message.data)
                                if chosen and filed not in chosen:
                                    continue
                                id_, subject = message.headers["ce-id"], message.headers["ce-subject"]
                                fingerprint_ = fingerprint(number, id_, message.type, subject, message.data)
                                held.add(message.service, filed, number, fingerprint_)
                                lines.write(line(message))
                            progress(min(batch[-1].log_sequence, head) if batch else 0, head)
                            if batch and batch[-1].log_sequence >= head:
                                break
                stamp = {
                    "stream": STREAM,
                    "incarnation": identity,
                    "log_sequence": head,
                    "events": held.events,
                    "positions": positions,
                    "kecamatan": sorted(chosen) or None,
                    "digest": held.digest,
                }
                lines.seek(0)
                lines.write(json.dumps(stamp))
                lines.flush()
                os.fsync(lines.fileno())
            part.replace(path)
            sync_folder(path.parent)
        except OutOfOrder as problem:
            raise Failed(f"The stream is damaged ({problem}): see `dinkop reconcile`.") from problem
        finally:
            part.unlink(missing_ok=True)
    return stamp
