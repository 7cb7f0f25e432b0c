"""What of an event's data may be shown to somebody who may not read people's words: what its contract binds."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

HIDDEN = "***"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_FORMATS: Mapping[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "uuid": UUID,
}
_SHORTEST = 3
"""Letters of a hidden word that is looked for in another text."""


def masked(contract: type[BaseModel], data: bytes) -> tuple[Any, set[str]]:
    """Return JSON data with everything hidden that its contract leaves open, and the words that were hidden.

    A text is shown where the contract gives it a pattern, a set of values or a type such as a date, and it fits. Names,
    addresses and free text have none of these, and neither has a field that the contract doesn't know. Numbers and
    truth values are shown where the contract has them. Raises ValueError when the data is not JSON.
    """
    schema = contract.model_json_schema()
    mask = _Mask(schema.get("$defs", {}))
    return mask.of(json.loads(data), [schema]), mask.words


def without(words: set[str], text: str) -> str:
    """Return a text, such as an exception that quotes what it met, with these words hidden."""
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", HIDDEN, text)
    return text


class _Mask:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.words: set[str] = set()

    def of(self, value: Any, schemas: Sequence[Mapping[str, Any]]) -> Any:
        """Return a value as far as one of the schemas binds it; what no schema is for is hidden."""
        schemas = [plain for schema in schemas for plain in self._resolved(schema)]
        match value:
            case None:
                return None
            case dict():
                return {_known(name): self.of(member, _members(schemas, name)) for name, member in value.items()}
            case list():
                of_items = [schema["items"] for schema in schemas if isinstance(schema.get("items"), dict)]
                return [self.of(item, of_items) for item in value]
            case str():
                return value if any(_binds(schema, value) for schema in schemas) else self._hide(value)
            case bool():
                return value if any(schema.get("type") == "boolean" for schema in schemas) else HIDDEN
            case _:
                return value if any(schema.get("type") in ("integer", "number") for schema in schemas) else HIDDEN

    def _resolved(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if "$ref" in schema:
            return self._resolved(self._definitions[schema["$ref"].rsplit("/", 1)[1]])
        if "anyOf" in schema:
            return [plain for branch in schema["anyOf"] for plain in self._resolved(branch)]
        return [schema]

    def _hide(self, text: str) -> str:
        self.words.update(word for word in (text, *text.split()) if len(word) >= _SHORTEST)
        return HIDDEN


def _known(name: str) -> str:
    return name if _NAME.fullmatch(name) else HIDDEN


def _members(schemas: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    found = (schema.get("properties", {}).get(name, schema.get("additionalProperties")) for schema in schemas)
    return [schema for schema in found if isinstance(schema, dict)]


def _binds(schema: Mapping[str, Any], text: str) -> bool:
    if "enum" in schema:
        return text in schema["enum"]
    if "const" in schema:
        return bool(text == schema["const"])
    if "pattern" in schema:
        return re.search(schema["pattern"], text) is not None
    if read := _FORMATS.get(schema.get("format", "")):
        try:
            read(text)
        except ValueError:
            return False
        return True
    return False
