"""One event of every type and version on the stream, found without reading it."""

from collections.abc import AsyncGenerator, Iterable

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from chassis.engine.ports import LogMessage
from contracts.envelope import STREAM, SUBJECT_ROOT


async def samples(client: Client, kinds: Iterable[tuple[str, str]], stream: str = STREAM) -> AsyncGenerator[LogMessage]:
    """Yield, of each (service, type) that the stream has, an event of every version, and the last event.

    Versions follow each other, but for the moments in which replicas are upgraded one by one.
    """
    jetstream = client.jetstream()
    for service, type_ in sorted(kinds):
        subject = f"{SUBJECT_ROOT}.{service}.{type_}.*"
        try:
            last = await jetstream.get_last_msg(stream, subject)
            message = await jetstream.get_msg(stream, seq=1, subject=subject, next=True)
        except NotFoundError:
            continue
        yield _read(service, type_, message)
        while _version(last) > _version(message):
            message = await _of_next_version(jetstream, stream, subject, message, last)
            yield _read(service, type_, message)
        yield _read(service, type_, last)


async def _of_next_version(
    jetstream: JetStreamContext, stream: str, subject: str, first: RawStreamMsg, last: RawStreamMsg
) -> RawStreamMsg:
    """Return the first event of a later version than `first`, found by halving what lies between it and `last`."""
    found, before, bound = last, first.seq or 0, last.seq or 0
    while bound - before > 1:
        middle = (before + bound) // 2
        message = await jetstream.get_msg(stream, seq=middle, subject=subject, next=True)
        if _version(message) > _version(first):
            found, bound = message, middle
        else:
            before = message.seq or 0
    return found


def _read(service: str, type_: str, message: RawStreamMsg) -> LogMessage:
    return LogMessage(message.seq or 0, service, type_, message.headers or {}, message.data or b"")


def _version(message: RawStreamMsg) -> int:
    """Return the version of an event's contract; 0 where it can't be told: decoding then says what is wrong."""
    version = (message.headers or {}).get("ce-dataschema", "").rpartition(":v")[2]
    return int(version) if version.isdecimal() else 0
