"""Real processes: free ports, private folders, and the certainty that no process outlives its test."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from ports import free_ports

from dinkop.embedded.accounts import another


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short private folder for one test."""
    yield from _private_folder()


@pytest.fixture(scope="module")
def kept_folder() -> Iterator[Path]:
    """The same for all tests of a module, which saves making a new cluster in each."""
    yield from _private_folder()


def _private_folder() -> Iterator[Path]:
    """Yield a folder; processes still working in it at the end are ended, and fail the test."""
    path = Path(tempfile.mkdtemp(prefix="dk-")).resolve()
    yield path
    left = [process for process in psutil.process_iter() if _works_in(process, path)]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=5)
    shutil.rmtree(path)
    assert not left, f"left behind: {[process.info for process in left]}"


def _works_in(process: psutil.Process, path: Path) -> bool:
    try:
        process.info = f"{process.pid} {process.cmdline()}"
        return process.status() != psutil.STATUS_ZOMBIE and (
            str(path) in process.info or Path(process.cwd()).is_relative_to(path)
        )
    except psutil.Error:
        return False


@pytest.fixture
def port_base() -> int:
    """A number after which all ports of a system are free."""
    return free_ports(20)[0]


@pytest.fixture
def as_ordinary_user() -> Callable[[Path], list[str]]:
    """Give a folder away, and get the start of a command line that runs Python as its new owner."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    nobody = another("nobody")

    def give(folder: Path) -> list[str]:
        os.chown(folder, nobody.uid, nobody.gid)
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv is missing")
        words = [setpriv, f"--reuid={nobody.uid}", f"--regid={nobody.gid}", "--clear-groups"]
        if nobody.stopped_at(Path(sys.executable).resolve()):
            # This interpreter lies in a folder of root: let the user read everything, and write nothing more.
            words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return [*words, sys.executable]

    return give
