"""What lies in the stores and on the stream once a run has come to rest, and what the read models make of it."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import date
from typing import Any

import asyncpg
import httpx
import nats
from eventually import eventually
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from contracts.envelope import STREAM
from dinkop.nats_accounts import OPERATOR
from schedules import folding
from schedules.checker import Published, Stored, Verdict
from schedules.containers import Containers
from schedules.machines import SERVICES, TODAY, OneMachine, Servers, System

REST = 90.0
"""Seconds within which everything must have been published and applied, once nothing breaks any more."""
CALM = 3.0
"""Seconds for which nothing may move, to count as rest."""
PULL = 500
_HEADS = "SELECT coalesce(max(position), 0) AS head FROM events"
_LIVE = "SELECT projection, positions FROM generations WHERE status = 'live'"
PROJECTIONS = {
    "registry": ("cooperatives",),
    "rat": ("cooperatives", "plans"),
    "mentoring": (),
    "reporting": ("health_status", "camat_reports", "timeline"),
}


async def stored(system: System) -> list[Stored]:
    """Read every event of every store, as the server has it."""
    found = []
    for service in SERVICES:
        connection = await asyncpg.connect(system.store_url(service))
        try:
            rows = await connection.fetch(
                """SELECT position, event_id, stream_kind, stream_id, version, type, metadata->>'correlation_id' AS key,
                          metadata->>'causation_id' AS cause, metadata->>'actor' AS actor
                   FROM events ORDER BY position"""
            )
        finally:
            await connection.close()
        for row in rows:
            # What a client asked for bears his key; what follows from it bears its cause too.
            asked = row["cause"] is None and row["actor"] == "faults"
            found.append(
                Stored(
                    service=service,
                    position=row["position"],
                    id=str(row["event_id"]),
                    subject=str(row["stream_id"]),
                    kind=row["stream_kind"],
                    version=row["version"],
                    type=row["type"],
                    key=row["key"] if asked else None,
                    cause=row["cause"],
                )
            )
    return found


async def published(system: System) -> list[Published]:
    """Read the stream from its beginning, by the official client and none of the system's own code."""
    client = await nats.connect(await system.nats_urls(), inbox_prefix=f"_INBOX.{OPERATOR}".encode())
    try:
        jetstream = client.jetstream(timeout=10)
        info = await jetstream.stream_info(STREAM)
        pull = await jetstream.pull_subscribe(
            "dinkop.v1.>",
            stream=STREAM,
            config=ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, num_replicas=1),
        )
        found: list[Published] = []
        while len(found) < info.state.messages:
            for message in await pull.fetch(min(PULL, info.state.messages - len(found)), timeout=20):
                headers = message.headers or {}
                found.append(
                    Published(
                        place=message.metadata.sequence.stream,
                        service=headers["ce-source"].rpartition("/")[2],
                        sequence=int(headers["ce-sequence"]),
                        id=headers["ce-id"],
                        subject=headers["ce-subject"],
                        type=headers["ce-type"].split(".")[-2],
                        data=json.loads(message.data),
                    )
                )
        return found
    finally:
        await client.close()


async def _asked(system: System, query: str) -> dict[str, Any]:
    answers = {}
    for service in SERVICES:
        connection = await asyncpg.connect(system.store_url(service))
        try:
            answers[service] = await connection.fetch(query)
        finally:
            await connection.close()
    return answers


async def at_rest(system: System) -> None:
    """Wait until everything leads, is published and applied, and stays so. Raises AssertionError when it doesn't."""
    stood: tuple[float, object] = (0.0, None)

    async def resting() -> bool:
        nonlocal stood
        heads = {name: rows[0]["head"] for name, rows in (await _asked(system, _HEADS)).items()}
        await _led(system, heads)
        for service, rows in (await _asked(system, _LIVE)).items():
            for row in rows:
                have = json.loads(row["positions"])
                behind = [name for name, at in have.items() if at < heads[name]]
                assert not behind, f"{service}.{row['projection']} is at {have}, the stores at {heads}"
        now = asyncio.get_running_loop().time()
        if stood[1] != heads:
            stood = now, heads
        # Reporting announces what follows a little later.
        assert now - stood[0] > CALM, "something was stored just now"
        return True

    await eventually(resting, REST)


async def _led(system: System, heads: Mapping[str, int]) -> None:
    """Assert that one process of each service leads, and has published everything."""
    headers = {"Authorization": f"Bearer {system.token()}"}
    async with httpx.AsyncClient(headers=headers, timeout=5, trust_env=False) as http:
        for service, head in heads.items():
            told = [(await http.get(f"{url}/v1/projections")).raise_for_status().json() for url in system.urls(service)]
            leaders = [each["relay"] for each in told if each["leading"]]
            assert len(leaders) == 1, f"{len(leaders)} processes of {service} lead"
            assert leaders[0]["published"] == head, f"{service} has published {leaders[0]} of {head}"


async def compare(system: System, stream: list[Published], verdict: Verdict) -> None:
    """Compare the read models with a naive fold of the stream; note what differs."""
    headers = {"Authorization": f"Bearer {system.token()}"}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
        url = system.urls("reporting")[0]
        items: list[Mapping[str, Any]] = []
        params: dict[str, Any] = {"limit": 500}
        while True:
            page = (await http.get(f"{url}/v1/health", params=params)).raise_for_status().json()
            items += page["items"]
            if not page["next_cursor"]:
                break
            params["cursor"] = page["next_cursor"]
        kecamatan = (await http.get(f"{url}/v1/kecamatan")).raise_for_status().json()["items"]
    for difference in folding.differences(stream, date.fromisoformat(TODAY), items, kecamatan):
        verdict.add("read model", difference)


async def proven(system: System, verdict: Verdict) -> None:
    """Have the system check itself: every projection against its events, and every store against the stream."""
    if isinstance(system, OneMachine | Containers):
        for words in (("verify", "all"), ("reconcile",)):
            done = await asyncio.to_thread(system.dinkop, *words, "--json")
            if done.returncode:
                verdict.add(words[0], f"exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    elif isinstance(system, Servers):
        for service, projections in PROJECTIONS.items():
            for projection in projections:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    f"services.{service}",
                    "verify",
                    projection,
                    env=system.environment(service),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                said, _ = await process.communicate()
                if process.returncode:
                    verdict.add("verify", f"{service}.{projection}: exit {process.returncode}: {said.decode()[-500:]}")
