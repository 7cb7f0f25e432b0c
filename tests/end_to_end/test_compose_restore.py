"""A stack loses a database, all databases, everything, and comes back by the commands of the how-to alone."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import tutorial
from running import PATIENCE, REPOSITORY, SERVICES, Install, dense
from stack import Stack
from test_agencies import first_id

pytestmark = pytest.mark.compose
PAGE = REPOSITORY / "docs" / "how-to" / "back-up-and-restore.md"


class Operator:
    """Somebody with the page in hand: runs its blocks of commands, with folders of his own for its examples."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.backups, self.master_key, self.lists = folder / "backups", folder / "apart", folder / "lists"
        self.lists.mkdir()
        self.lists.chmod(0o777)
        self.blocks = [block.text for block in tutorial.blocks(PAGE) if block.kind == "sh"]

    def does(self, first: str, more: str = "", code: int = 0) -> str:
        """Run the one block that begins like this, with `more` words after its first command; return what it says."""
        [text] = [block for block in self.blocks if block.startswith(first)]
        line, _, others = text.partition("\n")
        text = f"{line} {more}\n{others}"
        for example, mine in {
            "/srv/backups": str(self.backups),
            "/srv/lists": str(self.lists),
            "/media/safe/master_key": str(self.master_key),
            "docker volume rm dinkop_postgres dinkop_nats": (
                f"docker volume rm {self.stack.project}_postgres {self.stack.project}_nats"
            ),
            "docker-compose ": os.environ.get("COMPOSE", "docker-compose") + " ",
        }.items():
            text = text.replace(example, mine)
        done = subprocess.run(
            ["sh", "-exc", text],
            cwd=REPOSITORY,
            env=self.stack.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        assert done.returncode == code, f"{text}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def newest(self) -> str:
        """Return the name of the newest backup."""
        return max(record.parent.name for record in self.backups.glob("*/backup.json"))


def ask_for_mentoring(stack: Stack, name: str) -> str:
    body = {
        "cooperative_name": "Koperasi Latihan",
        "location": {"kecamatan_code": "35.07.21", "address": "Balai desa"},
        "people": [{"name": name, "role": "ketua"}],
        "complaint": "RAT belum terlaksana",
        "category": "rat",
        "channel": "visit",
    }
    return str(stack.post("mentoring", "/v1/requests", body)[0]["request_id"])


def answers(stack: Stack) -> dict[str, Any]:
    """Return what readers see, once everything that was told has arrived."""
    stack.still()
    at_least = ",".join(f"{name}:{stack.get(name, '/v1/projections')['store']['position']}" for name in SERVICES)
    kecamatan = stack.get("reporting", "/v1/kecamatan", at_least=at_least)
    return {
        "cooperatives": stack.items("registry", "/v1/cooperatives"),
        "kecamatan": kecamatan["items"],
        "total": kecamatan["total"],
        "health": stack.items("reporting", "/v1/health"),
        "requests": stack.items("mentoring", "/v1/requests"),
        "positions": at_least,
    }


def people(stack: Stack, request: str) -> int:
    return stack.http.get(stack.url("mentoring", f"/v1/requests/{request}/people")).status_code


def begins(stack: Stack, agency: dict[str, str]) -> bool:
    """Read the next event with an agency's credentials; tell whether it is the first of its service."""
    event = json.loads(stack.dinkop("events", "show", asyncio.run(first_id(agency))))
    return bool(event["sequence"] == "1")


def test_a_stack_comes_back_by_the_commands_of_the_page(install: Install, tmp_path: Path) -> None:
    # A variable of its own makes it a stack of its own: it is destroyed.
    stack = cast(Stack, install("drill", DINKOP_LOG_LEVEL="warning"))
    operator = Operator(stack, tmp_path)
    stack.start()
    shutil.copy(Path(stack.environment["DINKOP_SECRETS_FOLDER"]) / "master_key", operator.master_key)

    # Work, a backup, more work, another backup.
    for number in range(8):
        stack.register(f"Koperasi Latihan {number}", "2015-08-03")
    kept, forgotten, forgotten_late = (ask_for_mentoring(stack, f"Pemohon {number}") for number in range(3))
    agency = stack.json("agency", "add", "kominfo")
    assert begins(stack, agency)
    operator.does("deploy/compose-backup")
    older = operator.newest()
    stack.register("Koperasi Sesudah Cadangan", "2015-08-03")
    stack.dinkop("forget", forgotten, "--yes")
    before = answers(stack)
    assert "is complete" in operator.does("deploy/compose-backup")

    # One database is lost, and restored from the older backup by mistake: nothing that others know is numbered anew.
    restore_one = "deploy/compose-restore /srv/backups --only"
    wrong = operator.does(restore_one, f"--backup {older}", code=1)
    assert "the database is older than the stream" in wrong
    body = {"name": "Koperasi Cabang", "legal_entity_number": "9/CABANG", "legal_entity_date": "2015-08-03"}
    refused = stack.http.post(stack.url("registry", "/v1/cooperatives"), json=body | {"kecamatan_code": "35.07.21"})
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-behind-log")
    assert stack.items("registry", "/v1/cooperatives") == before["cooperatives"], "reads go on"
    assert "once and in order" in operator.does(restore_one)
    assert answers(stack) == before

    # Work that no backup has, and no newer one: all goes back as a whole; what was forgotten meanwhile stays so.
    stack.register("Koperasi Yang Hilang", "2015-08-03")
    stack.dinkop("forget", forgotten_late, "--yes")
    stack.still()
    stack.leave()
    told = operator.does("docker-compose run --rm -v /srv/lists")
    assert "once and in order" in told
    lost = [json.loads(line) for line in (operator.lists / "lost.jsonl").read_text("utf-8").splitlines()[1:]]
    assert dense(lost)["registry"] == len(before["cooperatives"]) + 1
    stack.start()
    assert answers(stack) == before
    assert [people(stack, each) for each in (kept, forgotten, forgotten_late)] == [200, 410, 410]
    assert begins(stack, agency), "the stream is another one: who reads it begins again"
    operator.does("deploy/compose-backup")

    # Everything is lost but the backups and the master key.
    stack.leave()
    stack.compose("down", "--volumes")
    shutil.rmtree(stack.environment["DINKOP_SECRETS_FOLDER"])
    told = operator.does("deploy/compose-restore /srv/backups --master-key")
    assert "once and in order" in told
    stack.start()
    assert answers(stack) == before
    assert [people(stack, each) for each in (kept, forgotten, forgotten_late)] == [200, 410, 410]
    assert begins(stack, agency)
    _, position = stack.register("Koperasi Sesudah Semua", "2015-08-03")
    assert stack.get("reporting", "/v1/kecamatan", at_least=position)["total"]["registered"] > 0

    # What would be spoilt is refused.
    assert "has databases already" in operator.does("deploy/compose-restore /srv/backups --master-key", code=1)
    (operator.backups / operator.newest() / "rat.dump").write_bytes(b"damaged")
    assert "missing or damaged" in operator.does(restore_one, code=1)
    assert answers(stack)["total"]["registered"] == before["total"]["registered"] + 1
