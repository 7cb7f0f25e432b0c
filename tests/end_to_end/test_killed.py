"""`kill -9` of any process amid a stream of commands: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import itertools
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from eventually import eventually
from running import PATIENCE, Bearer, Install, Installation, dense

pytestmark = pytest.mark.embedded

PARTS = ("registry", "rat", "mentoring", "reporting", "nats", "postgres", "supervisor")
CLIENTS = 4


@dataclass
class Clients:
    """Clients that repeat a command under its key until it is acknowledged, whatever happens in between."""

    system: Installation
    http: httpx.AsyncClient
    acknowledged: dict[str, list[tuple[int, str]]] = field(
        default_factory=lambda: {"registry": [], "rat": [], "mentoring": []}
    )
    """(position, subject) of every acknowledged command, per service."""
    disturbed: int = 0
    """Attempts that were not answered, or with an error."""
    done: bool = False

    async def work(self, client: int) -> None:
        """Register a cooperative, record its meeting, ask for mentoring; and again."""
        for number in itertools.count():
            if self.done:
                return
            key = f"{client}-{number}"
            body = {
                "name": f"Koperasi {key}",
                "legal_entity_number": f"{key}/BH",
                "legal_entity_date": "2015-08-03",
                "kecamatan_code": "35.07.21",
            }
            cooperative_id, position = await self.told("registry", "/v1/cooperatives", body, key)
            meeting = {"book_year": 2023, "held_on": "2024-03-01", "members_total": 9, "members_present": 9}
            path = f"/v1/cooperatives/{cooperative_id}/rats"
            await self.told("rat", path, meeting, key, at_least=f"registry:{position}")
            request = {
                "cooperative_id": None,
                "cooperative_name": f"Koperasi {key}",
                "location": {"kecamatan_code": "35.07.21", "address": "Balai desa"},
                "people": [{"name": "Contoh", "role": "chair"}],
                "complaint": "No meeting",
                "category": "rat",
                "channel": "visit",
                "received_on": "2024-05-05",
            }
            await self.told("mentoring", "/v1/requests", request, key)

    async def told(self, service: str, path: str, body: dict[str, Any], key: str, **params: str) -> tuple[str, int]:
        """Return the subject and the position of a command, once it is acknowledged."""
        while True:
            try:
                answer = await self.http.post(
                    self.system.url(service, path), json=body, params=params, headers={"Idempotency-Key": key}
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 201:
                said = answer.json()
                subject = said.get("request_id") or said["cooperative_id"]
                position = int(answer.headers["Dinkop-Position"].partition(":")[2])
                self.acknowledged[service].append((position, subject))
                return subject, position
            assert answer is None or answer.status_code in (503, 504), answer.text
            self.disturbed += 1
            await asyncio.sleep(0.05)

    async def more(self, count: int = 3) -> None:
        """Wait until every service has acknowledged this many more."""
        wanted = {service: len(told) + count for service, told in self.acknowledged.items()}
        await eventually(lambda: all(len(self.acknowledged[name]) >= n for name, n in wanted.items()), PATIENCE)


@asynccontextmanager
async def clients(system: Installation) -> AsyncIterator[Clients]:
    """Run clients; at the end each finishes what it has begun, until it is acknowledged."""
    async with httpx.AsyncClient(auth=Bearer(system), timeout=20, trust_env=False) as http:
        running = Clients(system, http)
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(running.work(client))
            try:
                yield running
            finally:
                running.done = True


def kill(system: Installation, part: str) -> None:
    """End a part as a crash does."""
    assert system.process is not None
    os.kill(system.pid_of(part), signal.SIGKILL)
    if part == "supervisor":
        system.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def killed(install: Install) -> Installation:
    """A running system that may be killed."""
    killed = install("killed")
    killed.start()
    return killed


async def test_nothing_acknowledged_is_lost_nor_published_twice_whatever_is_killed(
    killed: Installation, tmp_path: Path
) -> None:
    async with clients(killed) as told:
        for part in PARTS:
            await told.more()
            pid = killed.pid_of(part)
            kill(killed, part)
            if part == "supervisor":
                await asyncio.to_thread(killed.start)
            await eventually(another(killed, part, pid), PATIENCE)
            await told.more()
        assert told.disturbed, "the kills came when nobody was looking"

    def all_applied() -> bool:
        status = killed.json("status")
        stores = {each["name"]: each for each in status["services"] if each["ready"]}
        published = all(each["relay"]["published"] == each["store"]["position"] for each in stores.values())
        applied = all(item["lag_events"] == 0 and not item["last_error"] for item in status["projections"])
        return len(stores) == 4 and published and applied

    await eventually(all_applied, PATIENCE)
    stamp, events = killed.exported(tmp_path / "events.jsonl")
    counted = dense(events)
    published = {
        service: {(int(e["sequence"]), e["subject"]) for e in events if e["source"] == f"/dinkop/{service}"}
        for service in counted
    }
    for service, acknowledged in told.acknowledged.items():
        assert published[service] == set(acknowledged), "exactly what was acknowledged, each under its own position"
        assert len(acknowledged) == len(set(acknowledged)) == counted[service]
    assert stamp["positions"] == counted

    total = killed.get("reporting", "/v1/kecamatan/35.07.21", as_of="2024-06-01")
    assert total["registered"] == counted["registry"]
    assert total["mentoring_open"] == counted["mentoring"]
    assert total["held_latest"] == counted["rat"]


def test_a_lost_stream_is_published_anew_from_the_stores_under_the_same_numbers(
    killed: Installation, tmp_path: Path
) -> None:
    cooperative_id, position = killed.register("Koperasi Hilang")
    killed.get("reporting", f"/v1/health/{cooperative_id}", at_least=position)
    _, before = killed.exported(tmp_path / "before.jsonl")
    numbers = killed.get("reporting", "/v1/kecamatan")["total"]
    killed.stop()
    shutil.rmtree(killed.home / "nats")

    killed.start()
    _, position = killed.register("Koperasi Sesudahnya")
    after = killed.get("reporting", "/v1/kecamatan", at_least=position)
    assert after["total"]["registered"] == numbers["registered"] + 1
    _, anew = killed.exported(tmp_path / "anew.jsonl")
    dense(anew)
    told = {event["id"]: event for event in anew}
    assert [told[event["id"]] for event in before] == before
    # Reporting announces when it finds the time; how many of those came in between is not the question here.
    assert len(of_the_others(anew)) == len(of_the_others(before)) + 1


def of_the_others(events: list[Any]) -> list[Any]:
    return [event for event in events if event["source"] != "/dinkop/reporting"]


def another(system: Installation, part: str, before: int) -> Callable[[], bool]:
    """Return a question: does another process run the part by now?"""
    return lambda: system.pid_of(part) != before
