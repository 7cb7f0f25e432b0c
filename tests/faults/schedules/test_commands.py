"""The commands of `dinkop` on servers of one's own, NATS a cluster of three."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
import pytest_asyncio
from eventually import eventually

from schedules.machines import Servers, running, unheeded

pytestmark = [pytest.mark.embedded, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Office:
    """The servers, and the command."""

    servers: Servers
    environment: dict[str, str]

    async def dinkop(self, *words: str, code: int = 0) -> str:
        """Run a command, which must end so; return what it printed, or what it said was wrong."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dinkop", *words, env=self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, wrong = (text.decode() for text in await asyncio.wait_for(process.communicate(), 120))
        assert process.returncode == code, f"{words}: {process.returncode}\n{said}\n{wrong}"
        return wrong if code else said

    async def json(self, *words: str) -> Any:
        return json.loads(await self.dinkop(*words, "--json"))

    async def register(self, count: int) -> None:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {self.servers.token()}"}) as http:
            for number in range(count):
                body = {
                    "name": f"Koperasi {number}",
                    "legal_entity_number": f"{number}/BH",
                    "legal_entity_date": "2015-08-03",
                    "kecamatan_code": "35.07.21",
                }
                answer = await http.post(f"{self.servers.urls('registry')[0]}/v1/cooperatives", json=body)
                assert answer.status_code == 201, answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office() -> AsyncIterator[Office]:
    folder = Path(tempfile.mkdtemp(prefix="dc-")).resolve()
    try:
        async with running(Servers(folder, each=1), folder) as servers:
            office = Office(servers, await servers.elsewhere())
            await office.register(5)
            yield office
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def fetched(given: dict[str, Any], server: str) -> int:
    """Return how many events an agency gets at one of the servers, five at most."""
    client = await nats.connect(
        server, user=given["user"], password=given["password"], inbox_prefix=given["inbox_prefix"],
        allow_reconnect=False, error_cb=unheeded,
    )  # fmt: skip
    try:
        subscription = await client.jetstream().pull_subscribe_bind(given["durable"], given["stream"])
        messages = await subscription.fetch(5, timeout=10)
        for message in messages:
            await message.nak()  # so that they come again, at the next server
        return len(messages)
    finally:
        await client.close()


async def test_a_cluster_is_one_stream_and_every_agency_is_let_in_and_shown_out_at_each_server(office: Office) -> None:
    status = await office.json("status")
    assert [each["ready"] for each in status["services"]] == [True] * 4
    assert status["stream"]["reachable"]
    assert "error" not in status["stream"]
    given = await office.json("agency", "add", "kominfo")
    servers = given["url"].split(",")
    assert len(servers) == 3
    for server in servers:
        assert await fetched(given, server) == 5
    [item] = (await office.json("agency", "list"))["items"]
    assert (item["standing"], item["connections"]) == ("open", 0)
    await office.dinkop("agency", "revoke", "kominfo")
    for server in servers:
        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            await fetched(given, server)
    assert (await office.json("agency", "list"))["items"] == []


async def test_stores_are_compared_with_a_cluster_and_a_machine_is_examined(office: Office) -> None:
    told = await office.json("reconcile")
    assert told["fine"]
    assert {each["service"]: each["published"] >= 5 for each in told["items"]}["registry"]
    assert "syncs before it acknowledges" in await office.dinkop("doctor")
    assert len((await office.dinkop("events", "tail", "--no-follow", "-n", "5")).splitlines()) >= 5


async def test_with_a_server_away_the_others_show_an_agency_out_and_it_is_said_that_one_did_not(
    office: Office,
) -> None:
    given = await office.json("agency", "add", "bps")
    away = office.servers.nodes[-1]
    await office.servers.take_down(away)
    try:
        status = await eventually(lambda: office.json("status"))
        assert status["stream"]["reachable"]
        assert "does not answer" in status["stream"]["error"]
        told = await office.dinkop("agency", "revoke", "bps", code=3)
        assert "does not answer" in told
        for server in given["url"].split(",")[:-1]:
            with pytest.raises(nats.errors.Error, match="Authorization Violation"):
                await fetched(given, server)
    finally:
        office.servers.bring_up(away)
    await eventually(lambda: office.dinkop("agency", "revoke", "bps"), 60)
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await fetched(given, given["url"].split(",")[-1])
