"""The same doors, tried with the official JavaScript client."""

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from guarded import Guarded, agency
from test_nobody_may_more import API, forbidden, own

from contracts.envelope import SERVICES, STREAM
from dinkop.agencies import Credentials

pytestmark = pytest.mark.embedded

SOURCES = Path(__file__).parents[2] / "javascript"
INSTALL_SECONDS = 120


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder with the client installed, kept between runs; skips where there is no node or no registry."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    package = (SOURCES / "package.json").read_text()
    folder = platformdirs.user_cache_path("dinkop-tests") / "javascript"
    if not (folder / "installed").exists() or (folder / "package.json").read_text() != package:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(package)
        words = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("the npm registry does not answer")
        if done.returncode:
            pytest.skip(f"the NATS client can't be installed: {done.stderr[-300:]}")
        (folder / "installed").touch()
    shutil.copy(SOURCES / "doors.mjs", folder)
    return folder


def tried(node: Path, given: Credentials, **job: object) -> Any:
    words = json.dumps({"credentials": asdict(given), **job})
    done = subprocess.run(
        ["node", node / "doors.mjs"], input=words, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("user", ["agency-kominfo", "agency-wagir", "registry", "reporting"])
async def test_an_agency_gets_its_own_and_nobody_gets_more(server: Guarded, node: Path, user: str) -> None:
    readers = {f"agency-{name}": agency(name) for name in ("kominfo", "wagir")}
    reader, address = readers.get(user), server.address(user)
    durable, filters = (reader.durable, reader.filter_subjects) if reader else ("", [])
    given = Credentials(server.server.url, user, address.password, STREAM, durable, address.inbox_prefix, filters)
    before = await server.state()
    targets = [f"{API}.STREAM.DELETE.{STREAM}", f"{API}.STREAM.PURGE.{STREAM}", "dinkop.v1.mentoring.Forged.350721"]
    asking = [subject for subject in own(user)[:3] if subject.startswith("$JS")]
    answer = tried(
        node,
        given,
        forbidden=forbidden(user),
        unheard=[">", "dinkop.v1.>", "$JS.>", "$SYS.>"],
        replies=[(subject, '{"batch":100,"no_wait":true}', target) for subject in asking for target in targets],
    )
    assert set(answer["refused"]["publish"]) == set(forbidden(user))
    assert set(answer["refused"]["subscription"]) == {">", "dinkop.v1.>", "$JS.>", "$SYS.>"}
    if user == "agency-wagir":
        assert {each["subject"].rpartition(".")[2] for each in answer["seen"]} == {"350721"}
    elif reader:
        assert len(answer["seen"]) == 10 * len(SERVICES)
    after = await server.state()
    assert after == before
