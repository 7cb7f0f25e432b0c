"""The stream is lost under load and published again: nobody is refused, nothing is lost, nothing has another id."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import Install, Installation, dense


@pytest.fixture(scope="module")
def system(install: Install) -> Installation:
    """A system of its own: it loses its stream."""
    system = install("reconcile")
    system.start()
    return system


@contextmanager
def load(system: Installation) -> Iterator[list[str]]:
    """Register cooperatives all the while, each of which must be accepted; yield their ids."""
    ids: list[str] = []
    done = threading.Event()
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for number in itertools.count():
                if done.is_set():
                    return
                ids.append(system.register(f"Koperasi Beban {number}")[0])
                done.wait(0.05)  # some twenty a second leave room for what is tested
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ids
    finally:
        done.set()
        thread.join(60)
    assert not problems, problems
    assert not thread.is_alive()


def by_number(events: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(event["source"], event["sequence"]): event["id"] for event in events}


@pytest.mark.embedded
def test_the_streams_directory_deleted_under_load_is_noticed_and_repaired(system: Installation, tmp_path: Path) -> None:
    for number in range(20):
        system.register(f"Koperasi Awal {number}")
    system.still()
    _, before = system.exported(tmp_path / "before.jsonl")
    with load(system) as registered:
        assert system.json("reconcile")["fine"]
        shutil.rmtree(system.home / "nats" / "store")
        lost = system.json("reconcile", code=1)
        assert (lost["stream"]["on_disk"], lost["fine"]) == (False, False)
        repaired = system.json("reconcile", "--repair")
        assert repaired["fine"]
        assert repaired["stream"]["identity"] != lost["stream"]["identity"]
    system.still()
    _, after = system.exported(tmp_path / "after.jsonl")
    counted = dense(after)  # a consumer that counts sees every number once, in order
    assert counted["registry"] == 20 + len(registered)
    ids = by_number(after)
    assert {number: ids[number] for number in by_number(before)} == by_number(before)
    assert len(system.items("registry", "/v1/cooperatives", at_least=f"registry:{counted['registry']}")) == 20 + len(
        registered
    )
    assert system.json("reconcile")["fine"]


def test_status_tells_when_the_stores_were_last_compared_and_that_commands_are_accepted(system: Installation) -> None:
    system.dinkop("reconcile")
    for service in ("registry", "rat", "mentoring", "reporting"):
        state = system.get(service, "/v1/projections")
        assert state["reconciled"]["fine"] is True
        assert state["reconciled"]["position"] == state["store"]["position"]
        assert state["writes"] == {"accepted": True, "reason": None}


def test_replacing_the_stream_needs_the_word_repair(system: Installation) -> None:
    assert "--repair" in system.dinkop("reconcile", "--replace-stream", code=2)


@pytest.mark.embedded
def test_nothing_can_be_compared_where_nothing_runs(install: Install) -> None:
    assert "dinkop up" in install("nothing").dinkop("reconcile", code=3)
