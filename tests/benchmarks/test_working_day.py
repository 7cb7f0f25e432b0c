"""A rebuild of a large projection on a working day: what those who write and read meanwhile notice of it."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched, pairwise
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg
import pytest
from figures import percentile
from filling import fill
from histories import cooperatives_in, histories

from chassis.messaging.connection import client, connect
from contracts.envelope import SERVICES
from dinkop.doors import Doors
from dinkop.embedded.postgres import SUPERUSER, EmbeddedPostgres
from dinkop.home import Home, Running

pytestmark = pytest.mark.benchmark

EVENTS = int(os.environ.get("DINKOP_BENCH_EVENTS", "200000"))
A_SECOND = 50
QUIET_SECONDS = 20.0
STILL_SECONDS = 3.0
TIMES_SLOWER = 2.0
DINKOP = Path(sys.executable).with_name("dinkop")


async def test_a_rebuild_while_others_write_and_read_fails_no_read_and_slows_no_write_twofold(
    home: Path, system: Running, token: dict[str, str]
) -> None:
    _dinkop(home, "pause", "all")  # the stream is filled behind the services' backs: live they would take their time
    doors = Doors(home / "doors")
    for some in batched(histories(EVENTS), 20_000):
        for service in SERVICES:  # each may publish its own only; what another does at the same time may come before
            async with connect(doors.url(service, system.nats_url), "fill") as broker:
                await fill(client(broker), [event for event in some if event[0].split(".")[2] == service])
    for name in ("health_status", "mentoring.cooperatives", "mentoring.meetings"):
        _dinkop(home, "rebuild", name)
        _dinkop(home, "retire", name)  # the empty one before it: on a working day it would have been fed long ago
        _dinkop(home, "resume", name)
    for name in ("mentoring.requests", "mentoring.calendar"):
        _dinkop(home, "resume", name)
    await asyncio.to_thread(_settled, home)
    await _checkpoint(home)
    quiet = await asyncio.to_thread(_load_for, system, token, lambda: time.sleep(QUIET_SECONDS))
    outcomes: list[dict[str, Any]] = []
    busy = await asyncio.to_thread(
        _load_for, system, token, lambda: outcomes.extend(_dinkop(home, "rebuild", "health_status")["items"])
    )
    [outcome] = outcomes
    before, during = percentile(quiet.writes, 0.99), percentile(busy.writes, 0.99)
    rows, seconds = outcome["compared"]["rows"], outcome["seconds"]
    print(
        f"\nrebuild of {EVENTS:,} events into {rows:,} rows, verified, in {seconds:.1f} s under {A_SECOND} writes"
        f" a second: writes p50 {_both(quiet.writes, busy.writes, 0.5)}, p99 {_both(quiet.writes, busy.writes, 0.99)}"
        f" (ratio {during / before:.2f}); {len(busy.reads)} reads, p99 {_both(quiet.reads, busy.reads, 0.99)}"
    )
    assert outcome["state"] == "live"
    assert outcome["compared"]["before"] == outcome["compared"]["after"]
    assert outcome["compared"]["rows"] >= cooperatives_in(EVENTS)
    assert busy.problems == quiet.problems == []
    assert all(registered > 0 for registered in busy.registered)
    assert all(before <= after for before, after in pairwise(busy.positions))
    assert during <= TIMES_SLOWER * before


def _both(quiet: list[float], busy: list[float], share: float) -> str:
    return f"{percentile(quiet, share) * 1000:.1f} -> {percentile(busy, share) * 1000:.1f} ms"


def _dinkop(home: Path, *words: str) -> Any:
    environment = {**os.environ, "DINKOP_HOME": str(home)}
    done = subprocess.run([DINKOP, *words, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _settled(home: Path) -> None:
    """Return when reporting has announced what the events that were filled in mean for every cooperative's health."""
    announced = -1
    while True:
        [reporting] = [each for each in _dinkop(home, "status")["services"] if each["name"] == "reporting"]
        if reporting["store"]["position"] == announced:
            return
        announced = reporting["store"]["position"]
        time.sleep(STILL_SECONDS)


async def _checkpoint(home: Path) -> None:
    """Have PostgreSQL put its log's old segments by for use, as it does every five minutes of a day."""
    directory = Home(home)
    postgres = EmbeddedPostgres(directory.postgres, passwords=directory.passwords)
    connection = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
    await connection.execute("CHECKPOINT")
    await connection.close()


@dataclass
class Load:
    """Requests for mentoring, so many a second, and reads of a kecamatan beside them."""

    system: Running
    token: dict[str, str]
    writes: list[float] = field(default_factory=list)
    """Seconds each took, from the moment it was due: one that waits behind another counts its waiting."""
    reads: list[float] = field(default_factory=list)
    registered: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(9)
        begun = time.perf_counter()
        for worker in range(8):
            self._pool.submit(self._write, begun, worker)
        self._pool.submit(self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._pool.shutdown()

    def _write(self, begun: float, worker: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.system.services["mentoring"]).netloc)
        body = json.dumps(
            {
                "cooperative_id": None,
                "cooperative_name": "Koperasi Sibuk",
                "location": {"kecamatan_code": "35.07.21", "address": "Jl. Contoh 1"},
                "people": [{"name": "Siti Contoh", "role": "ketua"}],
                "complaint": "RAT tertunda",
                "category": "rat",
                "channel": "letter",
                "received_on": "2024-11-13",
            }
        )
        for number in range(worker, 10**9, 8):
            due = begun + number / A_SECOND
            if self._done.wait(max(0.0, due - time.perf_counter())):
                return
            connection.request("POST", "/v1/requests", body, {"Content-Type": "application/json", **self.token})
            answer = connection.getresponse()
            said = answer.read()
            self.writes.append(time.perf_counter() - due)
            if answer.status != 201:
                self.problems.append(f"write: {answer.status} {said!r}")

    def _read(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.system.services["reporting"]).netloc)
        while not self._done.wait(0.1):
            begun = time.perf_counter()
            connection.request("GET", "/v1/kecamatan/35.07.21", headers=self.token)
            answer = connection.getresponse()
            said = json.load(answer)
            self.reads.append(time.perf_counter() - begun)
            if answer.status != 200:
                self.problems.append(f"read: {answer.status} {said}")
                continue
            self.registered.append(said["registered"])
            self.positions.append(sum(said["positions"].values()))


def _load_for(system: Running, token: dict[str, str], work: Any) -> Load:
    with Load(system, token) as load:
        work()
    return load
