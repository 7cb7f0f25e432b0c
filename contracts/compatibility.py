"""Which differences between two schemas of one event would break an old event or an existing consumer."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

type Schema = Mapping[str, Any]

ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "title", "description", "examples"})
"""Keywords that inform people and constrain nothing."""


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what an old event or an existing consumer would not survive; empty when `new` is compatible.

    Old events must validate against `new`, and new events against `old`, so that values and requirements
    neither narrow nor widen. The one free change is a new optional property.
    """
    return list(_compare("data", _Node(old, old), _Node(new, new)))


class _Node:
    """A place in a schema: references resolved, alternatives spread out by type."""

    def __init__(self, schema: Schema, root: Schema) -> None:
        while reference := schema.get("$ref"):
            siblings = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
            schema = {**root["$defs"][reference.removeprefix("#/$defs/")], **siblings}
        self.schema, self.root = schema, root

    def at(self, schema: Schema) -> "_Node":
        return _Node(schema, self.root)

    def alternatives(self) -> dict[str, "_Node"]:
        if "anyOf" not in self.schema:
            return {str(self.schema.get("type", "anything")): self}
        spread = [
            (kind, node)
            for alternative in self.schema["anyOf"]
            for kind, node in self.at(alternative).alternatives().items()
        ]
        kinds = [kind for kind, _ in spread]
        # Several alternatives of one type are told apart by their whole text, so any change shows.
        return {
            kind if kinds.count(kind) == 1 else f"{kind} {json.dumps(node.schema, sort_keys=True)}": node
            for kind, node in spread
        }

    def values(self) -> list[Any] | None:
        """Return the closed list of values, or None when open."""
        values: list[Any] | None = [self.schema["const"]] if "const" in self.schema else self.schema.get("enum")
        return values

    def properties(self) -> dict[str, "_Node"]:
        return {name: self.at(schema) for name, schema in self.schema.get("properties", {}).items()}

    def keywords(self) -> dict[str, Any]:
        compared_apart = {"type", "anyOf", "const", "enum", "properties", "required", "items", "additionalProperties"}
        return {
            keyword: value
            for keyword, value in self.schema.items()
            if keyword not in compared_apart and keyword not in ANNOTATIONS
        }


def _compare(path: str, old: _Node, new: _Node) -> Iterator[str]:
    before, after = old.alternatives(), new.alternatives()
    for kind in before.keys() - after.keys():
        yield f"{path}: type {kind} is no longer allowed"
    for kind in after.keys() - before.keys():
        yield f"{path}: type {kind} is newly allowed"
    if old.schema.get("default") != new.schema.get("default"):
        yield f"{path}: an absent value now means {new.schema.get('default')!r}, not {old.schema.get('default')!r}"
    for kind in sorted(before.keys() & after.keys()):
        yield from _compare_alternative(path, before[kind], after[kind])


def _compare_alternative(path: str, old: _Node, new: _Node) -> Iterator[str]:
    if old.values() != new.values():
        yield from _compare_values(path, old.values(), new.values())

    required_before, required_after = set(old.schema.get("required", ())), set(new.schema.get("required", ()))
    before, after = old.properties(), new.properties()
    for name in sorted(before.keys() - after.keys()):
        yield f"{path}.{name}: removed"
    for name in sorted(required_after - required_before):
        yield f"{path}.{name}: newly required"
    for name in sorted((required_before - required_after) & after.keys()):
        yield f"{path}.{name}: no longer required"
    for name in sorted(before.keys() & after.keys()):
        yield from _compare(f"{path}.{name}", before[name], after[name])

    for keyword, place in (("items", "[]"), ("additionalProperties", ".*")):
        inner_before, inner_after = old.schema.get(keyword, True), new.schema.get(keyword, True)
        if isinstance(inner_before, dict) and isinstance(inner_after, dict):
            yield from _compare(path + place, old.at(inner_before), new.at(inner_after))
        elif inner_before != inner_after:
            yield f"{path}{place}: {keyword} changed"

    keywords_before, keywords_after = old.keywords(), new.keywords()
    for keyword in sorted((keywords_before.keys() | keywords_after.keys()) - {"default"}):
        if keywords_before.get(keyword) != keywords_after.get(keyword):
            yield f"{path}: {keyword} changed from {keywords_before.get(keyword)} to {keywords_after.get(keyword)}"


def _compare_values(path: str, before: list[Any] | None, after: list[Any] | None) -> Iterator[str]:
    if before is None or after is None:
        yield f"{path}: {'closed to a list of values' if before is None else 'opened to any value'}"
        return
    for value in before:
        if value not in after:
            yield f"{path}: value {value!r} is no longer allowed"
    for value in after:
        if value not in before:
            yield f"{path}: value {value!r} is newly allowed"
