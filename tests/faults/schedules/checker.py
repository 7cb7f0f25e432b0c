"""Judges a run by its history, in the manner of Jepsen: what was told must be so, once and in order, and stay so.

It knows nothing of how the system works: only what clients saw, what lies in the stores, and what the stream delivers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from schedules.history import Line

FULFILLED = (200, 201)
OURS = "reporting"
"""Its events follow from the others': several may follow from one, and each must follow from the one before it."""


@dataclass(frozen=True)
class Stored:
    """An event as a service's store has it.

    `key` is what its command was sent under; None for one that no client asked for, which then follows from `cause`.
    """

    service: str
    position: int
    id: str
    subject: str
    kind: str
    version: int
    type: str
    key: str | None
    cause: str | None = None


@dataclass(frozen=True)
class Published:
    """An event as the stream delivers it, at a place in the stream."""

    place: int
    service: str
    sequence: int
    id: str
    subject: str
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    time: str = ""


@dataclass
class Verdict:
    """What was found: problems, none if all is well, by kind; and figures."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        """Note a problem."""
        self.problems.append((kind, what))

    def count(self, kind: str) -> int:
        """Return how many problems there are of a kind."""
        return sum(1 for found, _ in self.problems if found == kind)

    def __str__(self) -> str:
        """Return the problems, a line each; of a kind no more than ten."""
        shown: Counter[str] = Counter()
        lines = []
        for kind, what in self.problems:
            shown[kind] += 1
            if shown[kind] <= 10:
                lines.append(f"{kind}: {what}")
        lines += [f"{kind}: {count - 10} more" for kind, count in shown.items() if count > 10]
        return "\n".join(lines) or "nothing is wrong"


def examine(history: Sequence[Line], stores: Sequence[Stored], stream: Sequence[Published]) -> Verdict:
    """Judge a run that has come to rest."""
    verdict = Verdict()
    asked = {line["key"]: line for line in history if line["what"] == "asked"}
    told: dict[str, Line] = {}
    for line in history:
        if line["what"] == "told":
            first = told.setdefault(line["key"], line)
            if _answer(first) != _answer(line):
                verdict.add("another answer", f"{line['key']} was told {_answer(first)}, then {_answer(line)}")
        if line["what"] == "failed":
            verdict.add("failed", f"{line['service']} {line['path']} -> {line['status']} {line['text'][:300]}")
        if line["what"] == "read" and line["status"] != 200:
            verdict.add("unreadable", f"{line['path']} -> {line['status']}, though it was told before")
    fulfilled = {key: line for key, line in told.items() if line["status"] in FULFILLED}
    for key in asked.keys() - told.keys():
        verdict.add("no answer", f"{key} was tried to the end and never answered")

    _what_was_told(verdict, asked, told, fulfilled, stores)
    _order(verdict, asked, fulfilled)
    _streams(verdict, stores)
    _stream_is_stores(verdict, stores, stream)
    _announcements(verdict, stream)
    _readers(verdict, history)
    verdict.figures = _figures(verdict, history, asked, told, fulfilled)
    return verdict


def _answer(line: Line) -> tuple[Any, ...]:
    return line["status"], line.get("position"), line.get("subject"), line.get("version")


def _what_was_told(
    verdict: Verdict,
    asked: Mapping[str, Line],
    told: Mapping[str, Line],
    fulfilled: Mapping[str, Line],
    stores: Iterable[Stored],
) -> None:
    """Every command that was accepted made one event, where it was told; one that was not, none or one."""
    made: dict[str, list[Stored]] = defaultdict(list)
    followed: Counter[tuple[str, str, str]] = Counter()
    for event in stores:
        if event.key is not None:
            made[event.key].append(event)
        elif event.cause is not None and event.service != OURS:
            followed[event.service, event.type, event.cause] += 1
    for (service, type_, cause), count in followed.items():
        if count > 1:
            verdict.add("doubled", f"{service}: {count} times {type_} for {cause}")
    for key, line in fulfilled.items():
        events = made.get(key, [])
        service = asked[key]["service"]
        where = [(event.service, event.position, event.subject, event.version) for event in events]
        if (service, line["position"], line["subject"], line["version"]) not in where:
            said = f"{service}:{line['position']}, version {line['version']} of {line['subject']}"
            verdict.add("lost", f"{key} was told {said}; the store has {where or 'nothing'}")
    for key, events in made.items():
        if len(events) > 1:
            places = [f"{event.service}:{event.position}" for event in events]
            verdict.add("doubled", f"{key} made {len(events)} events: {', '.join(places)}")
        if key not in asked:
            verdict.add("unasked", f"{events[0].service}:{events[0].position} ({events[0].type}) under {key!r}")
        elif key in told and key not in fulfilled:
            verdict.add("refused yet done", f"{key} was told {told[key]['status']}, and is {events[0].position}")


def _order(verdict: Verdict, asked: Mapping[str, Line], fulfilled: Mapping[str, Line]) -> None:
    """What was told before another was asked has a lower number, in every service."""
    of: dict[str, list[tuple[int, float, float, str]]] = defaultdict(list)
    for key, line in fulfilled.items():
        of[asked[key]["service"]].append((line["position"], asked[key]["at"], line["at"], key))
    for service, commands in of.items():
        latest, whose = -1.0, ""
        for position, begun, ended, key in sorted(commands):
            if ended < latest:
                verdict.add(
                    "order", f"{service}: {key} ended before {whose} began, and has a higher number ({position})"
                )
            if begun > latest:
                latest, whose = begun, key


def _streams(verdict: Verdict, stores: Iterable[Stored]) -> None:
    """Numbers are 1, 2, 3 … in every store, and versions in every stream of it."""
    heads: Counter[str] = Counter()
    versions: Counter[tuple[str, str, str]] = Counter()
    for event in sorted(stores, key=lambda event: (event.service, event.position)):
        heads[event.service] += 1
        stream = (event.service, event.kind, event.subject)
        versions[stream] += 1
        if event.position != heads[event.service]:
            verdict.add("order", f"{event.service}:{event.position} is not number {heads[event.service]}")
            heads[event.service] = event.position
        if event.version != versions[stream]:
            verdict.add("order", f"{event.service}:{event.position} is not version {versions[stream]} of its stream")


def _stream_is_stores(verdict: Verdict, stores: Iterable[Stored], stream: Sequence[Published]) -> None:
    """The stream has every event of every store once, in the store's order."""
    published: dict[str, list[Published]] = defaultdict(list)
    for message in sorted(stream, key=lambda message: message.place):
        published[message.service].append(message)
    stored: dict[str, list[Stored]] = defaultdict(list)
    for event in sorted(stores, key=lambda event: event.position):
        stored[event.service].append(event)
    for service in sorted(published.keys() | stored.keys()):
        seen: Counter[str] = Counter(message.id for message in published[service])
        have = {event.id: event for event in stored[service]}
        for id_, count in seen.items():
            if count > 1:
                verdict.add("doubled", f"{service}: {id_} is {count} times on the stream")
            if id_ not in have:
                verdict.add("unstored", f"{service}: {id_} is on the stream and in no store")
        for event in stored[service]:
            if event.id not in seen:
                verdict.add("lost", f"{service}:{event.position} ({event.type}) is not on the stream")
        for number, message in enumerate(published[service], 1):
            if message.sequence != number:
                verdict.add("order", f"{service}: {message.sequence} follows {number - 1} on the stream")
                break
        for message in published[service]:
            found = have.get(message.id)
            if found and (found.position, found.subject, found.type) != (
                message.sequence,
                message.subject,
                message.type,
            ):
                verdict.add("order", f"{service}:{found.position} is on the stream as {message.sequence}")


