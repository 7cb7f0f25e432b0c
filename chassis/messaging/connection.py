"""One connection to NATS per service, through FastStream's broker, kept for as long as the service runs."""

import logging
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from faststream.nats import NatsBroker
from faststream.nats.security import NatsSecurity, NatsUserPassword
from nats.aio.client import Client

from chassis.messaging.address import ANYBODY, Address, Where

log = structlog.get_logger()

type Broker = NatsBroker

GRACE = 2.0
"""Seconds a reaction has to finish when its service stops; later it is delivered again."""

PING = 2.0
"""Seconds between two pings. With the second that is unanswered, four to six seconds after its last word, a server
counts as gone, and another of its cluster is tried. By default that takes as many minutes."""


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
        # In an order of this process's own, and then in turn: drawn anew, the first to be tried might be the very one
        # that has just fallen silent.
        random.sample(address.servers, len(address.servers)),
        dont_randomize=True,
        security=_security(address),
        inbox_prefix=address.inbox_prefix,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]  # nats-py takes fractions of a second
        connect_timeout=2,
        ping_interval=PING,  # type: ignore[arg-type]  # so here
        max_outstanding_pings=2,
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
    tls = address.tls(_Encrypting)
    if not address.user:
        return NatsSecurity(ssl_context=tls)

    def password() -> str:
        if tls is not None:
            tls.must_have_been_used()
        return address.password

    return NatsUserPassword(address.user, password, ssl_context=tls)  # type: ignore[arg-type]  # nats-py asks it


class _Encrypting(ssl.SSLContext):
    """Knows whether the connection that is being made was encrypted.

    nats-py encrypts when the server says so, and else goes on in plain: whoever sits in between would only need to
    leave that word out to get the password.
    """

    _made: ssl.SSLObject | None = None

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        """Begin to encrypt, as an event loop does."""
        self._made = super().wrap_bio(*given, **named)
        return self._made

    def must_have_been_used(self) -> None:
        """Raise ConnectionError unless a handshake has been made, for this connection and none before."""
        made, self._made = self._made, None
        if made is None or made.version() is None:
            raise ConnectionError("the server offers no TLS, and the address asks for it")
