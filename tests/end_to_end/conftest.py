"""One running system a session, on a home and ports of its own; the demonstration and the kills have theirs."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import free_ports
from running import Install, Installation
from stack import COMPOSE, Stack


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the system under test can't have: each kind has a few tests of its own."""
    other = "embedded" if COMPOSE else "compose"
    left_out = [item for item in items if item.get_closest_marker(other)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    if left_out and COMPOSE:
        names = sorted({f"{item.path.name}: {item.name.partition('[')[0]}" for item in left_out})
        print("Left out, for they are about the command that runs everything on one machine:", *names, sep="\n  ")


# A shell has what it runs in the background ignore Ctrl-C, and a process hands that on to those it starts: a command
# of ours would rightly go on.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """Make installations; what still runs at the end is stopped, and what outlives that fails.

    With DINKOP_TEST_SYSTEM=compose they are stacks of containers; those without an environment of their own are one.
    """
    if COMPOSE:
        yield from _stacks(tmp_path_factory.getbasetemp())
        return
    made: list[Installation] = []
    folder = Path(tempfile.mkdtemp(prefix="de-")).resolve()

    def make(name: str, **environment: str) -> Installation:
        made.append(Installation(folder / name, free_ports(10)[0], **environment))
        return made[-1]

    yield make
    with ExitStack() as closing:
        closing.callback(shutil.rmtree, folder)
        for installation in made:
            closing.callback(installation.close)


def _stacks(shared: Path) -> Iterator[Install]:
    made: dict[str, Stack] = {}

    def make(name: str, **environment: str) -> Installation:
        key = repr(sorted(environment.items()))
        if key not in made:
            made[key] = Stack(shared, free_ports(10)[0], name, **environment)
        return made[key]

    yield make
    with ExitStack() as closing:
        for stack in made.values():
            closing.callback(stack.close)


@pytest.fixture(scope="session")
def system(install: Install) -> Installation:
    """A running system that the tests share.

    Cooperatives that tests invent are founded in 2022 or later, so that 2021 is left to the Ministry's export.
    """
    system = install("home")
    system.start()
    return system