def _announcements(verdict: Verdict, stream: Iterable[Published]) -> None:
    """Each change of health begins where the one before of that cooperative ended: none was told twice, or left out."""
    status: dict[str, str | None] = {}
    for message in sorted(stream, key=lambda message: message.place):
        if message.type == "HealthStatusChanged":
            before = status.get(message.subject)
            if message.data["from"] != before:
                said = f"from {message.data['from']} to {message.data['to']}"
                verdict.add("doubled", f"health of {message.subject} was announced {said}, and was {before}")
            status[message.subject] = message.data["to"]


def _readers(verdict: Verdict, history: Iterable[Line]) -> None:
    """What a client has seen, it sees from then on; and what it waited for, it sees."""
    seen: dict[str, dict[str, int]] = defaultdict(dict)
    for line in history:
        if line["what"] != "read" or line["status"] != 200:
            continue
        positions = line["positions"]
        before = seen[line["client"]]
        for service, position in positions.items():
            if position < before.get(service, 0):
                verdict.add("went back", f"{line['client']} read {service}:{before[service]}, then {position}")
            before[service] = position
        for service, position in line.get("at_least", {}).items():
            if positions.get(service, 0) < position:
                verdict.add("too early", f"{line['path']} answered at {positions}, asked for {service}:{position}")


def _figures(
    verdict: Verdict,
    history: Sequence[Line],
    asked: Mapping[str, Line],
    told: Mapping[str, Line],
    fulfilled: Mapping[str, Line],
) -> dict[str, Any]:
    attempts = sum(line["what"] in ("told", "unanswered") for line in history)
    writes = sorted(line["at"] for line in fulfilled.values())
    reads = [line["at"] for line in history if line["what"] == "read" and line["status"] == 200]
    end = history[-1]["at"] if history else 0.0
    # Writers wait for their last answer, readers until the last fault is over: up to then, nothing is a pause too.
    wrote = max((line["at"] for line in history if line["what"] in ("told", "unanswered")), default=0.0)
    read = max((line["at"] for line in history if line["what"] == "mended"), default=0.0)
    faults = Counter(line["fault"] for line in history if line["what"] == "broke")
    return {
        "seconds": round(end),
        "commands": len(asked),
        "attempts": attempts,
        "unanswered attempts": sum(line["what"] == "unanswered" for line in history),
        "acknowledged": len(fulfilled),
        "refused": len(told) - len(fulfilled),
        "reads": len(reads),
        "lost": verdict.count("lost"),
        "doubled": verdict.count("doubled"),
        "other problems": len(verdict.problems) - verdict.count("lost") - verdict.count("doubled"),
        "longest pause in writes (s)": _pause(writes, wrote),
        "longest pause in reads (s)": _pause(reads, read),
        "kills": sum(line.get("kills", 0) for line in history if line["what"] == "broke"),
        "cuts": sum(line.get("cuts", 0) for line in history if line["what"] == "broke"),
        "faults": dict(sorted(faults.items())),
    }


def _pause(times: Sequence[float], end: float) -> float:
    """Return the longest time between two of these, or from the last of them to the end."""
    return round(max((after - before for before, after in pairwise([*times, end])), default=0.0), 1)


def added(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of several runs as one: sums, and of pauses the longest."""
    total: dict[str, Any] = {}
    for each in figures:
        for name, value in each.items():
            if name == "faults":
                total[name] = dict(sorted((Counter(total.get(name, {})) + Counter(value)).items()))
            elif "longest" in name:
                total[name] = max(total.get(name, 0.0), value)
            elif "unknown" in (value, total.get(name)):
                total[name] = "unknown"
            else:
                total[name] = total.get(name, 0) + value
    return total
