"""Replicas are stopped and started, one after another, while calls go on: none fails, no event is lost or doubled."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from eventually import eventually
from mentoring_request import REQUEST
from replica_set import STARTS, Front, Replica, Replicas, Truth, seconds_until

from chassis.definitions.clock import new_id
from contracts.envelope import SERVICES

HAND_OVER = 5.0
"""Seconds within which the next one leads, from the moment the one before it let go."""
CLIENTS = 3
RESTARTED = SERVICES if os.environ.get("DINKOP_TEST_ROLLS") == "all" else ("registry", "reporting")
"""One that relays and one that projects; `make replicas` restarts all, which takes two minutes more."""


@dataclass
class Load:
    """Clients that register, record, ask, and read what follows; each call is sent once."""

    front: Front
    acknowledged: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    """Dinkop-Position of every acknowledged command, per service."""
    reads: int = 0
    mark: str = field(default_factory=lambda: str(new_id()))
    """Tells its cooperatives from those of another load on the same databases."""
    done: bool = False

    async def work(self, client: int) -> None:
        """Register a cooperative, record its meeting, read its health, ask for mentoring; and again."""
        for number in itertools.count():
            if self.done:
                return
            body = {
                "name": f"Koperasi {client}-{number}",
                "legal_entity_number": f"{client}-{number}/{self.mark}",
                "legal_entity_date": "2015-08-03",
                "kecamatan_code": "35.07.21",
            }
            answer = await self._told("registry", "/v1/cooperatives", body)
            known = answer.headers["Dinkop-Position"]
            path = f"/v1/cooperatives/{answer.json()['cooperative_id']}"
            meeting = {"book_year": 2023, "held_on": "2024-03-01", "members_total": 9, "members_present": 9}
            held = (await self._told("rat", f"{path}/rats?at_least={known}", meeting)).headers["Dinkop-Position"]
            health = path.replace("cooperatives", "health")
            await self.front.send("reporting", "GET", f"{health}?at_least={known},{held}")
            self.reads += 1
            await self._told("mentoring", "/v1/requests", REQUEST)

    async def _told(self, service: str, path: str, body: object) -> httpx.Response:
        answer = await self.front.send(service, "POST", path, json=body)
        assert answer.status_code == 201, answer.text
        self.acknowledged[service].append(answer.headers["Dinkop-Position"])
        return answer

    async def more(self, count: int = 3) -> None:
        """Wait until each of the three that take commands has acknowledged this many more."""
        wanted = {name: len(self.acknowledged[name]) + count for name in ("registry", "rat", "mentoring")}
        await eventually(lambda: all(len(self.acknowledged[name]) >= n for name, n in wanted.items()), STARTS)


@asynccontextmanager
async def load(replicas: Replicas) -> AsyncIterator[Load]:
    """Run clients before a front; at the end each finishes what it has begun."""
    front = Front(replicas)
    running = Load(front)
    following = asyncio.create_task(front.follow())
    try:
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(running.work(client))
            try:
                yield running
            finally:
                running.done = True
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await front.close()


async def stopping(replica: Replica) -> bool:
    """Whether a replica says that it stops, while it still answers."""
    async with replica.client() as client:
        answer = await client.get("/readyz")
    return answer.status_code == 503 and answer.json()["type"] == "/problems/stopping"


async def test_a_replica_that_stops_is_first_not_ready_then_ends_its_calls_and_then_hands_over(
    replicas: Replicas, registry: list[httpx.AsyncClient]
) -> None:
    leader, follower = await replicas.leader("reporting"), await replicas.follower("reporting")
    first = await registry[0].post("/v1/cooperatives", json={**_cooperative("before")})
    service, _, position = first.headers["Dinkop-Position"].partition(":")
    asked = f"/v1/health/{first.json()['cooperative_id']}?at_least={service}:{int(position) + 1}"
    async with leader.client() as client, leader.client() as late:
        waiting = asyncio.create_task(client.get(asked))
        await eventually(lambda: _under_way(leader), 5)
        leader.terminate()
        await eventually(lambda: stopping(leader), 2)
        during = await late.get("/v1/kecamatan/35.07.21")
        assert (during.status_code, during.headers["connection"]) == (200, "close"), "a call that comes late is served"
        assert await leader.leads(), "it still projects, for those whose calls are under way"
        await registry[0].post("/v1/cooperatives", json={**_cooperative("after")})
        assert (await waiting).status_code == 200, "the call under way was answered"
    await leader.ended()
    assert await seconds_until(follower.leads, HAND_OVER) < HAND_OVER
    leader.start()
    await replicas.serving()


async def test_all_are_restarted_one_after_another_under_load_and_no_call_fails_and_no_event_is_lost_or_doubled(
    replicas: Replicas, truth: Truth
) -> None:
    pauses: list[float] = []
    async with load(replicas) as running:
        for service in RESTARTED:
            # The one that leads first, so that the lead moves to the other and back.
            leader, follower = await replicas.leader(service), await replicas.follower(service)
            for leaving, staying in ((leader, follower), (follower, leader)):
                await running.more()
                leaving.terminate()
                await leaving.ended()
                pauses.append(await seconds_until(staying.leads, HAND_OVER))
                await running.more()
                leaving.start()
                await eventually(leaving.ready, STARTS)
        await running.more()
    sent = sum(map(len, running.acknowledged.values()))
    print(
        f"\n{len(pauses)} restarts, {sent} commands and {running.reads} reads, {running.front.refused} connections"
        f" refused, {len(running.front.wrong)} calls failed; the next one led after at most {max(pauses):.2f} s"
    )
    assert running.front.wrong == []
    assert max(pauses) < HAND_OVER
    assert running.reads > 20
    for service in ("registry", "rat", "mentoring"):
        stored = await truth.stored(service)
        acknowledged = running.acknowledged[service]
        assert len(set(acknowledged)) == len(acknowledged) > 20
        assert {int(each.partition(":")[2]) for each in acknowledged} <= set(range(1, len(stored) + 1))
        await eventually(lambda name=service, all_=stored: _published(truth, name, all_))


async def _published(truth: Truth, service: str, stored: list[str]) -> bool:
    return await truth.published(service) == stored


async def _under_way(replica: Replica) -> bool:
    # What was sent before this was accepted before it.
    return await replica.ready()


def _cooperative(number: str) -> dict[str, str]:
    return {
        "name": f"Koperasi {number}",
        "legal_entity_number": f"{number}/STOPS",
        "legal_entity_date": "2015-08-03",
        "kecamatan_code": "35.07.21",
    }
