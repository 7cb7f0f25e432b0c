"""Connections to NATS are encrypted where the address says so, or not made."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from eventually import eventually
from filling import fill, publications
from servers import free_ports

from chassis.messaging import connection, stream
from chassis.messaging.address import Address
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.replay import LogUnreadable, replay
from chassis.messaging.wire import Connection
from contracts.envelope import STREAM
from dinkop.embedded.nats import find_server
from dinkop.processes import end, spawn

pytestmark = pytest.mark.embedded

CONFIGURATION = """
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}" }}
tls {{
  cert_file: "{folder}/server.pem", key_file: "{folder}/server.key"
  ca_file: "{folder}/ca.pem", verify: {verify}
}}
authorization {{ user: "reader", password: "p@ss:word" }}
"""


@pytest.fixture(params=[False, True], ids=["", "with the client's certificate"])
async def address(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Address]:
    """The address of a server that speaks TLS only, with the stream."""
    authority, verify = trustme.CA(), request.param
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, identity in (("server", "127.0.0.1"), ("client", "rat.dinkop.example")):
        issued = authority.issue_cert(identity)
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    [port] = free_ports(1)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(CONFIGURATION.format(port=port, folder=tmp_path, verify=str(verify).lower()))
    server = spawn([find_server(), "-c", configuration], log=tmp_path / "nats.log", directory=tmp_path)
    own = {"certificate": tmp_path / "client.pem", "key": tmp_path / "client.key"} if verify else {}
    url = f"tls://reader:p%40ss%3Aword@127.0.0.1:{port}"
    yield Address.parse(url, ca=tmp_path / "ca.pem", **own)
    await end(server)


async def refused(address: Address) -> None:
    """See that neither way to read gets in."""
    with pytest.raises(LogUnreadable):
        async for _ in replay(address, STREAM, (), 0, 10**9, tries=1):
            pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), connection.connect(address, "test"):
            pass


async def test_the_feed_and_the_replay_read_through_tls(address: Address) -> None:
    async with asyncio.timeout(20), connection.connect(address, "test") as broker:
        client = connection.client(broker)
        await eventually(lambda: stream.ensure(client.jetstream()))
        await fill(client, publications(1_000))
        batches = JetStreamFeed(client).follow([], 0)
        assert (await anext(batches))[0].log_sequence == 1
        await batches.aclose()
    replayed = [event async for batch in replay(address, STREAM, (), 0, 10**9) for event in batch]
    assert [int(event[0]) for event in replayed] == list(range(1, 1_001))


async def test_a_server_that_another_authority_vouches_for_is_not_spoken_to(address: Address, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    await refused(replace(address, ca=tmp_path / "other.pem"))


async def test_a_server_that_asks_for_a_certificate_lets_nobody_in_without(address: Address) -> None:
    if address.certificate is None:
        return
    await refused(replace(address, certificate=None, key=None))


async def test_a_server_that_offers_no_tls_never_gets_the_password() -> None:
    said = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576,"headers":true}\r\n')
        while block := await reader.read(1024):
            said.extend(block)
            writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = Address.parse(f"tls://reader:hidden@127.0.0.1:{port}")
    with pytest.raises(Exception, match="no TLS"):
        await Connection.open(address, "x")
    with pytest.raises((TimeoutError, ConnectionError)):
        async with asyncio.timeout(0.5), connection.connect(address, "test"):
            pass
    server.close()
    assert b"hidden" not in said
