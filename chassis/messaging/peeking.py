"""One message of the stream, looked up in passing."""

from nats.aio.client import Client

from chassis.engine.ports import LogMessage
from chassis.messaging.connection import owner
from chassis.messaging.pulling import delivered, kind, make_consumer, removal
from contracts.envelope import STREAM

ANSWER = 5.0
"""Seconds the server has to answer a request."""


async def first_after(
    client: Client, after: int, subject_filter: str, timeout: float = ANSWER, stream: str = STREAM
) -> LogMessage | None:
    """Return the first message after a sequence whose subject the filter takes, or None.

    Through a consumer, for a lookup by sequence would let who may do it read everything. Raises Interrupted, or a NATS
    error.
    """

    async def ask(subject: str, payload: bytes) -> bytes:
        return (await client.request(subject, payload, timeout=timeout)).data

    consumer, awaiting = await make_consumer(ask, stream, owner(client), after, subject_filter)
    try:
        if not awaiting:
            return None
        # Not as a request: its answers are told by their subject, and a message of the stream keeps its own.
        inbox = client.new_inbox()
        arriving = await client.subscribe(inbox, max_msgs=1)
        next_ = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        await client.publish(next_, b'{"batch":1,"no_wait":true}', reply=inbox)
        found = await arriving.next_msg(timeout)
        sequence, _ = delivered(found.reply)
        service, type_ = kind(found.subject)
        return LogMessage(sequence, service, type_, found.headers or {}, found.data)
    finally:
        await client.publish(removal(stream, consumer), b"")
