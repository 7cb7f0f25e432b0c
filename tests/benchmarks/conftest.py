"""A whole system for benchmarks, as `dinkop up` runs it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from eventually import eventually
from ports import free_ports

from chassis.telemetry import logs
from contracts.roles import HEAD, OPERATOR
from dinkop.home import Home, Running
from dinkop.issuer import EmbeddedIssuer

NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 - loggers keep it for as long as the process lives


@pytest.fixture(autouse=True)
def _logging() -> None:
    """Log as a service does, to nowhere: what a line costs is a part of what is measured."""
    logs.configure("benchmark", output=NOWHERE)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own."""
    folder = Path(tempfile.mkdtemp(prefix="db-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def system(home: Path) -> AsyncIterator[Running]:
    """A system of its own on a fresh home."""
    base = free_ports(1)[0] - 10
    command = [str(Path(sys.executable).with_name("dinkop")), "up", "--home", str(home), "--port-base", str(base)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "DINKOP_TODAY": "2024-11-14"})
    directory = Home(home)

    async def ready() -> bool:
        assert process.poll() is None, "dinkop up ended"
        running = directory.running()
        return bool(running and running.ready)

    await eventually(ready, 120)
    running = directory.running()
    assert running
    yield running
    process.terminate()
    await asyncio.to_thread(process.wait, 30)


@pytest.fixture
def token(home: Path, system: Running) -> dict[str, str]:
    """The header of one who may do everything in the system, for an hour."""
    minted = EmbeddedIssuer.of(Home(home)).mint([HEAD, OPERATOR], "benchmark", 3600)
    return {"Authorization": f"Bearer {minted}"}


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Benchmarks run on the loop that services run on."""
    return {"uvloop": uvloop.new_event_loop}
