"""Released contracts: what each version promised stays true for ever. `python -m contracts.releases` makes the next."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.catalogue import EVENTS
from contracts.compatibility import breaks
from contracts.description import address, schema
from contracts.envelope import PublicEvent
from contracts.examples import EXAMPLES
from contracts.headers import headers_schema

CONTRACTS = Path(__file__).parent
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## Unreleased"
FIRST = "1.0"

type Promises = Mapping[str, Mapping[str, Any]]
"""By `ce-dataschema`: where an event stands, the schemas of its headers and data, and an example."""


class CannotRelease(Exception):
    """The contracts aren't ready to be released; the text says what to do."""


def promises(events: Iterable[type[PublicEvent]] = EVENTS) -> Promises:
    """Return what the contracts promise now."""
    examples = {type(example.event): example.message() for example in EXAMPLES}
    return {
        event.schema_id(): {
            "address": address(event),
            "headers": headers_schema(event),
            "data": schema(event),
            "example": examples[event],
        }
        for event in events
    }


def released(root: Path = CONTRACTS) -> dict[str, Promises]:
    """Return what every released version promised, oldest first."""
    files = sorted((root / "released").glob("*.json"), key=lambda file: _number(file.stem))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def newest(root: Path = CONTRACTS) -> str:
    """Return the newest released version, such as `1.0`."""
    return next(reversed(released(root)), FIRST)


def broken(root: Path, now: Promises, events: Iterable[type[PublicEvent]] = EVENTS) -> list[str]:
    """Return what `now` breaks of what any released version promised, to old events or to their readers."""
    models = {event.schema_id(): event for event in events}
    return [
        f"released {version}, {name}: {problem}"
        for version, promised in released(root).items()
        for name, promise in promised.items()
        for problem in (_broken(promise, now[name], models[name]) if name in now else ["event type removed"])
    ]


def release(root: Path = CONTRACTS) -> str:
    """Freeze what the contracts promise now as the next version, and return that.

    Raises CannotRelease when an older version's promise is broken, nothing changed, or the changelog says nothing.
    """
    now, before = promises(), released(root)
    if problems := broken(root, now):
        raise CannotRelease("\n".join(problems))
    last = next(reversed(before), None)
    if last and before[last] == now:
        raise CannotRelease(f"Nothing changed since {last}.")
    changelog = (root / CHANGELOG).read_text("utf-8")
    news = re.search(rf"^{UNRELEASED}\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    if not news or not news[1].strip():
        raise CannotRelease(f"Say under `{UNRELEASED}` in contracts/{CHANGELOG} what changed for readers.")
    major, minor = _number(last) if last else (1, -1)
    version = f"{major}.{minor + 1}"
    text = json.dumps(now, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (root / "released").mkdir(exist_ok=True)
    (root / "released" / f"{version}.json").write_text(text, encoding="utf-8")
    heading = f"## {version}\n\nFrozen as `released/{version}.json`, SHA-256 `{sha256(text.encode()).hexdigest()}`.\n"
    (root / CHANGELOG).write_text(changelog.replace(UNRELEASED + "\n", heading, 1), encoding="utf-8")
    return version


def main(arguments: Sequence[str], root: Path = CONTRACTS) -> int:
    """Release. Exit code 1: not ready; 2: wrong usage."""
    if arguments:
        print("usage: python -m contracts.releases", file=sys.stderr)
        return 2
    try:
        print(f"Contracts {release(root)}. Run: python -m contracts.generate")
    except CannotRelease as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _broken(promise: Mapping[str, Any], now: Mapping[str, Any], model: type[PublicEvent]) -> Iterator[str]:
    if promise["address"] != now["address"]:
        yield f"address changed from {promise['address']} to {now['address']}"
    for part in ("headers", "data"):
        yield from (problem.replace("data", part, 1) for problem in breaks(promise[part], now[part]))
    try:
        model.model_validate(promise["example"]["data"])
    except ValidationError as problem:
        yield f"its example can't be read any more: {problem}"


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
