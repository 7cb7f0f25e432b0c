"""The state directory and its record of the running system."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from dinkop.home import Home, Running
from dinkop.processes import CannotStart, ProcessRecord


@pytest.fixture
def running() -> Running:
    """A record in which this very process is the supervisor."""
    own = ProcessRecord.of(os.getpid())
    assert own is not None
    return Running(
        supervisor=own,
        ready=True,
        services={"registry": "http://127.0.0.1:8001"},
        nats_url="nats://127.0.0.1:4222",
        monitoring_url="http://127.0.0.1:8222",
        databases={"registry": "postgresql://registry@/registry?host=/h/postgres/socket&port=5432"},
        processes={"registry": own},
    )


def test_the_home_given_comes_before_the_variable_and_that_before_the_users_data(tmp_path: Path) -> None:
    variable = {"DINKOP_HOME": str(tmp_path / "named")}
    assert Home.choose(tmp_path / "given", variable).directory == tmp_path / "given"
    assert Home.choose(None, variable).directory == tmp_path / "named"
    assert Home.choose(None, {}).directory.name == "dinkop"


def test_a_held_home_is_private_and_refused_to_anybody_else_naming_the_holder(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.held():
        for folder in (home.directory, home.postgres, home.nats, home.keys, home.logs):
            assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(CannotStart, match=rf"\(process {os.getpid()}\).*`kill {os.getpid()}`"), home.held():
            pass
    with home.held():
        pass


def test_a_home_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.held():
        home.directory.chmod(0o755)
    with home.held():
        assert home.directory.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_something_else_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(CannotStart, match="holds something else already"), Home(tmp_path).held():
        pass
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.odt"]


def test_somebody_elses_folder_is_refused_naming_them(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(CannotStart, match=r"belongs to nobody\. Run dinkop as nobody"), Home(tmp_path).held():
        pass


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="can't be the home"), Home(tmp_path / "file").held():
        pass


def test_other_commands_find_what_the_supervisor_recorded(tmp_path: Path, running: Running) -> None:
    home = Home(tmp_path)
    assert home.running() is None
    home.record(running)
    assert Home(tmp_path).running() == running
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    home.forget()
    assert home.running() is None


def test_a_record_whose_supervisor_is_dead_is_of_nothing_running(tmp_path: Path, running: Running) -> None:
    dead = msgspec.structs.replace(running, supervisor=ProcessRecord(os.getpid(), 1.0))
    home = Home(tmp_path)
    home.record(dead)
    assert home.running() is None
    assert home.recorded() == dead


@pytest.mark.parametrize("content", [b"", b'{"supervisor": {"pid"', b"{}"])
def test_an_unreadable_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert Home(tmp_path).running() is None


def test_a_record_knows_its_process_until_it_ends_or_the_id_is_used_again() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        record = ProcessRecord.of(child.pid)
        assert record is not None
        assert record.process() == psutil.Process(child.pid)
        assert ProcessRecord(child.pid, record.created - 60).process() is None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert record.process() is None, "a zombie is dead"
    assert record.process() is None
    assert ProcessRecord.of(child.pid) is None
