"""From POST to visible in GET /v1/health, against a bare append and publish on servers of the same kind."""

import asyncio
import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import nats
import pytest
from figures import percentile
from servers import free_ports

from chassis.definitions.clock import new_id
from dinkop.embedded.nats import EmbeddedNats
from dinkop.home import Running

pytestmark = pytest.mark.benchmark

MEETINGS = 200


async def test_a_recorded_meeting_is_visible_at_once(system: Running, token: dict[str, str], tmp_path: Path) -> None:
    registry, rat, reporting = (system.services[name] for name in ("registry", "rat", "reporting"))
    async with httpx.AsyncClient(headers=token, timeout=30) as client:
        ids = []
        position = ""
        for number in range(MEETINGS):
            body = {
                "name": f"Koperasi Bandingan {number}",
                "legal_entity_number": f"{number}/BH/XVI.14/I/2010",
                "legal_entity_date": "2010-01-04",
                "kecamatan_code": "35.07.21",
            }
            answer = (await client.post(f"{registry}/v1/cooperatives", json=body)).raise_for_status()
            ids.append(answer.json()["cooperative_id"])
            position = answer.headers["Dinkop-Position"]
        await client.get(f"{rat}/v1/cooperatives/{ids[-1]}/rats", params={"at_least": position})
    # A client that costs next to nothing itself: what is measured is the system.
    times = await asyncio.to_thread(_record_and_look, rat, reporting, ids, token)
    bare = await _bare(system, tmp_path)
    print(
        f"\nPOST to visible: p50 {percentile(times, 0.5) * 1000:.1f} ms, p99 {percentile(times, 0.99) * 1000:.1f} ms;"
        f" bare append and publish: p50 {bare * 1000:.1f} ms; ratio {percentile(times, 0.5) / bare:.1f}"
    )
    assert percentile(times, 0.5) < 20 * bare


def _record_and_look(rat: str, reporting: str, ids: list[str], token: dict[str, str]) -> list[float]:
    """Record a meeting of each cooperative and see it in its health; return the seconds each took."""
    writing, reading = (http.client.HTTPConnection(urlsplit(url).netloc) for url in (rat, reporting))
    meeting = {"book_year": 2023, "held_on": "2024-03-05", "members_total": 40, "members_present": 31}
    body, headers = json.dumps(meeting), {"Content-Type": "application/json", **token}
    times = []
    for cooperative_id in ids:
        begun = time.perf_counter()
        writing.request("POST", f"/v1/cooperatives/{cooperative_id}/rats", body, headers)
        answer = writing.getresponse()
        answer.read()
        assert answer.status == 201
        position = answer.headers["Dinkop-Position"]
        reading.request("GET", f"/v1/health/{cooperative_id}?at_least={position}", headers=token)
        seen = json.load(reading.getresponse())
        times.append(time.perf_counter() - begun)
        years: list[dict[str, Any]] = seen["book_years"]
        assert any(year["held_on"] == "2024-03-05" for year in years)
    return times


async def _bare(system: Running, folder: Path) -> float:
    """Return the median seconds of one durable insert and one durable publish, nothing else."""
    connection = await asyncpg.connect(system.databases["rat"])
    await connection.execute("SELECT make_generation('bare', 1); SET search_path = bare_g1")
    server = EmbeddedNats(folder, *free_ports(2))  # its own, for nobody may make another stream on the system's
    await server.start()
    client = await nats.connect(server.url)
    await connection.execute("CREATE TABLE bare (id uuid PRIMARY KEY, data text)")
    jetstream = client.jetstream()
    await jetstream.add_stream(name="BARE", subjects=["bare.>"])
    times = []
    for _ in range(100):
        begun = time.perf_counter()
        await connection.execute("INSERT INTO bare VALUES ($1, $2)", new_id(), "x" * 400)
        await jetstream.publish("bare.x", b"x" * 400)
        times.append(time.perf_counter() - begun)
    await jetstream.delete_stream("BARE")
    await client.close()
    await server.stop()
    await connection.close()
    return percentile(times, 0.5)
