"""A tutorial as a sequence of steps: files to write, changes to make, commands to run, calls and their answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`\n\n)?^```(?P<kind>[a-z]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Outdated(AssertionError):
    """The tutorial changes something that isn't there any more; the text says what."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its kind, the file named above it, and its text."""

    kind: str
    file: str | None
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Return the blocks of a page in order."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        yield Block(found["kind"], found["file"], found["text"])


def apply(block: Block, root: Path) -> None:
    """Write the new file, or change the file, that a block tells of. Raises Outdated."""
    assert block.file is not None, f"no file is named above {block.text[:80]!r}"
    file = root / block.file
    if block.kind == "python":
        assert not file.exists(), f"{block.file} is there already"
        file.write_text(block.text, "utf-8")
        return
    text = file.read_text("utf-8")
    for hunk in re.split(r"^@@\n", block.text, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] or "\n" for line in lines if line[0] in " -\n")
        new = "".join(line[1:] or "\n" for line in lines if line[0] in " +\n")
        if text.count(old) != 1:
            raise Outdated(f"{block.file} has this {text.count(old)} times, not once; mend the tutorial:\n{old}")
        text = text.replace(old, new)
    file.write_text(text, "utf-8")


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP call that a tutorial shows, and what it says the answer holds."""

    method: str
    service: str
    path: str
    body: Any
    status: int
    holds: dict[str, Any]


def calls(block: Block) -> Iterator[Call]:
    """Return the calls of an `http` block: a line of method, service and path, the body, status and answer."""
    for part in block.text.strip().split("\n\n"):
        first, *middle, last = part.splitlines()
        method, service, path = first.split(" ", 2)
        status, answer = last.split(" ", 1)
        yield Call(method, service, path, json.loads("".join(middle) or "null"), int(status), json.loads(answer))
