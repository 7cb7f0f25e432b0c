"""One event of every type and version on the stream, found without reading it."""

from collections.abc import AsyncGenerator, Iterable

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from chassis.engine.ports import LogMessage
from chassis.messaging.peeking import first_after
from contracts.envelope import STREAM, SUBJECT_ROOT


async def samples(client: Client, kinds: Iterable[tuple[str, str]], stream: str = STREAM) -> AsyncGenerator[LogMessage]:
    """Yield, of each (service, type) that the stream has, an event of every version, and the last event.

    Versions follow each other, but for the moments in which replicas are upgraded one by one.
    """
    jetstream = client.jetstream()
    for service, type_ in sorted(kinds):
        subject = f"{SUBJECT_ROOT}.{service}.{type_}.*"
        try:
            got = await jetstream.get_last_msg(stream, subject, direct=True)
        except NotFoundError:
            continue
        last = LogMessage(got.seq or 0, service, type_, got.headers or {}, got.data or b"")
        message = await first_after(client, 0, subject, stream=stream) or last
        yield message
        while _version(last) > _version(message):
            message = await _of_next_version(client, stream, subject, message, last)
            yield message
        yield last


async def _of_next_version(
    client: Client, stream: str, subject: str, first: LogMessage, last: LogMessage
) -> LogMessage:
    """Return the first event of a later version than `first`, found by halving what lies between it and `last`."""
    found, before, bound = last, first.log_sequence, last.log_sequence
    while bound - before > 1:
        middle = (before + bound) // 2
        message = await first_after(client, middle - 1, subject, stream=stream) or last
        if _version(message) > _version(first):
            found, bound = message, middle
        else:
            before = message.log_sequence
    return found


def _version(message: LogMessage) -> int:
    """Return the version of an event's contract; 0 where it can't be told: decoding then says what is wrong."""
    version = message.headers.get("ce-dataschema", "").rpartition(":v")[2]
    return int(version) if version.isdecimal() else 0
