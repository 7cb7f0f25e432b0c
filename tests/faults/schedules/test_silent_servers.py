"""A server of a cluster that says nothing any more: whoever was connected to it goes to another."""

import pytest
from eventually import eventually
from nats.aio.client import Client
from servers import Nats

from chassis.messaging.connection import client, connect
from contracts.envelope import STREAM
from schedules.network import Wire, wired

pytestmark = pytest.mark.embedded


async def test_a_client_goes_to_another_server_within_seconds_when_its_own_falls_silent(
    nats: Nats, public_stream: Client
) -> None:
    host, _, port = nats.url.removeprefix("nats://").partition(":")
    ways = [Wire((host, int(port))) for _ in range(2)]
    async with wired(*ways), connect(",".join(f"nats://127.0.0.1:{way.port}" for way in ways), "silent") as broker:
        connection = client(broker)
        assert connection.connected_url is not None
        [its_own] = [way for way in ways if way.port == connection.connected_url.port]
        its_own.hold()
        # Asked anew until it is told, each time with a second's patience; with nats-py's own pings it takes minutes.
        await eventually(lambda: connection.jetstream(timeout=1).stream_info(STREAM), 30)
        assert connection.connected_url.port != its_own.port
        assert its_own.asked == 1, "the one that fell silent is not the first to be tried"
