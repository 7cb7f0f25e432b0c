"""The README names every command, make target and setting there is, and none that there is not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from chassis.settings import Settings
from contracts.catalogue import EVENTS
from contracts.envelope import SERVICES
from dinkop.cli import app
from dinkop.ports import Ports
from dinkop.supervisor import MARK

REPOSITORY = Path(__file__).parents[3]
README = (REPOSITORY / "README.md").read_text("utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text("utf-8")


def commands(group: Any, path: str = "dinkop") -> Iterator[tuple[str, Any]]:
    """Yield every command, such as `dinkop events tail`."""
    inner = getattr(group, "commands", None)
    if inner is None or group.invoke_without_command:
        yield path, group
    if inner is None:
        return
    for name, command in inner.items():
        yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app)))
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", MAKEFILE, re.MULTILINE))
CODE_IN_MARKDOWN = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
CODE = [text for found in re.findall(CODE_IN_MARKDOWN, README) for text in found if text]


def settings() -> set[str]:
    """Return every variable that the system and its make targets know: what they name, and a service's settings."""
    named = {f"DINKOP_{name.upper()}" for name in Settings.model_fields}
    for folder in ("chassis", "dinkop", "services"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            named |= set(re.findall(r"\bDINKOP_[A-Z_]*[A-Z]\b", file.read_text("utf-8")))
    return {name for name in named | set(re.findall(r"\bDINKOP_[A-Z_]*[A-Z]\b", MAKEFILE)) if name != MARK}


def test_it_opens_with_the_two_commands_that_matter() -> None:
    first = next(iter(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)))
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    assert README.index(first) < 200


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    assert any(re.match(rf"{command}\b", code) for code in CODE)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_make_target_is_documented(target: str) -> None:
    assert f"`make {target}`" in README


@pytest.mark.parametrize("setting", sorted(settings()))
def test_every_setting_is_documented(setting: str) -> None:
    assert f"`{setting}`" in README


PAGES = {page.stem: page for page in [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/how-to/*.md"))]}
PAGES |= {page.stem: page for page in sorted(REPOSITORY.glob("docs/runbooks/*-*.md"))}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_a_page_names_exists_with_the_options_it_gives(page: str) -> None:
    code = [text for found in re.findall(CODE_IN_MARKDOWN, PAGES[page].read_text("utf-8")) for text in found if text]
    lines = [line.removeprefix("$ ").split(" #")[0].strip() for block in code for line in block.splitlines()]
    named = [line for line in lines if line.startswith("dinkop ") and line != "dinkop COMMAND --help"]
    assert named
    for words in named:
        path = max((each for each in COMMANDS if words == each or words.startswith(f"{each} ")), key=len, default=None)
        assert path, f"there is no {words!r}"
        known = {name for parameter in COMMANDS[path].params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", words)) <= known, words


def test_every_option_it_names_is_one_of_some_command() -> None:
    known = {name for each in COMMANDS.values() for p in each.params for name in (*p.opts, *p.secondary_opts)}
    named = {found for code in CODE if code.startswith("-") for found in re.findall(r"--[a-z][a-z-]*", code)}
    assert named - known == set()


def test_every_make_target_it_names_exists() -> None:
    named = {name for code in CODE for name in re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)}
    assert named == TARGETS


def test_every_setting_it_names_exists() -> None:
    assert set(re.findall(r"`(DINKOP_[A-Z_]+)`", README)) == settings()


def test_the_default_ports_are_those_it_names() -> None:
    for name, port in Ports():
        assert f"{port}" in README, name
    for name in SERVICES:
        assert f"| {name} | {getattr(Ports(), name)} |" in README


def test_every_link_leads_somewhere() -> None:
    for page in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("services/*/README.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_test_that_a_page_names_exists() -> None:
    pages = [page for page in REPOSITORY.glob("docs/**/*.md") if page.parent.name != "tutorials"]  # those make theirs
    for page in [REPOSITORY / "README.md", *pages]:
        for path in re.findall(r"`(tests/[\w/.*-]+)`", page.read_text("utf-8")):
            assert list(REPOSITORY.glob(path)), f"{page.name}: {path}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_what_it_owns_publishes_consumes_and_serves(service: str) -> None:
    text = (REPOSITORY / "services" / service / "README.md").read_text("utf-8")
    for word in ("**Owns**", "**Publishes**", "**Consumes**", "**Serves**"):
        assert word in text
    published = text[text.index("**Publishes**") : text.index("**Consumes**")]
    assert set(re.findall(r"`([A-Z]\w+)`", published)) <= {e.type_name() for e in EVENTS if e.service == service}
    for file in re.findall(r"`(\w+(?:/\w+)*\.py)`", text):
        assert (REPOSITORY / "services" / service / file).exists(), file
