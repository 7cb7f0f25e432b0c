"""What can be said of an event type by looking at it: its schema, its address, its meaning, its files."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from contracts.envelope import SUBJECT_ROOT, PublicEvent


class _PlainSchema(GenerateJsonSchema):
    """Without a title on every field: it only repeats the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema(event: type[PublicEvent]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event's data, as readers must accept it.

    Properties that later versions of the event may add are not listed, and allowed: readers ignore them.
    """
    return {
        **event.model_json_schema(schema_generator=_PlainSchema),
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": event.schema_id(),
    }


def path(folder: str, event: type[PublicEvent]) -> str:
    """Return where an event's schema or example stands, relative to contracts/."""
    return f"{folder}/{event.service}/{event.type_name()}.v{event.schema_version}.json"


def address(event: type[PublicEvent]) -> str:
    """Return the subjects of an event, such as `dinkop.v1.rat.RATHeld.{kecamatan}`."""
    return f"{SUBJECT_ROOT}.{event.service}.{event.type_name()}.{{kecamatan}}"


def meaning(event: type[PublicEvent]) -> str:
    """Return the first sentence of what an event says."""
    return (event.__doc__ or "").strip().partition("\n")[0]
