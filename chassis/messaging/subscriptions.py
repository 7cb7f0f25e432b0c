"""Reactions as FastStream subscribers: durable, one message at a time, acknowledged when it is done with."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NoReturn

import nats.errors
import structlog
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from contracts.envelope import STREAM, SUBJECT_ROOT, PublicEvent

log = structlog.get_logger()

type Handle = Callable[[Mapping[str, str], bytes], Awaitable[None]]

ACK_WAIT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0


class SubscriptionLost(Exception):
    """The server no longer knows a subscription, as after the loss of the stream: subscribe again."""


def subscribe(
    broker: NatsBroker, durable: str, event: type[PublicEvent], handle: Handle, ack_wait: float = ACK_WAIT
) -> None:
    """Deliver every event of a type to `handle`, in order, until it returns without raising.

    One message is in flight at a time, so a later one never overtakes one that is being tried again. What is
    not acknowledged within `ack_wait` seconds, because its process died, is delivered again.
    """

    @broker.subscriber(
        f"{SUBJECT_ROOT}.{event.service}.{event.type_name()}.>",
        stream=JStream(STREAM, declare=False),
        pull_sub=PullSub(batch_size=1, timeout=1.0),
        durable=durable,
        deliver_policy=DeliverPolicy.ALL,
        config=ConsumerConfig(ack_wait=ack_wait, max_ack_pending=1, max_deliver=-1),
        ack_policy=AckPolicy.MANUAL,
        decoder=_undecoded,
    )
    async def deliver(message: NatsMessage) -> None:
        try:
            await handle(message.headers, message.raw_message.data)
        except Exception as failed:
            tried = message.raw_message.metadata.num_delivered or 1
            pause = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
            log.warning("reaction.failed", durable=durable, tried=tried, again_in=pause, exc_info=failed)
            await message.nack(delay=pause)
        else:
            await message.ack()


async def _undecoded(message: NatsMessage) -> bytes:
    return message.body


async def watch(broker: NatsBroker, durables: Collection[str], every: float = 1.0) -> NoReturn:
    """Look at the subscriptions of a started broker every so many seconds. Raises SubscriptionLost.

    FastStream itself would ask a consumer that is gone for messages for ever.
    """
    jetstream = broker.connection.jetstream()
    while True:
        await asyncio.sleep(every)
        for durable in durables:
            try:
                await jetstream.consumer_info(STREAM, durable)
            except NotFoundError:
                raise SubscriptionLost(durable) from None
            except (nats.errors.Error, TimeoutError):
                pass  # the connection is down; it comes back by itself
