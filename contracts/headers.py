"""What the headers of a message are, and mean: the one list behind AsyncAPI, reference and compatibility."""

from typing import Any

from contracts.envelope import PublicEvent

type Schema = dict[str, Any]

_UUID: Schema = {"type": "string", "format": "uuid"}
_NUMBER: Schema = {"type": "string", "pattern": "^[0-9]+$"}

REQUIRED: dict[str, Schema] = {
    "ce-specversion": {"const": "1.0", "description": "Version of CloudEvents"},
    "ce-id": {**_UUID, "description": "The event's own id: tell duplicates by it"},
    "ce-source": {"type": "string", "description": "The service that published it"},
    "ce-type": {"type": "string", "description": "Service, event type and version of its schema"},
    "ce-subject": {**_UUID, "description": "What it happened to: a cooperative, request, report or projection"},
    "ce-time": {"type": "string", "format": "date-time", "description": "When it was recorded, in UTC"},
    "ce-dataschema": {"type": "string", "description": "`$id` of the JSON Schema of the data"},
    "ce-datacontenttype": {"const": "application/json", "description": "The data is JSON"},
    "ce-sequence": {**_NUMBER, "description": "The service's events are numbered 1, 2, 3 … without a gap"},
    "ce-streamversion": {**_NUMBER, "description": "The same for the events about one subject in one service"},
    "ce-correlationid": {"type": "string", "description": "The same for all that one request set off"},
    "Nats-Msg-Id": {**_UUID, "description": "Equals `ce-id`"},
}
OPTIONAL: dict[str, Schema] = {
    "ce-causationid": {"type": "string", "description": "`ce-id` of the event this one reacts to"},
    "traceparent": {"type": "string", "description": "W3C trace context"},
}


EVERY: Schema = {"type": "object", "required": list(REQUIRED), "properties": REQUIRED | OPTIONAL}
"""The schema of the headers of whatever event."""


def headers_of(event: type[PublicEvent]) -> Schema:
    """Return what more is known of the headers of one event."""
    return {
        "type": "object",
        "properties": {
            "ce-source": {"const": f"/dinkop/{event.service}"},
            "ce-type": {"const": event.cloud_event_type()},
            "ce-dataschema": {"const": event.schema_id()},
        },
    }


def headers_schema(event: type[PublicEvent]) -> Schema:
    """Return the JSON Schema of the headers of an event, whole."""
    own = headers_of(event)["properties"]
    return EVERY | {
        "properties": {name: {**schema, **own.get(name, {})} for name, schema in EVERY["properties"].items()}
    }
