"""The completeness manifest: what a consumer of the events must have got, and whether somebody has it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from chassis.engine.ports import LogReplaced
from chassis.messaging import connection
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.pulling import Interrupted
from chassis.messaging.replay import LogUnreadable, replay
from contracts.completeness import Manifest, OutOfOrder, Part, differences, filed_under, fingerprint, overall
from contracts.envelope import STREAM, UNKNOWN_KECAMATAN, MalformedEnvelope
from contracts.regions import resolve_kecamatan
from dinkop.system import Failed, Misused, System, Unreachable

CONNECT = 15.0
"""Seconds NATS has to answer; its supervisor starts it again within five."""

type Progress = Callable[[int, int], None]
"""(log sequence reached, the last)"""

BEFORE_DATA = ',"data":'
"""Stands once in a line of a snapshot that isn't inside a string; what follows, up to the last brace, is the data."""


class _Filed(msgspec.Struct):
    kecamatan_code: str | None = None


_filed = msgspec.json.Decoder(_Filed)


def kecamatan_of(data: bytes) -> str:
    """Return the six digits an event is filed under. Raises msgspec.DecodeError when the data is no event's."""
    return filed_under(_filed.decode(data).kecamatan_code)


def six_digits(named: Collection[str]) -> set[str]:
    """Return the kecamatan that a command line names, by code or name. Raises Misused for one there is not."""
    codes = {name: UNKNOWN_KECAMATAN if name == UNKNOWN_KECAMATAN else resolve_kecamatan(name) for name in named}
    for name, code in codes.items():
        if code is None:
            raise Misused(
                f"There is no kecamatan {name!r}. Give a code such as 35.07.21 or a name such as Wagir;"
                f" {UNKNOWN_KECAMATAN} stands for events without one."
            )
    return {filed_under(code) for code in codes.values()}


async def manifest(system: System, kecamatan: Collection[str], until: int | None, progress: Progress) -> dict[str, Any]:
    """Return what a consumer of everything, or of some kecamatan, must have got of the stream up to now.

    `until` is a log sequence. Raises Misused when the stream doesn't reach that far, Failed when it is damaged.
    """
    chosen = six_digits(kecamatan)
    async with _reading(system) as (identity, head):
        if until is not None and until > head:
            raise Misused(f"The stream ends at {head}; it has no {until}.")
        end = head if until is None else until
        found = Manifest()
        await _count(system, found, identity, end, progress)
    if chosen:
        found = found.only(chosen)
    return {
        "stream": STREAM,
        "incarnation": identity,
        "log_sequence": end,
        "kecamatan": sorted(chosen) or None,
        "events": found.events,
        "digest": found.digest,
        "items": found.items(),
    }


async def check(system: System, file: Path, progress: Progress) -> tuple[int, list[str]]:
    """Return how many events a snapshot or a consumer's manifest claims, and how it differs from the stream.

    Each part is held against the stream up to the number that the file has reached.
    """
    claimed = claims(file)
    until = {Part(item["service"], item["kecamatan"]): item["last"] for item in claimed}
    found = Manifest(until)
    async with _reading(system) as (identity, head):
        await _count(system, found, identity, head, progress)
    events = sum(item["count"] for item in claimed if item["kecamatan"] != "all")
    return events, list(differences(claimed, found.items()))


def claims(file: Path) -> list[dict[str, Any]]:
    """Return the parts that a snapshot holds, or a manifest names. Raises Failed, saying what is wrong with it."""
    try:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
            if first.strip() != "{" and "positions" in (stamp := _object(first)):
                return _snapshot(file, stamp, lines)
        document = _object(file.read_text("utf-8"))
        return msgspec.convert(document, _Claims).checked()
    except OSError as problem:
        raise Misused(f"{file} can't be read: {problem.strerror}") from problem
    except (ValueError, msgspec.ValidationError) as problem:
        raise Failed(f"{file} is no snapshot and no manifest: {problem}") from problem


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, str, int, str]]:
    """Yield (service, kecamatan, ce-sequence, fingerprint) of every line of a snapshot. Raises ValueError."""
    for number, line in enumerate(lines, 2):
        try:
            event = json.loads(line)
            service, type_ = event["type"].split(".")[-3:-1]
            data = line[line.index(BEFORE_DATA) + len(BEFORE_DATA) : line.rindex("}")].encode()
            sequence = int(event["sequence"])
            fingerprint_ = fingerprint(sequence, event["id"], type_, event["subject"], data)
            yield service, kecamatan_of(data), sequence, fingerprint_
        except (ValueError, LookupError, TypeError) as problem:
            raise ValueError(f"line {number}: {problem!r}") from problem


def _snapshot(file: Path, stamp: dict[str, Any], lines: Iterator[str]) -> list[dict[str, Any]]:
    held = Manifest()
    for event in events_of(lines):
        held.add(*event)
    if (held.events, held.digest) != (stamp["events"], stamp["digest"]):
        raise Failed(
            f"{file} is damaged: by its first line it has {stamp['events']} events with the digest {stamp['digest']},"
            f" but it holds {held.events} with {held.digest}. Export it anew."
        )
    items = held.items()
    # A snapshot of some kecamatan knows nothing of all that the services have.
    return [item for item in items if item["kecamatan"] != "all"] if stamp["kecamatan"] else items


class _Item(msgspec.Struct):
    service: str
    kecamatan: str
    first: int
    last: int
    count: int
    digest: str


class _Claims(msgspec.Struct):
    items: list[_Item]
    digest: str | None = None

    def checked(self) -> list[dict[str, Any]]:
        items = [msgspec.structs.asdict(item) for item in self.items]
        if self.digest not in (None, overall(items)):
            raise Failed("The manifest's own digest isn't that of its items: it was cut or changed on the way.")
        return items


def _object(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


@asynccontextmanager
async def _reading(system: System) -> AsyncIterator[tuple[str, int]]:
    """Yield the stream's identity and last sequence; what goes wrong while reading comes out in words."""
    try:
        async with asyncio.timeout(CONNECT):
            async with connection.connect(system.nats, "dinkop-manifest") as broker:
                feed = JetStreamFeed(connection.client(broker))
                identity, head = await feed.identity(), await feed.head()
    except (TimeoutError, Interrupted) as problem:
        raise Unreachable(f"The stream can't be read ({problem or 'no answer'}): see `dinkop doctor`.") from problem
    try:
        yield identity, head
    except LogUnreadable as problem:
        raise Unreachable(f"{problem}: see `dinkop doctor`.") from problem
    except LogReplaced as problem:
        raise Failed(f"While it was read, {problem}. Try again.") from problem
    except (MalformedEnvelope, msgspec.DecodeError, OutOfOrder) as problem:
        raise Failed(f"The stream is damaged ({problem}): see `dinkop reconcile`.") from problem


async def _count(system: System, found: Manifest, identity: str, until: int, progress: Progress) -> None:
    async for batch in replay(system.nats, STREAM, (), 0, until, identity=identity):
        for _, kind, number, id_, subject, _, _, data in batch:
            service, _, type_ = kind.decode().partition(".")
            sequence = int(number)
            fingerprint_ = fingerprint(sequence, id_.decode(), type_, subject.decode(), data)
            found.add(service, kecamatan_of(data), sequence, fingerprint_)
        progress(int(batch[-1][0]), until)
