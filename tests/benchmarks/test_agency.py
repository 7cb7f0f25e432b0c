"""A hundred thousand events through an agency's consumer, on a hard day."""

import os
from pathlib import Path

import psutil
import pytest
from agency_trial import PYTHON, Consumer, hard_day, rows
from nats.aio.client import Client
from servers import Nats

from dinkop.home import Home, ProcessRecord, Running
from dinkop.system import System

pytestmark = pytest.mark.benchmark
EVENTS = 100_000


async def test_it_is_complete_after_a_hundred_thousand(nats: Nats, public_stream: Client, tmp_path: Path) -> None:
    this = ProcessRecord(os.getpid(), psutil.Process().create_time())
    system = System(Home(tmp_path), Running(this, True, {}, nats.url, nats.monitoring_url, {}, {}))
    await hard_day(system, public_stream, Consumer(PYTHON, tmp_path, rows), EVENTS)
