"""A running system as far as those need it who read the stream: a NATS server and a home that names it."""

import os
from pathlib import Path

import psutil
import pytest
from servers import Nats

from dinkop.home import Home, ProcessRecord, Running
from dinkop.system import System


@pytest.fixture
def system(nats: Nats, tmp_path: Path) -> System:
    """A system of which only NATS runs."""
    this = psutil.Process()
    running = Running(
        supervisor=ProcessRecord(os.getpid(), this.create_time()),
        ready=True,
        services={},
        nats_url=nats.url,
        monitoring_url=nats.monitoring_url,
        databases={},
        processes={},
    )
    return System(Home(tmp_path / "home"), running)
