"""The AsyncAPI 3.0 document: where the events stand, what their messages look like, how one gets in."""

from collections.abc import Iterable, Mapping
from typing import Any

from contracts.description import address, meaning, path
from contracts.envelope import STREAM, SUBJECT_ROOT, UNKNOWN_KECAMATAN, PublicEvent
from contracts.examples import EXAMPLES
from contracts.headers import EVERY, headers_of
from contracts.regions import all_kecamatan

type Document = dict[str, Any]

SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
KECAMATAN = "kecamatan"
_DESCRIPTION = f"""\
Every event of the cooperative office, once, on the JetStream stream `{STREAM}`, as CloudEvents 1.0 (NATS protocol
binding, binary mode). An agency reads it through a durable pull consumer of its own, which the office makes; it
can do nothing else. Delivery is at least once: tell duplicates by `ce-id`. The events of one service are in order and
numbered by `ce-sequence` without a gap; between services there is no order to count on. Later versions of an event
may have more fields: ignore those you do not know."""


def document(events: Iterable[type[PublicEvent]], version: str) -> Document:
    """Return the document for these events; `version` is that of the contracts."""
    events = tuple(events)
    examples = {type(example.event): example.message() for example in EXAMPLES}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:dinkop:events",
        "info": {
            "title": "dinkop: events of the cooperative office",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"office": _SERVER},
        "channels": {_name(event): _channel(event) for event in events},
        "operations": {f"publish.{_name(event)}": _operation(event) for event in events},
        "components": {
            "messages": {_versioned(event): _message(event, examples[event]) for event in events},
            "messageTraits": {"cloudEvent": {"contentType": "application/json", "headers": EVERY}},
            "parameters": {KECAMATAN: _PARAMETER},
            "securitySchemes": {"agency": _SECURITY},
        },
    }


_SERVER: Document = {
    "host": "{host}:{port}",
    "protocol": "nats",
    "description": "The office's NATS server, with JetStream. `dinkop agency add` prints its address.",
    "variables": {
        "host": {"default": "127.0.0.1", "description": "Where the office listens"},
        "port": {"default": "4222", "description": "4222 unless the office chose another"},
    },
    "security": [{"$ref": "#/components/securitySchemes/agency"}],
    "bindings": {"nats": {}},
    "x-jetstream": {
        "stream": STREAM,
        "consumer": {
            "kind": "pull",
            "durable": "the name that `dinkop agency add` prints",
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "filter_subjects": [f"{SUBJECT_ROOT}.>"],
        },
    },
}
_SECURITY: Document = {
    "type": "userPassword",
    "description": "User, password and inbox prefix are what `dinkop agency add` prints, for each agency its own.",
}
_PARAMETER: Document = {
    "description": f"The kecamatan's Kemendagri code without dots, such as 350721; {UNKNOWN_KECAMATAN}: there is none",
    "enum": [*(place.code.replace(".", "") for place in all_kecamatan()), UNKNOWN_KECAMATAN],
    "examples": ["350721"],
}


def _name(event: type[PublicEvent]) -> str:
    return f"{event.service}.{event.type_name()}"


def _versioned(event: type[PublicEvent]) -> str:
    return f"{_name(event)}.v{event.schema_version}"


def _channel(event: type[PublicEvent]) -> Document:
    message = _versioned(event)
    return {
        "address": address(event),
        "title": event.type_name(),
        "summary": meaning(event),
        "servers": [{"$ref": "#/servers/office"}],
        "parameters": {KECAMATAN: {"$ref": f"#/components/parameters/{KECAMATAN}"}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"nats": {}},
        "x-jetstream": {"stream": STREAM},
    }


def _operation(event: type[PublicEvent]) -> Document:
    return {
        # From the office's side: what it sends, an agency receives.
        "action": "send",
        "channel": {"$ref": f"#/channels/{_name(event)}"},
        "summary": meaning(event),
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    }


def _message(event: type[PublicEvent], example: Mapping[str, Any]) -> Document:
    return {
        "name": event.cloud_event_type(),
        "title": event.type_name(),
        "summary": meaning(event),
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "headers": headers_of(event),
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": path("schemas", event)}},
        "examples": [{"name": "example", "headers": example["headers"], "payload": example["data"]}],
    }
