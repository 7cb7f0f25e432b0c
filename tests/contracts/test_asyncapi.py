"""The AsyncAPI document is one, by the official schema, and says of every event what is true."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from contracts import generate, reference
from contracts.catalogue import EVENTS
from contracts.description import address, path, schema
from contracts.envelope import PublicEvent
from contracts.headers import headers_schema

OFFICIAL = json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text("utf-8"))
DOCUMENT: dict[str, Any] = json.loads((generate.CONTRACTS / generate.ASYNCAPI).read_text("utf-8"))
PAGE = (generate.CONTRACTS / generate.REFERENCE).read_text("utf-8")

every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.service}.{event.type_name()}")


def referenced(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [v for k, v in document.items() if k == "$ref"] + [r for v in document.values() for r in referenced(v)]
    return [r for item in document for r in referenced(item)] if isinstance(document, list) else []


def merged(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396), by which AsyncAPI puts a trait under a message."""
    if not isinstance(patch, dict) or not isinstance(target, dict):
        return patch
    return target | {name: merged(target.get(name), value) for name, value in patch.items()}


def test_it_is_valid_by_the_official_schema() -> None:
    problems = [
        f"{problem.json_path}: {problem.message}" for problem in Draft7Validator(OFFICIAL).iter_errors(DOCUMENT)
    ]
    assert problems == []


@pytest.mark.parametrize("part", ["info", "channels", "components"])
def test_the_official_schema_would_find_a_mistake(part: str) -> None:
    assert not Draft7Validator(OFFICIAL).is_valid(DOCUMENT | {part: []})


def test_every_reference_leads_somewhere() -> None:
    references = referenced(DOCUMENT)
    assert len(references) > 4 * len(EVENTS)
    for reference_ in references:
        file, _, pointer = reference_.partition("#")
        if file:
            assert (generate.CONTRACTS / file).exists()
        found = DOCUMENT
        for key in pointer.split("/")[1:]:
            found = found[key]


@every_event
def test_an_event_has_its_channel_operation_and_message(event: type[PublicEvent]) -> None:
    name = f"{event.service}.{event.type_name()}"
    channel = DOCUMENT["channels"][name]
    assert channel["address"] == address(event) == f"dinkop.v1.{name}.{{kecamatan}}"
    assert DOCUMENT["operations"][f"publish.{name}"]["action"] == "send"
    message = DOCUMENT["components"]["messages"][f"{name}.v{event.schema_version}"]
    assert message["name"] == event.cloud_event_type()
    assert message["payload"]["schema"] == {"$ref": path("schemas", event)}


@every_event
def test_the_example_in_the_document_is_what_it_says(event: type[PublicEvent]) -> None:
    message = DOCUMENT["components"]["messages"][f"{event.service}.{event.type_name()}.v{event.schema_version}"]
    [trait] = message["traits"]
    assert trait == {"$ref": "#/components/messageTraits/cloudEvent"}
    headers = merged(DOCUMENT["components"]["messageTraits"]["cloudEvent"]["headers"], message["headers"])
    assert headers == headers_schema(event)
    [example] = message["examples"]
    Draft202012Validator(headers).validate(example["headers"])
    for name in headers["required"]:
        without = {key: value for key, value in example["headers"].items() if key != name}
        assert not Draft202012Validator(headers).is_valid(without)
    Draft202012Validator(schema(event)).validate(example["payload"])


def test_the_document_names_no_event_there_is_not() -> None:
    assert len(DOCUMENT["channels"]) == len(DOCUMENT["operations"]) == len(EVENTS)
    assert len(DOCUMENT["components"]["messages"]) == len(EVENTS)


@every_event
def test_the_page_explains_every_field_of_every_event(event: type[PublicEvent]) -> None:
    name = f"{event.service}.{event.type_name()}"
    section = PAGE[PAGE.index(f'<a id="{name}">') :].partition("\n### ")[0]
    assert f"`{address(event)}`" in section
    for field in schema(event)["properties"]:
        [row] = [line for line in section.splitlines() if line.startswith(f"| `{field}` | ")]
        _, kind, meaning = row.strip("| ").split(" | ")
        assert kind
        assert len(meaning) > 3


def test_a_field_nobody_explained_stops_the_page() -> None:
    class Mute(PublicEvent):
        """It says nothing."""

        service = "rat"
        silent: str

    with pytest.raises(reference.Unexplained, match=r"Mute\.silent has no description"):
        list(reference._fields(schema(Mute)))
