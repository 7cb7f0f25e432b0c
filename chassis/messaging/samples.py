"""The oldest and the newest event of a type on the stream, found without reading it."""

from collections.abc import AsyncGenerator, Iterable

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from chassis.engine.ports import LogMessage
from contracts.envelope import STREAM, SUBJECT_ROOT


async def samples(client: Client, kinds: Iterable[tuple[str, str]], stream: str = STREAM) -> AsyncGenerator[LogMessage]:
    """Yield the first and the last event of each (service, type) that the stream has.

    Versions of a type follow each other, so these are of the oldest version and of the newest.
    """
    jetstream = client.jetstream()
    for service, type_ in sorted(kinds):
        subject = f"{SUBJECT_ROOT}.{service}.{type_}.*"
        try:
            last = await jetstream.get_last_msg(stream, subject)
            first = await jetstream.get_msg(stream, seq=1, subject=subject, next=True)
        except NotFoundError:
            continue
        for message in (first, last):
            yield LogMessage(message.seq or 0, service, type_, message.headers or {}, message.data or b"")
