"""The tutorial, followed to the letter in a copy of the repository."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tutorial
from running import PATIENCE, REPOSITORY, Install

PAGE = REPOSITORY / "docs" / "tutorials" / "add-an-event-and-a-projection.md"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree, with the tutorial's changes made and its commands run."""
    root = tmp_path_factory.mktemp("tutorial").resolve()
    words = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    (root / ".venv").symlink_to(Path(sys.executable).parents[1])
    if (known := REPOSITORY / ".mypy_cache").is_dir():  # then only what changes is looked at again
        shutil.copytree(known, root / ".mypy_cache")
    for block in tutorial.blocks(PAGE):
        if block.kind in ("python", "diff"):
            tutorial.apply(block, root)
        elif block.kind == "sh":
            for line in block.text.splitlines():
                run(line, root)
    return root


def run(line: str, root: Path) -> None:
    """Run a command of the tutorial in the copy; `make` takes the installation for granted."""
    words = shlex.split(line.replace("make ", "make -o .venv/ready "))
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        words, cwd=root, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.embedded
def test_its_changes_fit_and_its_commands_succeed(copy: Path) -> None:
    for folder in ("schemas", "examples"):
        assert (copy / "contracts" / folder / "registry" / "OfficeHoursAnnounced.v1.json").exists()
    assert not list((REPOSITORY / "contracts").rglob("OfficeHoursAnnounced*")), "nothing leaks out of the copy"


@pytest.mark.embedded
def test_what_it_builds_answers_as_it_says(copy: Path, install: Install) -> None:
    system = install("tutorial", PYTHONPATH=str(copy), PYTHONDONTWRITEBYTECODE="", DINKOP_TODAY="2024-11-14")
    system.start()
    told = {"cooperative_id": "", "position": ""}
    [block] = [block for block in tutorial.blocks(PAGE) if block.kind == "http"]
    for call in tutorial.calls(block):
        path = call.path.format(**told)
        answer = system.http.request(call.method, system.url(call.service, path), json=call.body)
        assert answer.status_code == call.status, answer.text
        body = answer.json()
        told["cooperative_id"] = body.get("cooperative_id", told["cooperative_id"])
        told["position"] = answer.headers.get("Dinkop-Position", told["position"])
        holds = json.loads(json.dumps(call.holds).replace("{cooperative_id}", told["cooperative_id"]))
        assert {name: body[name] for name in holds} == holds
    assert "OfficeHoursAnnounced" in system.dinkop("events", "tail", "--no-follow")
    assert "registry.office_hours" in system.dinkop("projections")
    assert "registry.office_hours: generation 2 is live" in system.dinkop("rebuild", "registry.office_hours")
    system.stop()


def test_a_change_that_no_longer_fits_is_said_to_be_outdated(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\n")
    tutorial.apply(tutorial.Block("diff", "a.py", " one\n+and a half\n"), tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\nand a half\ntwo\n"
    with pytest.raises(tutorial.Outdated, match=r"a\.py has this 0 times"):
        tutorial.apply(tutorial.Block("diff", "a.py", "-three\n"), tmp_path)
