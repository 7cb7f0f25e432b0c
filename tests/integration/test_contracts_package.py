"""The contracts install alone, and do what an agency installs them for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.generate import CONTRACTS
from contracts.releases import newest

UV = Path(sys.executable).with_name("uv")
READS = """
import json, sys
from importlib.metadata import version
from pathlib import Path
import contracts
from contracts.catalogue import CATALOGUE
from contracts.envelope import Envelope
from contracts.examples import EXAMPLES
from contracts.regions import resolve_kecamatan
from contracts.releases import broken, promises, released

folder = Path(contracts.__file__).parent
assert sys.prefix in str(folder), folder
read = 0
for promised in released().values():
    for promise in promised.values():
        headers, data = promise["example"]["headers"], promise["example"]["data"]
        envelope = Envelope.from_headers(headers)
        model = CATALOGUE[envelope.service, envelope.type, envelope.schema_version]
        event = model.model_validate_json(json.dumps(data))
        assert json.loads(event.model_dump_json()).items() >= data.items()
        read += 1
assert read >= len(EXAMPLES)
assert broken(folder, promises()) == []
assert resolve_kecamatan("Kec. Wagir") == "35.07.21"
for name in ("asyncapi.json", "CHANGELOG.md", "schemas/rat/RATHeld.v1.json", "examples/rat/RATHeld.v1.json"):
    assert (folder / name).exists(), name
print(version("dinkop-contracts"))
"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, timeout=120, check=False)


def done(*words: str | Path) -> str:
    finished = run(*words)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a fresh environment, into which something can be installed."""
    done(UV, "venv", "--python", sys.executable, tmp_path / "alone")
    python = tmp_path / "alone" / "bin" / "python"
    tried = run(UV, "pip", "install", "--python", python, "hatchling", "pydantic")
    if tried.returncode:
        pytest.skip(f"nothing can be installed here: {tried.stderr.strip()[-300:]}")
    return python


def test_the_wheel_alone_reads_every_released_event(tmp_path: Path, python: Path) -> None:
    done(UV, "build", "--wheel", "--python", python, "--no-build-isolation", "--out-dir", tmp_path, CONTRACTS)
    [wheel] = tmp_path.glob("*.whl")
    done(UV, "pip", "uninstall", "--python", python, "hatchling", "pydantic")
    done(UV, "pip", "install", "--python", python, wheel)
    assert done(python, "-c", READS).strip() == newest()
    names = {line.split("==")[0] for line in done(UV, "pip", "freeze", "--python", python).splitlines()}
    assert "dinkop-contracts @" in str(names)
    assert not {"dinkop", "fastapi", "nats-py"} & names
