"""Random histories of every public event there is, for tests that compare ways to fold them.

An event looks like its published example, with other ids, days, places and choices. Each stream begins as it must, and
then anything follows in any order: folds bear more than deciders let happen.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from chassis.engine.ports import LogMessage
from contracts.catalogue import EVENTS
from contracts.envelope import Envelope, PublicEvent
from contracts.examples import EXAMPLES

_START = datetime(2020, 1, 6, 1, 0, tzinfo=UTC)
_SUBJECTS = {
    name: [UUID(int=family << 100 | number) for number in range(1, 6)]
    for family, name in enumerate(("cooperative_id", "request_id", "report_id", "projection_id"), 1)
}
"""A few of each kind of stream, by the field that names it."""
_FIRST = {"registry": "CooperativeRegistered", "mentoring": "MentoringRequested"}
_DAYS = ["2021-12-31", "2022-01-01", "2022-03-31", "2022-04-01", "2022-04-02"]
"""Few, so that many things happen on the same."""
_PLACES = ["35.07.21", "35.07.16", "35.07.33"]
_CHANGES: Mapping[str, list[Any]] = {
    "name": ["Koperasi 'Melati' \\ \"Biru\"", "Kopérasi ☂"],
    "kecamatan_code": _PLACES,
    "legal_entity_number": ["1/BH/2009", "2 / bh / 2010"],
    "legal_entity_date": [None, *_DAYS],
    "tier": ["primary", "secondary"],
    "nik": [None, "3507210000001"],
    "address": ["Jl. Baru 1", "Jl. Lama\t2"],
}
_MEETING_CHANGES: Mapping[str, list[Any]] = {"held_on": _DAYS, "turnover": [None, 0, 10**12], "mode": ["online"]}


def a_history(chance: Random, length: int) -> list[LogMessage]:
    """Return a log of so many events of all services, each service's densely numbered from 1."""
    sequences: dict[str, int] = {}
    versions: dict[tuple[str, UUID], int] = {}
    log = []
    for place in range(1, length + 1):
        event = chance.choice(EVENTS)
        field = next(name for name in ("report_id", "request_id", *_SUBJECTS) if name in event.model_fields)
        subject = chance.choice(_SUBJECTS[field])
        if (event.service, subject) not in versions:
            event = _first(event, field)
        drawn = _drawn(chance, event, {field: str(subject)})
        sequences[event.service] = sequences.get(event.service, 0) + 1
        versions[event.service, subject] = versions.get((event.service, subject), 0) + 1
        envelope = Envelope(
            id=UUID(int=chance.getrandbits(128), version=4),
            service=event.service,
            type=event.type_name(),
            schema_version=event.schema_version,
            subject=subject,
            time=_START + timedelta(seconds=97 * place, microseconds=chance.randrange(1_000_000)),
            sequence=sequences[event.service],
            stream_version=versions[event.service, subject],
            correlation_id="c",
        )
        data = drawn.model_dump_json(by_alias=True).encode()
        log.append(LogMessage(place, event.service, event.type_name(), envelope.headers(), data))
    return log


def _first(event: type[PublicEvent], field: str) -> type[PublicEvent]:
    """Return the event with which a stream of this kind begins; this one, if it can begin with anything."""
    name = "CamatReportIssued" if field == "report_id" else _FIRST.get(event.service)
    return next((each for each in EVENTS if each.type_name() == name and each.service == event.service), event)


def _drawn(chance: Random, event: type[PublicEvent], given: Mapping[str, Any]) -> PublicEvent:
    example = chance.choice([each.event for each in EXAMPLES if type(each.event) is event])
    data = example.model_dump(mode="json", by_alias=True) | given
    for name, value in data.items():
        if name not in given:
            data[name] = _varied(chance, event, name, value, _choices_of(event)[name])
    if data.get("village_code"):
        data["village_code"] = f"{data['kecamatan_code'] or _PLACES[0]}.2003"
    return event.model_validate(data)


@cache
def _choices_of(event: type[PublicEvent]) -> dict[str, list[Any]]:
    schema = event.model_json_schema(by_alias=True)
    return {name: _choices(schema, part) for name, part in schema["properties"].items()}


def _choices(schema: Mapping[str, Any], part: Mapping[str, Any]) -> list[Any]:
    """Return what a field may be, if it is one of a few, and None if it may be null."""
    if "$ref" in part:
        return _choices(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
    if "anyOf" in part:
        return [each for one in part["anyOf"] for each in _choices(schema, one)]
    return [None] if part.get("type") == "null" else part.get("enum", [])


def _varied(chance: Random, event: type[PublicEvent], name: str, value: Any, choices: list[Any]) -> Any:
    """Return another value of the kind."""
    if name == "changes":
        changes = _CHANGES if event.service == "registry" else _MEETING_CHANGES
        return {key: chance.choice(changes[key]) for key in chance.sample([*changes], chance.randint(1, 2))}
    if None in choices and chance.random() < 0.2:
        return None
    if few := [each for each in choices if each is not None]:
        return chance.choice(few)
    if name in _SUBJECTS:
        return str(chance.choice(_SUBJECTS[name]))
    if isinstance(value, bool):
        return chance.random() < 0.5
    if name == "book_year":
        return chance.randint(2019, 2022)
    if name == "kecamatan_code":
        return chance.choice(_PLACES)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return chance.choice(_DAYS)
    return value
