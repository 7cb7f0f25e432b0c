"""Durable consumers of readers outside the system: made, looked at and removed for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from contracts.envelope import STREAM

ACK_WAIT = 60.0
"""Seconds after which what a reader has not acknowledged is delivered again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reader is: everything up to `position` (a stream sequence) is acknowledged, `lag` messages are not."""

    position: int
    lag: int


async def make(client: Client, durable: str, filter_subjects: Sequence[str], after: int) -> None:
    """Make a durable pull consumer of what follows a stream sequence, acknowledged one by one.

    Raises NotFoundError when there is no stream, or another NATS error.
    """
    start = (
        {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": after + 1}
        if after
        else {"deliver_policy": DeliverPolicy.ALL}
    )
    # One filter is the usual kind, which the server serves fastest.
    filters = (
        {"filter_subject": filter_subjects[0]} if len(filter_subjects) == 1 else {"filter_subjects": [*filter_subjects]}
    )
    configuration = ConsumerConfig(
        name=durable,
        durable_name=durable,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        max_deliver=-1,
        **start,
        **filters,
    )
    await client.jetstream().add_consumer(STREAM, config=configuration)


async def progress(client: Client, durable: str) -> Progress | None:
    """Return how far a reader is; None when there is no such consumer, or no stream."""
    try:
        found = await client.jetstream().consumer_info(STREAM, durable)
    except NotFoundError:
        return None
    position = found.ack_floor.stream_seq if found.ack_floor else 0
    return Progress(position, (found.num_pending or 0) + (found.num_ack_pending or 0))


async def remove(client: Client, durable: str) -> None:
    """Remove a consumer, if it is there."""
    try:
        await client.jetstream().delete_consumer(STREAM, durable)
    except NotFoundError:
        pass
