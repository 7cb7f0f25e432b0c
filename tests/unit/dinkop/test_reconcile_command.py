"""`dinkop reconcile`: what it prints of what was found. The comparing is played."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chassis.engine.reconcile import Places
from dinkop import reconciling
from dinkop.cli import app
from dinkop.home import Home, Running
from dinkop.reconciling import Outcome
from dinkop.system import System


@pytest.fixture
def reconcile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command, over a stream without events whose files are there, gone, or out of sight (None)."""
    running = Running(None, True, {}, "", "", {}, {})
    monkeypatch.setattr(System, "find", lambda home: System(Home(tmp_path), running, here=False))

    def run(on_disk: bool | None, *words: str) -> Result:
        async def look(*_: Any) -> Outcome:
            return Outcome("one", 0, on_disk, {}, Places())

        monkeypatch.setattr(reconciling, "look", look)
        return CliRunner().invoke(app, ["reconcile", *words])

    return run


FINE, FAILED = 0, 1


@pytest.mark.parametrize(("on_disk", "code"), [(True, FINE), (None, FINE), (False, FAILED)])
def test_files_out_of_sight_are_neither_there_nor_gone(reconcile: Any, on_disk: bool | None, code: int) -> None:
    done = reconcile(on_disk, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["stream"]["on_disk"], told["fine"]) == (code, on_disk, code == FINE)
    words = " ".join(reconcile(on_disk).stdout.split())
    assert ("can't be looked at from here" in words) == (on_disk is None)
    assert ("files of the stream were deleted" in words) == (on_disk is False)
