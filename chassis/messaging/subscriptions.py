"""Reactions as FastStream subscribers: durable, one message at a time, acknowledged when it is done with."""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.js.api import ConsumerConfig, DeliverPolicy

from contracts.envelope import STREAM, SUBJECT_ROOT, PublicEvent

log = structlog.get_logger()

type Handle = Callable[[Mapping[str, str], bytes], Awaitable[None]]

ACK_WAIT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0


def subscribe(broker: NatsBroker, durable: str, event: type[PublicEvent], handle: Handle) -> None:
    """Deliver every event of a type to `handle`, in order, until it returns without raising.

    One message is in flight at a time, so a later one never overtakes one that is being tried again.
    """

    @broker.subscriber(
        f"{SUBJECT_ROOT}.{event.service}.{event.type_name()}.>",
        stream=JStream(STREAM, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=1.0),
        durable=durable,
        deliver_policy=DeliverPolicy.ALL,
        config=ConsumerConfig(ack_wait=ACK_WAIT, max_ack_pending=1, max_deliver=-1),
        ack_policy=AckPolicy.MANUAL,
    )
    async def deliver(body: bytes, message: NatsMessage) -> None:
        try:
            await handle(message.headers, message.raw_message.data)
        except Exception as failed:
            tried = message.raw_message.metadata.num_delivered or 1
            pause = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
            log.warning("reaction.failed", durable=durable, tried=tried, again_in=pause, exc_info=failed)
            await message.nack(delay=pause)
        else:
            await message.ack()
