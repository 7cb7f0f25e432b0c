"""The readable page of all events: what each means, who publishes it, its fields, an example."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from contracts.description import address, meaning, schema
from contracts.envelope import SERVICES, PublicEvent
from contracts.examples import EXAMPLES
from contracts.headers import OPTIONAL, REQUIRED

type Schema = Mapping[str, Any]

_HEAD = """\
# Events

*Generated from the event types by `make contracts`; do not edit.* For machines:
[asyncapi.json](../../contracts/asyncapi.json), [JSON Schemas](../../contracts/schemas),
[examples](../../contracts/examples), [what changed](../../contracts/CHANGELOG.md). How to get them:
[consume the events](../how-to/consume-the-events.md).

Contracts {version}. Every event stands once on the JetStream stream `DINKOP`. `{{kecamatan}}` in an address is six
digits, such as 350721 for Wagir, and 000000 where there is none. Dates are ISO 8601 in Asia/Jakarta, money is whole
rupiah, ids are UUIDs. A later version of an event may have more fields: ignore those you do not know.
"""


class Unexplained(LookupError):
    """A field that other agencies read says nowhere what it means: give it a description."""


def page(events: Iterable[type[PublicEvent]], version: str) -> str:
    """Return the page as Markdown; `version` is that of the contracts. Raises Unexplained."""
    by_service = sorted(events, key=lambda event: SERVICES.index(event.service))
    return "\n".join([_HEAD.format(version=version), *_headers(), *_index(by_service), *_sections(by_service)])


def _headers() -> Iterator[str]:
    yield "## Headers of every message\n"
    yield from _table(
        ("header", "type", "meaning"),
        (
            (f"`{name}`", _kind(schema, {}) + ("" if name in REQUIRED else ", optional"), schema["description"])
            for name, schema in (REQUIRED | OPTIONAL).items()
        ),
    )


def _index(events: Iterable[type[PublicEvent]]) -> Iterator[str]:
    yield "## All events\n"
    rows = ((event.service, f"[{event.type_name()}](#{_anchor(event)})", meaning(event)) for event in events)
    yield from _table(("service", "event", "meaning"), rows)


def _sections(events: Iterable[type[PublicEvent]]) -> Iterator[str]:
    examples = {type(example.event): example.message() for example in EXAMPLES}
    for service, own in groupby(events, key=lambda event: event.service):
        yield f"## {service}\n"
        for event in own:
            yield f'### <a id="{_anchor(event)}"></a>{event.type_name()}\n'
            yield f"{(event.__doc__ or '').strip()}\n"
            yield f"Published by {service} at `{address(event)}`, as `{event.cloud_event_type()}`.\n"
            yield from _fields(schema(event))
            message = json.dumps(examples[event]["data"], indent=2, ensure_ascii=False)
            yield f"```json\n{message}\n```\n"


def _fields(root: Schema) -> Iterator[str]:
    yield from _table(
        ("field", "type", "meaning"),
        (
            (f"`{name}`", _kind(field, root) + _presence(name, field, root), _meaning(name, field, root))
            for name, field in _flat(root, root, "")
        ),
    )


def _flat(node: Schema, root: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    """Yield every field, those of inner objects after their own, as `numbers.registered`."""
    for name, field in node["properties"].items():
        yield prefix + name, field
        inner = _resolved(field, root)
        if "properties" in inner:
            yield from _flat(inner, root, f"{prefix}{name}.")


def _presence(name: str, field: Schema, root: Schema) -> str:
    if "default" not in field:
        return ""
    return ", optional" if field["default"] is None else f", `{json.dumps(field['default'])}` if absent"


def _kind(field: Schema, root: Schema) -> str:
    field = _resolved(field, root)
    if "anyOf" in field:
        return " or ".join(_kind(alternative, root) for alternative in field["anyOf"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "additionalProperties" in field:
        return f"object of {_kind(field['additionalProperties'], root)}"
    return str(field.get("format", field["type"]))


def _meaning(name: str, field: Schema, root: Schema) -> str:
    for part in (field, *(_resolved(part, root) for part in (field, *field.get("anyOf", ())))):
        if "description" in part:
            return str(part["description"])
    raise Unexplained(f"{root['title']}.{name} has no description")


def _resolved(field: Schema, root: Schema) -> Schema:
    reference = field.get("$ref")
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference else field


def _anchor(event: type[PublicEvent]) -> str:
    return f"{event.service}.{event.type_name()}"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = tuple(titles)
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""
