"""What of the stream lies ahead of a projection: how far it goes, and since when the next event waits."""

import asyncio
from collections.abc import Collection
from datetime import datetime

from nats.aio.client import Client

from chassis.messaging.peeking import first_after
from chassis.messaging.public_log import JetStreamLog
from contracts.envelope import SUBJECT_ROOT

PATIENCE = 2.0
"""Seconds that whoever looks waits for the server."""


class Ahead:
    """The stream, as those look at it who want to know how far behind it something is."""

    def __init__(self, client: Client) -> None:
        """Look through `client`."""
        self._log = JetStreamLog(client, PATIENCE)
        self._client = client

    async def heads(self, services: Collection[str]) -> dict[str, int]:
        """Return each service's last number on the stream, 0 when it has none.

        Raises a NATS error, TimeoutError, or MalformedEnvelope.
        """
        last = await asyncio.gather(*map(self._log.last, services))
        return {service: each.sequence for service, each in zip(services, last, strict=True)}

    async def waiting_since(self, service: str, position: int, log_sequence: int) -> datetime | None:
        """Return when the next event of a service was recorded, for who has read `position` and the log so far.

        None when there is none, or when `log_sequence` belongs to another log than this.
        """
        message = await first_after(self._client, log_sequence, f"{SUBJECT_ROOT}.{service}.>", PATIENCE)
        if message is None or int(message.headers["ce-sequence"]) <= position:
            return None
        return datetime.fromisoformat(message.headers["ce-time"])
