"""A whole rebuild of health_status against a bare nats-py fetch(1000) loop over the same stream, in the same run."""

import asyncio
import json
import os
import sys
from itertools import batched
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from filling import fill
from histories import cooperatives_in, histories
from nats.aio.client import Client
from servers import Nats

from chassis.storage.database import Database
from chassis.storage.read_models import ReadModels
from services.reporting.projections import health_status

pytestmark = pytest.mark.benchmark

EVENTS = int(os.environ.get("DINKOP_BENCH_EVENTS", "200000"))
AT_LEAST = 4.0
VERIFIED = 1.5
"""Times a rebuild may take when every row is compared with the live one's."""
HELD = 300_000_000
REBUILDING, FETCHING = (Path(__file__).parents[1] / name for name in ("rebuilding.py", "fetching.py"))


async def test_a_rebuild_is_at_least_four_times_a_bare_fetch_loop_within_its_memory(
    nats: Nats, public_stream: Client, service_database: Database, database_url: str
) -> None:
    for some in batched(histories(EVENTS), 20_000):
        await fill(public_stream, some)
    before = await _fetch(nats)
    rebuild = await _rebuild(nats, database_url)
    fetched = (before + await _fetch(nats)) / 2  # what else the machine does changes from one minute to the next
    again = await _rebuild(nats, database_url)  # beside a live generation that has the same rows: they are compared
    ratio = EVENTS / rebuild["seconds"] / fetched
    print(
        f"\nrebuild of {EVENTS:,} events into {cooperatives_in(EVENTS):,} rows: {rebuild['seconds']:.1f} s"
        f" ({EVENTS / rebuild['seconds']:,.0f}/s, {rebuild['cpu']:.1f} s of CPU), {rebuild['held'] / 1e6:.0f} MB above"
        f" idle; nats-py fetch(1000) {fetched:,.0f}/s, ratio {ratio:.1f}; by phase {rebuild['phases']}"
        f"\nagain, with verification: {again['seconds']:.1f} s, {again['held'] / 1e6:.0f} MB; {again['phases']}"
    )
    async with ReadModels(service_database).view(health_status.projection) as view:
        [[rows]] = await view.fetch(sa.select(sa.func.count()).select_from(health_status.table))
    assert rows == rebuild["rows"] == cooperatives_in(EVENTS)
    assert again["compared"]["before"] == again["compared"]["after"]
    assert again["compared"]["rows"] == rows
    assert max(rebuild["held"], again["held"]) <= HELD
    assert again["seconds"] <= VERIFIED * rebuild["seconds"]
    assert ratio >= AT_LEAST


async def _rebuild(nats: Nats, database_url: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(await _said_by(REBUILDING, nats.url, database_url, "health_status"))
    return report


async def _fetch(nats: Nats) -> float:
    """Return messages per second of the bare loop; a fifth of the stream is enough to tell."""
    return float(await _said_by(FETCHING, nats.url, str(max(1_000, EVENTS // 5_000 * 1_000))))


async def _said_by(program: Path, *arguments: str) -> bytes:
    """Return the last line that a program prints in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, program, *arguments, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.splitlines()[-1]
