"""What a released version of the contracts promised is kept by every later one, both ways."""

import json
import re
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from contracts import releases
from contracts.catalogue import EVENTS
from contracts.generate import CONTRACTS

NOW = releases.promises()
RELEASED = releases.released()
CHANGELOG = (CONTRACTS / releases.CHANGELOG).read_text("utf-8")

every_promise = pytest.mark.parametrize(
    ("version", "name"), [(version, name) for version, promised in RELEASED.items() for name in promised]
)


def fits(schema: Any, document: Any) -> bool:
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(document)


def test_there_is_a_first_release() -> None:
    assert next(iter(RELEASED)) == releases.FIRST
    assert releases.newest() in RELEASED


@pytest.mark.parametrize("version", RELEASED)
def test_a_released_file_is_the_one_the_changelog_names(version: str) -> None:
    found = re.search(rf"^## {re.escape(version)}\n\n.*SHA-256 `([0-9a-f]{{64}})`", CHANGELOG, re.MULTILINE)
    assert found
    assert found[1] == sha256((CONTRACTS / "released" / f"{version}.json").read_bytes()).hexdigest()


def test_nothing_that_was_ever_promised_is_broken() -> None:
    assert releases.broken(CONTRACTS, NOW) == []


@every_promise
def test_an_event_of_a_released_version_is_read_today(version: str, name: str) -> None:
    example = RELEASED[version][name]["example"]
    assert fits(NOW[name]["data"], example["data"])
    assert fits(NOW[name]["headers"], example["headers"])
    [event] = [event for event in EVENTS if event.schema_id() == name]
    read = event.model_validate(example["data"]).model_dump(mode="json")
    assert {key: read[key] for key in example["data"]} == example["data"]


@every_promise
def test_an_event_of_today_is_read_by_readers_of_a_released_version(version: str, name: str) -> None:
    promised = RELEASED[version][name]
    assert fits(promised["data"], NOW[name]["example"]["data"])
    assert fits(promised["headers"], NOW[name]["example"]["headers"])


HELD = "urn:dinkop:rat:RATHeld:v1"


def changed(part: str, path: str, value: Any = None) -> dict[str, Any]:
    """Return what is promised now with one place of RATHeld changed, or (None) taken out."""
    promises = deepcopy(dict(NOW))
    place = promises[HELD][part]
    *folders, last = path.split("/")
    for folder in folders:
        place = place[folder]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return promises


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of contracts in which 1.0 is released, and something is said of the next."""
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\nAll of it.\n", "utf-8")
    assert releases.release(tmp_path) == "1.0"
    return tmp_path


@pytest.mark.parametrize(
    ("part", "path", "value", "problem"),
    [
        ("data", "properties/turnover", None, "data.turnover: removed"),
        ("data", "properties/second_meeting/default", True, "data.second_meeting: an absent value now means True"),
        ("data", "properties/second_meeting/type", "string", "data.second_meeting: type boolean is no longer allowed"),
        ("data", "required", ["cooperative_id"], "data.held_on: no longer required"),
        ("data", "$defs/Rupiah/minimum", 0, "data.own_capital: minimum changed"),
        ("data", "$defs/RATSource/enum", ["office", "ods"], "data.source: value 'nik_grade' is no longer allowed"),
        (
            "data",
            "$defs/RATSource/enum",
            ["office", "ods", "nik_grade", "x"],
            "data.source: value 'x' is newly allowed",
        ),
        ("data", "properties/held_on/format", None, "data.held_on: format changed"),
        ("headers", "properties/ce-sequence", None, "headers.ce-sequence: removed"),
        ("headers", "required", ["ce-id"], "headers.ce-type: no longer required"),
        ("headers", "properties/ce-type/const", "another", "headers.ce-type: value 'another' is newly allowed"),
    ],
)
def test_a_broken_promise_is_named_with_the_release_that_made_it(
    root: Path, part: str, path: str, value: Any, problem: str
) -> None:
    found = releases.broken(root, changed(part, path, value))
    assert any(line.startswith(f"released 1.0, {HELD}: {problem}") for line in found), found


def test_an_event_that_is_gone_or_moved_is_a_broken_promise(root: Path) -> None:
    gone = {name: promise for name, promise in NOW.items() if name != HELD}
    assert releases.broken(root, gone) == [f"released 1.0, {HELD}: event type removed"]
    moved = NOW | {HELD: NOW[HELD] | {"address": "dinkop.v2.rat.RATHeld.{kecamatan}"}}
    [problem] = releases.broken(root, moved)
    assert "address changed from dinkop.v1.rat.RATHeld.{kecamatan}" in problem


def test_an_old_event_that_todays_code_cannot_read_is_a_broken_promise(root: Path) -> None:
    file = root / "released" / "1.0.json"
    promised = json.loads(file.read_text("utf-8"))
    promised[HELD]["example"]["data"]["held_on"] = "the day before"
    file.write_text(json.dumps(promised), "utf-8")
    [problem] = releases.broken(root, NOW)
    assert problem.startswith(f"released 1.0, {HELD}: its example can't be read any more")


def test_every_release_counts_not_only_the_last(root: Path) -> None:
    without = {name: promise for name, promise in NOW.items() if name != HELD}
    (root / "released" / "1.1.json").write_text(json.dumps(without), "utf-8")
    (root / "released" / "1.10.json").write_text(json.dumps(without), "utf-8")
    assert releases.newest(root) == "1.10"
    assert releases.broken(root, without) == [f"released 1.0, {HELD}: event type removed"]


def test_a_new_optional_field_and_a_new_event_break_nothing(root: Path) -> None:
    assert releases.broken(root, changed("data", "properties/venue", {"type": "string"})) == []
    assert releases.broken(root, {**NOW, "urn:dinkop:rat:RATDreamt:v1": NOW[HELD]}) == []


def test_a_release_is_numbered_frozen_and_named_in_the_changelog(root: Path) -> None:
    file, changelog = root / "released" / "1.0.json", root / "CHANGELOG.md"
    assert json.loads(file.read_text("utf-8")) == NOW
    assert (
        f"## 1.0\n\nFrozen as `released/1.0.json`, SHA-256 `{sha256(file.read_bytes()).hexdigest()}`.\n\nAll of it."
        in (changelog.read_text("utf-8"))
    )


def test_nothing_new_is_not_released(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert releases.main([], root) == 1
    assert "Nothing changed since 1.0" in capsys.readouterr().err


def test_what_the_changelog_does_not_mention_is_not_released(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = changed("data", "properties/venue", {"type": "string"})
    monkeypatch.setattr(releases, "promises", lambda: more)
    assert releases.main([], root) == 1
    assert "Say under `## Unreleased`" in capsys.readouterr().err
    assert releases.newest(root) == "1.0"
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    (root / "CHANGELOG.md").write_text(
        changelog.replace("## 1.0", "## Unreleased\n\nRATHeld.venue.\n\n## 1.0"), "utf-8"
    )
    assert releases.main([], root) == 0
    assert list(releases.released(root)) == ["1.0", "1.1"]


def test_a_broken_promise_is_not_released(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(releases, "promises", lambda: changed("data", "properties/turnover"))
    assert releases.main([], root) == 1
    assert "data.turnover: removed" in capsys.readouterr().err
    assert releases.main(["1.1"], root) == 2
