"""What the read models must show, folded once more from the stream: plainly, by the words of the interface."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from by_the_text import by_the_text, counted, mentored_in

from schedules.checker import Published

EVER = 0
"""When everything was recorded: what was known at some time is another test's question."""
WHAT = {
    "CooperativeRegistered": "registered",
    "CooperativeCorrected": "corrected",
    "CooperativeRelocated": "relocated",
    "CooperativeTraced": "traced",
    "RATHeld": "held",
    "RATVerified": "verified",
    "MentoringRequested": "requested",
}
UNTOLD = {"nik": None, "legal_entity_date": None, "kecamatan_code": None, "village_code": None, "tier": "primary"}


def cooperatives(stream: Iterable[Published], as_of: date) -> dict[str, dict[str, Any]]:
    """Return what every cooperative is that counts, by its id."""
    events, _ = _events(stream)
    found = {subject: by_the_text(told, as_of, EVER) for subject, told in events.items()}
    return {subject: verdict for subject, verdict in found.items() if verdict is not None}


def counts(stream: Iterable[Published], as_of: date) -> dict[str | None, dict[str, int]]:
    """Return the numbers of every kecamatan in which something counts."""
    stream = list(stream)
    _, requests = _events(stream)
    there: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for verdict in cooperatives(stream, as_of).values():
        there[verdict["kecamatan_code"]].append(verdict)
    mentored = [mentored_in(told, as_of, EVER) for told in requests.values()]
    codes = there.keys() | {code for code in mentored if code}
    return {code: counted(there[code], mentored.count(code)) for code in codes}


def differences(
    stream: Iterable[Published],
    as_of: date,
    items: Iterable[Mapping[str, Any]],
    kecamatan: Iterable[Mapping[str, Any]],
) -> list[str]:
    """Compare what reporting shows, the items of /v1/health and of /v1/kecamatan, with the naive fold."""
    stream = list(stream)
    found = []
    expected = cooperatives(stream, as_of)
    shown = {item["cooperative_id"]: item for item in items}
    for id_ in sorted(expected.keys() | shown.keys()):
        if id_ not in expected or id_ not in shown:
            found.append(f"{id_} is {'not shown' if id_ in expected else 'shown, and was never registered'}")
            continue
        found += [
            f"{id_} has {name} {shown[id_][name]!r}, not {expected[id_][name]!r}"
            for name in ("name", "nik", "kecamatan_code", "village_code", "existence", "status")
            if expected[id_][name] != shown[id_][name]
        ]
        years = [(year["book_year"], year["state"]) for year in expected[id_]["book_years"]]
        if years != [(year["book_year"], year["state"]) for year in shown[id_]["book_years"]]:
            found.append(f"{id_} has book years {shown[id_]['book_years']}, not {years}")
    numbers = counts(stream, as_of)
    for item in kecamatan:
        code = item["kecamatan_code"]
        for name, number in numbers.pop(code, counted([], 0)).items():
            if item[name] != number:
                found.append(f"kecamatan {code} has {name} {item[name]}, not {number}")
    return found + [f"kecamatan {code} is not shown" for code, number in numbers.items() if any(number.values())]


def _events(stream: Iterable[Published]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return the events of each cooperative and of each request, as by_the_text reads them.

    In the order of the stream: between services it is no order, and by_the_text asks for none.
    """
    of_cooperatives: dict[str, list[Any]] = defaultdict(list)
    of_requests: dict[str, list[Any]] = defaultdict(list)
    for message in stream:
        if message.type not in WHAT:
            continue
        event = {"what": WHAT[message.type], "at": EVER, **_dated(message.data)}
        if "changes" in event:
            event["changes"] = _dated(event["changes"])
        if message.type == "CooperativeRegistered":
            event = UNTOLD | event
        (of_requests if message.service == "mentoring" else of_cooperatives)[message.subject].append(event)
    return of_cooperatives, of_requests


def _dated(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: date.fromisoformat(value) if isinstance(value, str) and name.endswith(("_on", "_date")) else value
        for name, value in data.items()
    }
