"""Looking an installation over: what is fine, what is not, and what to do about it."""

import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from chassis.messaging.stream import NotDurable, assert_durable
from dinkop import elsewhere
from dinkop.embedded.accounts import ordinary_account
from dinkop.embedded.nats import find_server
from dinkop.embedded.postgres import find_binaries
from dinkop.home import Home, Running
from dinkop.ports import Ports
from dinkop.processes import CannotStart

ENOUGH_DISK = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do when it is not fine."""

    what: str
    fine: bool
    found: str
    mend: str = ""


async def examine(home: Path | None, ports: Ports) -> AsyncIterator[Finding]:
    """Yield findings, most basic first; what needs the system running is looked at only while it runs."""
    if other := elsewhere.told():
        async for finding in _serving(other, "its log"):
            yield finding
        return
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info >= (3, 12), version, "Install Python 3.12 or newer.")
    for what, find in (("PostgreSQL", find_binaries), ("NATS server", find_server), ("account", ordinary_account)):
        try:
            yield Finding(what, True, str(find()))
        except (CannotStart, OSError) as problem:
            yield Finding(what, False, str(problem), "Run `make setup` again.")
    chosen = Home.choose(home)
    place = next(path for path in [chosen.directory, *chosen.directory.parents] if path.exists())
    free = shutil.disk_usage(place).free
    yield Finding(
        "disk", free > ENOUGH_DISK, f"{free / 1e9:.1f} GB free at {place}", "Free some space, or choose another --home."
    )
    running = chosen.running()
    if running is None:
        yield Finding("system", True, f"not running on {chosen.directory}")
        try:
            ports.refuse_taken()
            yield Finding("ports", True, "free")
        except CannotStart as problem:
            yield Finding("ports", False, str(problem), "Stop what uses them, or choose others with --port-base.")
        return
    assert running.supervisor is not None
    yield Finding("system", True, f"running on {chosen.directory} (process {running.supervisor.pid})")
    async for finding in _serving(running, str(chosen.logs)):
        yield finding


async def _serving(running: Running, logs: str) -> AsyncIterator[Finding]:
    try:
        await assert_durable(running.monitoring_url)
        yield Finding("stream", True, "syncs before it acknowledges")
    except (NotDurable, httpx.HTTPError) as problem:
        yield Finding("stream", False, str(problem) or repr(problem), f"See {logs}, nats.")
    async with httpx.AsyncClient(timeout=5) as client:
        for name, url in running.services.items():
            try:
                answer = await client.get(f"{url}/readyz")
                found, fine = f"{url} answers {answer.status_code}", answer.is_success
            except httpx.HTTPError as problem:
                found, fine = repr(problem), False
            yield Finding(name, fine, found, f"See {logs}, {name}.")
