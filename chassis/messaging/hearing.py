"""For how long the stream has answered this process, or has not."""

import asyncio
import time
from typing import NoReturn

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from chassis.engine.cancelling import heed_cancellation
from contracts.envelope import STREAM

LOOK = 0.5
"""Seconds between two questions."""
ANSWER = 1.0
"""Seconds within which the stream answers."""


class Hearing:
    """What one process hears of the stream; made when a connection to NATS came about.

    The stream is asked, and not only the server that this process is connected to: one that has lost the rest of its
    cluster answers a ping, and can publish nothing.
    """

    def __init__(self) -> None:
        """Begin as one who hears."""
        self._hears = True
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds for which the stream has answered without a break; negative: has not answered."""
        passed = time.monotonic() - self._since
        return passed if self._hears else -passed

    async def listen(self, client: Client) -> NoReturn:
        """Ask again and again, until cancelled."""
        while True:
            asked = time.monotonic()
            hears = await _answered(client)
            if hears != self._hears:
                self._hears, self._since = hears, asked
            await asyncio.sleep(LOOK)


async def _answered(client: Client) -> bool:
    if not client.is_connected:
        return False  # or the question would wait for the connection, with all those before it
    try:
        # Not `flush`: a pong that comes after its patience ends makes nats-py deaf to all that follows.
        await client.jetstream(timeout=ANSWER).stream_info(STREAM)
    except NotFoundError:
        return True
    except Exception as away:  # whatever it is, it must not end the work of the process that asks
        heed_cancellation(away)
        return False
    return True
