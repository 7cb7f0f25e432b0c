"""One running system a session, on a home and ports of its own; the demonstration and the kills have theirs."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from running import Install, Installation

# A shell has what it runs in the background ignore Ctrl-C, and a process hands that on to those it starts: a command
# of ours would rightly go on.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def install() -> Iterator[Install]:
    """Make installations; what still runs at the end is stopped, and what outlives that fails."""
    made: list[Installation] = []
    folder = Path(tempfile.mkdtemp(prefix="de-")).resolve()

    def make(name: str, **environment: str) -> Installation:
        after = made[-1].base + 10 if made else 10000 + os.getpid() % 1000 * 20
        made.append(Installation(folder / name, _free_base(after), **environment))
        return made[-1]

    yield make
    with ExitStack() as closing:
        closing.callback(shutil.rmtree, folder)
        for installation in made:
            closing.callback(installation.close)


def _free_base(after: int) -> int:
    for base in range(after, 65000, 10):
        with ExitStack() as taken:
            try:
                for port in range(base + 1, base + 7):
                    taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise AssertionError("no six free ports in a row")


@pytest.fixture(scope="session")
def system(install: Install) -> Installation:
    """A running system that the tests share.

    Cooperatives that tests invent are founded in 2022 or later, so that 2021 is left to the Ministry's export.
    """
    system = install("home")
    system.start()
    return system
