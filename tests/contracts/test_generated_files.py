"""Schemas and examples are what the event types generate, and fit each other."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from contracts import generate
from contracts.catalogue import CATALOGUE, EVENTS
from contracts.compatibility import breaks
from contracts.description import path, schema
from contracts.envelope import Envelope, PublicEvent
from contracts.examples import EXAMPLES
from contracts.regions import kecamatan, resolve_kecamatan, village

PUBLIC_TYPES = {
    "registry": {
        "ProjectionRebuilt",
        "CooperativeRegistered",
        "CooperativeCorrected",
        "CooperativeRelocated",
        "CooperativeTraced",
        "RemovalProposed",
        "RemovalApproved",
        "RemovalRejected",
        "MinistryRecordChanged",
    },
    "rat": {
        "ProjectionRebuilt",
        "RATHeld",
        "RATVerified",
        "RATCorrected",
        "RATAnnulled",
        "RATAttested",
        "RATPlanned",
        "WarningIssued",
    },
    "mentoring": {
        "ProjectionRebuilt",
        "MentoringRequested",
        "MentoringAccepted",
        "MentoringDeclined",
        "MentoringRedirected",
        "MentoringActivityHeld",
        "MentoringCompleted",
        "MentoringPeopleForgotten",
    },
    "reporting": {
        "ProjectionRebuilt",
        "HealthStatusChanged",
        "CamatReportIssued",
        "CamatReportAcknowledged",
        "CamatFollowUpRecorded",
    },
}

every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.service}.{event.type_name()}")


def committed(folder: str, event: type[PublicEvent]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((generate.CONTRACTS / path(folder, event)).read_text("utf-8"))
    return document


def validator(event: type[PublicEvent]) -> Draft202012Validator:
    return Draft202012Validator(committed("schemas", event), format_checker=FormatChecker())


def test_the_committed_files_are_what_the_event_types_generate() -> None:
    assert generate.drift(generate.CONTRACTS, generate.generated()) == []


def test_every_public_type_is_in_the_catalogue_under_its_service() -> None:
    types = defaultdict(set)
    for service, type_name, version in CATALOGUE:
        assert version == 1
        types[service].add(type_name)
    assert types == PUBLIC_TYPES
    assert len(CATALOGUE) == len(EVENTS)


def test_every_event_has_exactly_one_example() -> None:
    assert sorted(type(example.event).__name__ for example in EXAMPLES) == sorted(event.__name__ for event in EVENTS)


@every_event
def test_a_schema_is_valid_and_named_by_its_service_and_type(event: type[PublicEvent]) -> None:
    schema = committed("schemas", event)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:dinkop:{event.service}:{event.__name__}:v1"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == event.__name__
    assert schema["description"] == event.__doc__
    assert "additionalProperties" not in schema


@every_event
def test_an_example_validates_and_reads_back(event: type[PublicEvent]) -> None:
    message = committed("examples", event)
    validator(event).validate(message["data"])
    read = event.model_validate(message["data"])
    assert read.model_dump(mode="json") == message["data"]
    envelope = Envelope.from_headers(message["headers"])
    assert envelope.headers() == message["headers"]
    assert (envelope.service, envelope.type, envelope.schema_version) == (event.service, event.__name__, 1)
    assert message["headers"]["ce-dataschema"] == committed("schemas", event)["$id"]


@every_event
def test_an_example_without_one_of_the_required_fields_is_refused(event: type[PublicEvent]) -> None:
    data = committed("examples", event)["data"]
    for name in committed("schemas", event)["required"]:
        assert not validator(event).is_valid({key: value for key, value in data.items() if key != name})


@every_event
def test_readers_accept_a_field_they_do_not_know(event: type[PublicEvent]) -> None:
    data = committed("examples", event)["data"] | {"of_a_later_version": [1]}
    validator(event).validate(data)
    event.model_validate(data)


@every_event
def test_an_event_is_filed_under_six_digits_of_its_kecamatan(event: type[PublicEvent]) -> None:
    message = committed("examples", event)
    digits = message["data"].get("kecamatan_code", "00.00.00").replace(".", "")  # a projection lies nowhere
    assert message["subject"] == f"dinkop.v1.{event.service}.{event.__name__}.{digits}"


def test_the_examples_lie_in_real_places_and_in_order() -> None:
    last: dict[str, Any] = {}
    for example in EXAMPLES:
        data = example.event.model_dump()
        if place_code := data.get("kecamatan_code"):
            assert kecamatan(place_code)
            assert resolve_kecamatan(place_code) == place_code
        if code := data.get("village_code"):
            place = village(code)
            assert place is not None
            assert place.kecamatan_code == data["kecamatan_code"]
        before = last.get(example.envelope.service)
        assert before is None or (before.time < example.envelope.time)
        assert example.envelope.sequence == (before.sequence + 1 if before else 1)
        last[example.envelope.service] = example.envelope


PERSONAL = {"name", "phone", "people", "address", "complaint", "notes", "letter_number", "cooperative_name", "location"}


def test_no_event_of_mentoring_has_room_for_people_or_free_text() -> None:
    events = [event for event in EVENTS if event.service == "mentoring"]
    assert events
    for event in events:
        assert not PERSONAL & event.model_fields.keys()
        whole = schema(event)
        for name, field in whole["properties"].items():
            for part in field.get("anyOf", [field]):
                part = whole["$defs"][part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else part
                is_closed = part["type"] != "string" or {"format", "pattern", "enum"} & part.keys()
                assert is_closed, f"{event.__name__}.{name} is free text"


@every_event
def test_an_event_breaks_nothing_its_committed_schema_promises(event: type[PublicEvent]) -> None:
    assert breaks(committed("schemas", event), schema(event)) == []


class TestGenerating:
    """The command, on a folder of its own."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "contracts"

    def test_what_was_written_has_not_drifted(self, root: Path) -> None:
        assert generate.main([], root) == 0
        assert generate.main(["--check"], root) == 0
        assert (root / "asyncapi.json").exists()
        assert (root.parent / "docs/reference/events.md").exists()

    def test_the_check_names_what_is_missing_changed_or_left_over(
        self, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        generate.main([], root)
        (root / "examples/rat/RATHeld.v1.json").unlink()
        (root / "examples/rat/RATPlanned.v1.json").write_text("{}")
        (root / "examples/rat/RATDreamt.v1.json").write_text("{}")
        (root / "asyncapi.json").unlink()
        (root.parent / "docs/reference/events.md").write_text("By hand.")
        assert generate.main(["--check"], root) == 1
        complaint = capsys.readouterr().err
        assert "examples/rat/RATHeld.v1.json: missing" in complaint
        assert "examples/rat/RATPlanned.v1.json: differs" in complaint
        assert "examples/rat/RATDreamt.v1.json: not generated by any event" in complaint
        assert "asyncapi.json: missing" in complaint
        assert "docs/reference/events.md: differs" in complaint
        assert generate.main([], root) == 0
        assert generate.main(["--check"], root) == 0

    def test_a_breaking_change_is_refused_and_nothing_is_written(
        self, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        generate.main([], root)
        promised = root / "schemas/rat/RATVerified.v1.json"
        schema = json.loads(promised.read_text())
        schema["properties"]["verified_by"] = {"type": "string"}
        promised.write_text(json.dumps(schema))
        (root / "schemas/rat/RATDreamt.v1.json").write_text("{}")
        assert generate.main([], root) == 1
        complaint = capsys.readouterr().err
        assert "schemas/rat/RATVerified.v1.json: data.verified_by: removed" in complaint
        assert "schemas/rat/RATDreamt.v1.json: event type removed" in complaint
        assert json.loads(promised.read_text()) == schema

    def test_a_wrong_argument_is_wrong_usage(self, root: Path) -> None:
        assert generate.main(["--chekc"], root) == 2
        assert not root.exists()
