"""What clients asked and were told, and what was broken meanwhile: one JSON object a line, as it happened."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

type Line = dict[str, Any]


class History:
    """A history being written. `at` is seconds on a clock that nobody steps, since the run began.

    what       with
    asked      key, client, service, path: a command, once, before it is first sent
    told       key, status, position, subject, version: the answer that ended it (a repetition's too: `again`)
    unanswered key, why: an attempt that ended without one; the client tries again
    read       client, service, path, status, begun, positions, and what it had been told before: at_least
    failed     service, path, status, text: an answer that nobody should ever get
    broke      fault, about; mended: the same
    """

    def __init__(self, file: Path) -> None:
        """Begin a new one."""
        self.lines: list[Line] = []
        self._begun = time.monotonic()
        self._file = file.open("w", encoding="utf-8")

    def now(self) -> float:
        """Return the seconds since it began."""
        return round(time.monotonic() - self._begun, 4)

    def add(self, what: str, **more: object) -> None:
        """Write a line down."""
        line = {"at": self.now(), "what": what, **more}
        self.lines.append(line)
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        """End it."""
        self._file.close()


def positions_of(text: str) -> Mapping[str, int]:
    """Read `registry:12,rat:3`."""
    pairs = (part.partition(":") for part in text.split(",") if part)
    return {service: int(position) for service, _, position in pairs}


def load(file: Path) -> list[Line]:
    """Read a history."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
