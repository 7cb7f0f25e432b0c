"""One connection to NATS per service, through FastStream's broker, kept for as long as the service runs."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from faststream.nats import NatsBroker
from faststream.nats.security import NatsSecurity, NatsUserPassword
from nats.aio.client import Client

from chassis.messaging.address import ANYBODY, Address, Where

log = structlog.get_logger()

type Broker = NatsBroker

GRACE = 2.0
"""Seconds a reaction has to finish when its service stops; later it is delivered again."""


@asynccontextmanager
async def connect(where: Where, name: str) -> AsyncIterator[NatsBroker]:
    """Connect and reconnect for ever; the first connection may take as long as the server needs to start."""
    address = Address.of(where)

    async def lost() -> None:
        log.warning("nats.disconnected")

    async def back() -> None:
        log.info("nats.reconnected")

    async def failed(error: Exception) -> None:
        log.warning("nats.error", error=repr(error))

    broker = NatsBroker(
        list(address.servers),
        security=_security(address),
        inbox_prefix=address.inbox_prefix,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]  # nats-py takes fractions of a second
        connect_timeout=2,
        disconnected_cb=lost,
        reconnected_cb=back,
        error_cb=failed,
        graceful_timeout=GRACE,
        logger=logging.getLogger("chassis.messaging"),  # or what goes wrong inside it would go unseen
    )
    await broker.connect()
    try:
        yield broker
    finally:
        await broker.stop()


def client(broker: NatsBroker) -> Client:
    """Return the nats-py client behind a connected broker."""
    return broker.connection


def owner(client: Client) -> str:
    """Return whose consumers a client makes."""
    return client.options.get("user") or ANYBODY


def _security(address: Address) -> NatsSecurity:
    tls = address.tls()
    if not address.user:
        return NatsSecurity(ssl_context=tls)
    return NatsUserPassword(address.user, address.password, ssl_context=tls)
