"""A whole system for benchmarks, as `dinkop up` runs it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from eventually import eventually
from servers import free_ports

from dinkop.home import Home, Running


@pytest.fixture
async def system() -> AsyncIterator[Running]:
    """A system of its own on a fresh home."""
    folder = Path(tempfile.mkdtemp(prefix="db-"))
    base = free_ports(1)[0] - 10
    command = [str(Path(sys.executable).with_name("dinkop")), "up", "--home", str(folder), "--port-base", str(base)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "DINKOP_TODAY": "2024-11-14"})
    home = Home(folder)

    async def ready() -> bool:
        assert process.poll() is None, "dinkop up ended"
        running = home.running()
        return bool(running and running.ready)

    await eventually(ready, 120)
    running = home.running()
    assert running
    yield running
    process.terminate()
    await asyncio.to_thread(process.wait, 30)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Benchmarks run on the loop that services run on."""
    return uvloop.EventLoopPolicy()
