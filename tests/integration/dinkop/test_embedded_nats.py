"""The embedded NATS server, for real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import psutil
import pytest
from eventually import eventually
from nats.js import JetStreamContext

from chassis.messaging import stream
from chassis.messaging.connection import connect
from contracts.envelope import STREAM
from dinkop.doors import Doors
from dinkop.embedded.nats import EmbeddedNats, on_disk


@pytest.fixture
async def server(folder: Path, port_base: int) -> AsyncIterator[EmbeddedNats]:
    """A server that isn't started yet."""
    server = EmbeddedNats(folder, port_base + 1, port_base + 2)
    yield server
    await server.stop()


async def test_it_listens_on_loopback_only_and_syncs_always(server: EmbeddedNats) -> None:
    await server.start()
    assert server.process is not None
    listening = psutil.Process(server.process.pid).net_connections()
    assert {(*connection.laddr,) for connection in listening} == {
        ("127.0.0.1", server.port),
        ("127.0.0.1", server.monitoring_port),
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        jetstream = (await client.get(f"{server.monitoring_url}/jsz?config=true")).json()
    assert jetstream["config"]["sync_always"] is True
    assert jetstream["config"]["store_dir"] == str(server.directory / "store" / "jetstream")


async def test_nothing_acknowledged_is_lost_when_it_is_killed_amid_publishing(server: EmbeddedNats) -> None:
    await server.start()
    acknowledged: list[int] = []
    client = await nats.connect(server.url, allow_reconnect=False)
    stream = client.jetstream(timeout=2)
    await stream.add_stream(name="KEPT", subjects=["kept.>"])

    async def publish(publisher: int, stream: JetStreamContext) -> None:
        for n in range(publisher, 1_000_000, 4):
            await stream.publish(f"kept.{publisher}", str(n).encode())
            acknowledged.append(n)

    publishers = [asyncio.create_task(publish(n, stream)) for n in range(4)]
    await eventually(lambda: len(acknowledged) > 300)
    assert server.process is not None
    server.process.kill()
    await asyncio.gather(*publishers, return_exceptions=True)
    await client.close()

    await server.start()
    client = await nats.connect(server.url)
    subscription = await client.jetstream().pull_subscribe("kept.>", stream="KEPT")
    total = (await client.jetstream().stream_info("KEPT")).state.messages
    stored: set[int] = set()
    while len(stored) < total:
        stored |= {int(message.data) for message in await subscription.fetch(500, timeout=2)}
    await client.close()
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + len(publishers)


async def test_a_leftover_of_a_killed_run_is_ended_first(server: EmbeddedNats) -> None:
    await server.start()
    leftover = server.process
    assert leftover is not None
    following = EmbeddedNats(server.directory, server.port, server.monitoring_port)
    await following.start()
    await following.stop()
    assert leftover.poll() is not None


async def test_any_path_will_do(folder: Path, port_base: int) -> None:
    server = EmbeddedNats(folder / 'with "quotes", # & é', port_base + 1, port_base + 2)
    await server.start()
    await server.stop()
    assert (server.directory / "store" / "jetstream").is_dir()


async def test_a_home_that_is_older_than_its_doors_keeps_its_stream(folder: Path, port_base: int) -> None:
    old = EmbeddedNats(folder / "nats", port_base + 1, port_base + 2)
    await old.start()
    client = await nats.connect(old.url)
    before = await stream.ensure(client.jetstream())
    await client.jetstream().publish("dinkop.v1.rat.RATHeld.350721", b"{}")
    await client.close()
    await old.stop()

    doors = Doors(folder / "doors")
    doors.prepare()
    server = EmbeddedNats(old.directory, old.port, old.monitoring_port, accounts=doors.accounts)
    for _ in range(2):  # moved once, and then it is where it belongs
        await server.start()
        async with connect(doors.url("rat", server.url), "test") as broker:
            after = await broker.connection.jetstream().stream_info(STREAM)
        assert (after.created, after.state.messages) == (before.created, 1)
        assert on_disk(server.directory, STREAM)
        await server.stop()
