"""Approved samples of stored events, one a type and schema version, kept for ever: `make samples` adds what is missing.

A stored event can be in a database for decades. What stands here must be readable by every later code.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chassis.bootstrap import Service
from chassis.definitions.decider import Event
from contracts.examples import EXAMPLES
from services.mentoring.service import service as mentoring
from services.rat.service import service as rat
from services.registry.service import service as registry
from services.reporting.service import service as reporting

SAMPLES = Path(__file__).with_name("samples")
SERVICES: tuple[Service, ...] = (registry, rat, mentoring, reporting)

_BY_FORMAT = {
    "date": "2024-03-05",
    "date-time": "2024-03-05T09:30:00.000000Z",
    "uuid": "018fd5a0-6c00-7a10-8000-000000000001",
}


def path(service: Service, stream: str, event: type[Event], version: int) -> Path:
    """Return where the sample of a stored event stands."""
    return SAMPLES / service.name / stream / f"{event.__name__}.v{version}.json"


def stored_events() -> Iterator[tuple[Service, str, type[Event]]]:
    """Yield every type of stored event, with its service and kind of stream."""
    for service in SERVICES:
        for decider in service.every_decider:
            for event in decider.events:
                yield service, decider.stream, event


def sample(service: Service, event: type[Event]) -> dict[str, Any]:
    """Return a filled-in event: from the public example of its type where a field has the same name and form."""
    schema = event.model_json_schema(mode="serialization")
    data: dict[str, Any] = {
        name: _value(each, schema.get("$defs", {})) for name, each in schema.get("properties", {}).items()
    }
    for example in EXAMPLES:
        if type(example.event).service == service.name and type(example.event).__name__ == event.__name__:
            public = json.loads(example.event.model_dump_json(by_alias=True))
            for name in data.keys() & public.keys():
                tried = data | {name: public[name]}
                try:
                    event.model_validate_json(json.dumps(tried))
                except ValidationError:
                    continue
                data = tried
            break
    filled: dict[str, Any] = json.loads(event.model_validate_json(json.dumps(data)).model_dump_json())
    return filled


def _value(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema:
        return _value(next(each for each in schema["anyOf"] if each.get("type") != "null"), definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return _BY_FORMAT.get(schema.get("format", ""), "contoh")
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "array":
            return [_value(schema["items"], definitions)] if "items" in schema else []
        case "object":
            return {name: _value(each, definitions) for name, each in schema.get("properties", {}).items()}
    return None


def main() -> None:
    """Write the samples that are missing; those that are there are never changed."""
    for service, stream, event in stored_events():
        place = path(service, stream, event, event.schema_version)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(sample(service, event), indent=2, sort_keys=True, ensure_ascii=False)
            place.write_text(text + "\n", encoding="utf-8")
            print(f"added {place.relative_to(SAMPLES.parent)}")


if __name__ == "__main__":
    main()
