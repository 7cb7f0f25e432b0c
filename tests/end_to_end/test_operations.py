"""An operator watches the system, pauses a projection and lets it go on."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from running import DINKOP, PATIENCE, Installation

NAME = "reporting.health_status"


@pytest.fixture
def paused(system: Installation) -> Iterator[dict[str, Any]]:
    """What `dinkop pause` says of a projection that stands still as long as a test takes."""
    [told] = system.json("pause", "health_status")["items"]
    yield told
    system.dinkop("resume", NAME)


def state(system: Installation) -> dict[str, Any]:
    return system.live()[NAME]


def test_a_paused_projection_stands_still_until_it_is_resumed(system: Installation, paused: dict[str, Any]) -> None:
    assert (paused["name"], paused["paused"], paused["changed"]) == (NAME, True, True)
    cooperative_id, position = system.register("Koperasi Menunggu")
    until = time.monotonic() + PATIENCE
    while (now := state(system))["lag_events"] == 0:  # until the stream has it
        assert time.monotonic() < until
    assert (now["paused"], now["paused_by"], now["positions"]) == (True, system.account, paused["positions"])
    assert now["lag_seconds"] > 0
    assert f"paused by {system.account} since 20" in system.dinkop("status")
    assert f"{NAME} was paused already, at " in system.dinkop("pause", NAME)

    assert f"{NAME} goes on from " in system.dinkop("resume", "health_status")
    assert f"{NAME} was not paused" in system.dinkop("resume", "health_status")
    assert system.get("reporting", f"/v1/health/{cooperative_id}", at_least=position)["name"] == "Koperasi Menunggu"
    assert state(system)["lag_events"] == 0


def test_all_is_every_projection_of_every_service(system: Installation) -> None:
    everything = set(system.live())
    assert {item["name"] for item in system.json("pause", "all")["items"]} == everything
    assert all(item["paused"] for item in system.live().values())
    assert {item["name"] for item in system.json("resume", "all")["items"]} == everything
    assert not any(item["paused"] for item in system.live().values())


@pytest.mark.embedded  # suspends a process
def test_a_watch_tells_every_second_and_a_service_that_is_down_is_a_row_that_says_so(system: Installation) -> None:
    watch = subprocess.Popen(
        [DINKOP, "status", "--watch", "--json"], env=system.environment, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout is not None
    service = psutil.Process(system.pid_of("rat"))
    try:
        assert all(told["ready"] for told in json.loads(watch.stdout.readline())["services"])
        service.suspend()
        down = next(told for told in map(rat, watch.stdout) if not told["ready"])
        assert down["url"] == system.url("rat")
        assert down["error"] == "no answer within 5 s"
        service.resume()
        assert next(told for told in map(rat, watch.stdout) if told["ready"])["store"]["position"] >= 0
    finally:
        service.resume()
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=PATIENCE)  # reading on, or what it says last might find no room in the pipe
        assert watch.returncode == 130


def rat(line: str) -> dict[str, Any]:
    """Return what a line of the watch says of the service that the test takes down."""
    [told] = [service for service in json.loads(line)["services"] if service["name"] == "rat"]
    return told
