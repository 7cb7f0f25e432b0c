"""What a consumer must have got, in numbers and digests anybody can compute: docs/decisions/0016-completeness.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from contracts.envelope import UNKNOWN_KECAMATAN

WHOLE = "all"
"""Stands for a kecamatan where all of a service is meant."""


def fingerprint(sequence: int, id_: str, type_: str, subject: str, data: bytes) -> str:
    """Return the SHA-256, hex, of `<ce-sequence> <ce-id> <event type> <ce-subject> <data>`.

    The event type is the last but one part of `ce-type`, such as RATHeld; the data are the bytes as they came.
    """
    return sha256(f"{sequence} {id_} {type_} {subject} ".encode() + data).hexdigest()


def filed_under(kecamatan_code: object) -> str:
    """Return the six digits under which an event with this `kecamatan_code` in its data stands in subjects."""
    return kecamatan_code.replace(".", "") if isinstance(kecamatan_code, str) else UNKNOWN_KECAMATAN


class Part(NamedTuple):
    """The events of a service in one kecamatan (six digits), or in `all`."""

    service: str
    kecamatan: str


class OutOfOrder(ValueError):
    """The events of a service are counted in the order of `ce-sequence`, each once."""


@dataclass(slots=True)
class Tally:
    """What a part holds so far; add fingerprints in the order of `ce-sequence`."""

    first: int = 0
    last: int = 0
    count: int = 0
    _digest: Any = field(default_factory=sha256)

    def add(self, sequence: int, fingerprint_: str) -> None:
        """Count one event. Raises OutOfOrder."""
        if sequence <= self.last:
            raise OutOfOrder(f"{sequence} came after {self.last}")
        self.first = self.first or sequence
        self.last = sequence
        self.count += 1
        self._digest.update(fingerprint_.encode() + b"\n")

    @property
    def digest(self) -> str:
        """The SHA-256, hex, of all fingerprints, each followed by a newline."""
        return str(self._digest.hexdigest())


class Manifest:
    """What there is, part by part: in constant memory, for as many events as come."""

    def __init__(self, until: Mapping[Part, int] | None = None) -> None:
        """Count everything, or of the parts in `until` what goes up to that number, and no others."""
        self.parts: dict[Part, Tally] = {}
        self._until = until

    def add(self, service: str, kecamatan: str, sequence: int, fingerprint_: str) -> None:
        """Count one event, for its kecamatan and for the whole service. Raises OutOfOrder."""
        for part in (Part(service, kecamatan), Part(service, WHOLE)):
            if self._until is None or sequence <= self._until.get(part, 0):
                self.parts.setdefault(part, Tally()).add(sequence, fingerprint_)

    def only(self, kecamatan: set[str]) -> "Manifest":
        """Return the parts of these kecamatan alone, which is all that an agency of theirs can know of."""
        chosen = Manifest()
        chosen.parts = {part: tally for part, tally in self.parts.items() if part.kecamatan in kecamatan}
        return chosen

    def items(self) -> list[dict[str, Any]]:
        """Return every part as the manifest prints it, in order."""
        return [
            {**part._asdict(), "first": tally.first, "last": tally.last, "count": tally.count, "digest": tally.digest}
            for part, tally in sorted(self.parts.items())
        ]

    @property
    def events(self) -> int:
        """How many events all kecamatan have, those without one included."""
        return sum(tally.count for part, tally in self.parts.items() if part.kecamatan != WHOLE)

    @property
    def digest(self) -> str:
        """The SHA-256, hex, of a line for every kecamatan of every service, in order: all but `digest` of an item."""
        return overall(self.items())


def overall(items: list[dict[str, Any]]) -> str:
    """Return the digest over all items, those for `all` of a service left out, since the others make them up."""
    lines = sorted(
        f"{item['service']} {item['kecamatan']} {item['first']} {item['last']} {item['count']} {item['digest']}\n"
        for item in items
        if item["kecamatan"] != WHOLE
    )
    return sha256("".join(lines).encode()).hexdigest()


def differences(claimed: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str]:
    """Say, part by part, how what somebody has differs from what there is up to the same numbers."""
    known = {Part(item["service"], item["kecamatan"]): item for item in found}
    for item in claimed:
        part = Part(item["service"], item["kecamatan"])
        there = known.get(part, {"first": 0, "last": 0, "count": 0, "digest": sha256().hexdigest()})
        where = f"{part.service}, {'all kecamatan' if part.kecamatan == WHOLE else part.kecamatan}"
        if item["count"] != there["count"]:
            yield f"{where}: {item['count']} events up to {item['last']}, where the stream has {there['count']}"
        elif item["first"] != there["first"] or item["last"] != there["last"]:
            yield (
                f"{where}: events {item['first']} to {item['last']},"
                f" where the stream has {there['first']} to {there['last']}"
            )
        elif item["digest"] != there["digest"]:
            yield f"{where}: as many events as the stream has up to {item['last']}, but others, or with other content"
