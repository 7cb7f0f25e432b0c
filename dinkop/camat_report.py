"""Fetching a camat report from the running system into files."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path

from chassis.definitions import clock
from contracts.envelope import timestamp
from contracts.regions import Kecamatan, all_kecamatan, kecamatan, resolve_kecamatan
from contracts.roles import OFFICER
from dinkop.system import Misused, System, explained


def resolved(text: str) -> Kecamatan:
    """Return the kecamatan that a code or a name stands for. Raises Misused, with names that look like it."""
    code = resolve_kecamatan(text)
    found = kecamatan(code) if code else None
    if found is None:
        names = [each.name for each in all_kecamatan()]
        near = get_close_matches(text.title(), names, n=3)
        offered = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(names)}."
        raise Misused(f"{text!r} is no kecamatan of Kabupaten Malang. {offered}")
    return found


async def write(
    system: System, place: Kecamatan, files: Mapping[str, Path], as_of: str | None, known_at: str | None
) -> dict[str, int]:
    """Write the report in each format of `files`; return the bytes each has.

    All of them are of one moment, and none is written unless all could be had; each is written whole or not at
    all. Raises Misused for a date or time that is none, or a file that can't be written; Unreachable, Failed.
    """
    moment = {"known_at": known_at or timestamp(clock.now())} | ({"as_of": as_of} if as_of else {})
    contents: dict[str, bytes] = {}
    async with system.client(OFFICER) as client:
        for format_ in files:
            url = f"{system.running.services['reporting']}/v1/camat-reports/{place.code}.{format_}"
            answer = await client.get(url, params=moment)
            if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
                raise Misused(answer.json()["detail"])
            if not answer.is_success:
                explained(answer)
            contents[format_] = answer.content
    for format_, path in files.items():
        try:
            _replace(path, contents[format_])
        except OSError as problem:
            raise Misused(f"{path} can't be written: {problem.strerror}.") from problem
    return {format_: len(content) for format_, content in contents.items()}


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
