"""The restore drill, as an operator runs it: `deploy/restore-drill FOLDER`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import DINKOP, PATIENCE, REPOSITORY, Install

pytestmark = pytest.mark.embedded


@pytest.fixture
def drill_environment() -> dict[str, str]:
    """Nothing but what an operator's shell would have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DINKOP_")}


def test_all_comes_back_after_the_stream_a_database_and_the_machine_were_lost(
    install: Install, drill_environment: dict[str, str]
) -> None:
    place = install("drill")
    done = subprocess.run(
        [
            sys.executable,
            REPOSITORY / "deploy" / "restore-drill",
            place.home,
            f"--dinkop={DINKOP}",
            f"--port-base={place.base}",
        ],
        env=drill_environment,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The drill succeeded" in done.stdout


def test_the_drill_touches_no_folder_that_holds_something(drill_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "something").write_text("precious")
    command = [sys.executable, REPOSITORY / "deploy" / "restore-drill", tmp_path]
    done = subprocess.run(command, env=drill_environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)
    assert (tmp_path / "something").read_text() == "precious"
