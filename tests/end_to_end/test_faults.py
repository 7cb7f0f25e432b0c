"""A slice of `make faults`, which breaks the system and judges it: the long runs are not for every day."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLACES = ("tests", "tests/faults", "tests/end_to_end")


def schedules(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m schedules`, which is what `make faults` does."""
    paths = os.pathsep.join(str(REPOSITORY / place) for place in PLACES)
    command = [sys.executable, "-m", "schedules", "--folder", str(folder), *words]
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=400
    )


@pytest.mark.parametrize("seed", [2259])
def test_a_kill_a_full_disk_and_a_loss_of_power_lose_nothing_and_double_nothing(seed: int, tmp_path: Path) -> None:
    done = schedules(tmp_path, "--mode", "one", "--seed", str(seed), "--seconds", "60", "--most", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seed {seed}" in done.stdout
    verdict = json.loads((tmp_path / f"one-{seed}" / "verdict.json").read_text())
    assert verdict["problems"] == []
    figures = verdict["figures"]
    assert figures["acknowledged"] > 20
    assert figures["lost"] == figures["doubled"] == 0
    assert sum(figures["faults"].values()) == 3


def test_where_no_engine_answers_a_run_in_containers_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    done = schedules(tmp_path / "runs", "--mode", "containers")
    assert done.returncode == 2
    assert "there can't be containers here: " in done.stderr
    assert not (tmp_path / "runs").exists()
