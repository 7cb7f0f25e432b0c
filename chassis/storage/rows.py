"""Rows of a projection's table, moved in bulk: however many they are, they travel as one parameter."""

from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Sequence
from itertools import batched
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.dialects import postgresql

from chassis.definitions.projection import Projection, Row
from chassis.storage.database import Connection, Pool

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_BLOCK = 500
"""Rows sent to COPY at a time."""


class Rows[R: Row]:
    """The statements that read and write the rows of one generation's table.

    A batch is one JSON array, which the server takes apart: a parameter a column and row would cost the service
    many times more than the fold itself. What a row has as text in a jsonb column is the JSON itself.
    """

    def __init__(self, projection: Projection[R], schema: str) -> None:
        """Prepare the statements for the projection's table in `schema`."""
        table = projection.table
        self._row = projection.row
        types = {field.name: field.type for field in msgspec.structs.fields(projection.row)}
        json = {c.name for c in table.columns if c.type.compile(dialect=_DIALECT).upper() == "JSONB"}
        self._decoders: list[tuple[int, Callable[[str], Any]]] = [
            (place, msgspec.json.Decoder(types[name]).decode)
            for place, name in enumerate(table.columns.keys())
            if name in json and types[name] is not str
        ]
        self._writers = [_writer(column.type, types[name]) for name, column in table.columns.items()]
        key = next(iter(table.primary_key.columns)).name
        names = list(table.columns.keys())
        self._place = {"table_name": table.name, "schema_name": schema}
        self.table = f'"{schema}"."{table.name}"'
        texts = ", ".join(f'"{name}"::text' if name in json else f'"{name}"' for name in names)
        self.select = f'SELECT {texts} FROM {self.table} WHERE "{key}" = ANY($1)'
        taken = ", ".join(
            f"""(r."{name}" #>> '{{}}')::jsonb""" if name in json and types[name] is str else f'r."{name}"'
            for name in names
        )
        replaced = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != key)
        self._key = key
        source = f"jsonb_populate_recordset(NULL::{self.table}, $1::text::jsonb) r"
        self._insert = f"INSERT INTO {self.table} SELECT {taken} FROM {source} WHERE"
        self._replace = f'ON CONFLICT ("{key}") DO ' + (f"UPDATE SET {replaced}" if replaced else "NOTHING")

    def write(self, condition: str = "true") -> tuple[str, str]:
        """Return the statements that insert or replace the rows of `$1` and delete those of the keys `$2`."""
        return (
            f"{self._insert} {condition} {self._replace}",
            f'DELETE FROM {self.table} WHERE "{self._key}" = ANY($2) AND {condition}',
        )

    def loaded(self, records: Iterable[asyncpg.Record]) -> dict[Hashable, R]:
        """Return what `select` found, by key."""
        if not self._decoders:
            return {record[0]: self._row(*record) for record in records}
        found: dict[Hashable, R] = {}
        for record in records:
            values = list(record)
            for place, decode in self._decoders:
                if values[place] is not None:
                    values[place] = decode(values[place])
            found[values[0]] = self._row(*values)
        return found

    async def read(self, connection: Connection | Pool, keys: Collection[Hashable]) -> dict[Hashable, R]:
        """Return the present rows of these keys."""
        return self.loaded(await connection.fetch(self.select, list(keys)))

    async def copy(self, connection: Connection, rows: Iterable[R]) -> None:
        """Add rows with COPY. In its text format, which costs the service a fifth of asyncpg's binary records."""

        async def blocks() -> AsyncIterator[bytes]:
            writers = self._writers
            for some in batched(rows, _BLOCK):
                lines = [
                    "\t".join(
                        [
                            "\\N" if value is None else write(value)
                            for write, value in zip(writers, msgspec.structs.astuple(row), strict=True)
                        ]
                    )
                    for row in some
                ]
                yield ("\n".join(lines) + "\n").encode()

        await connection.copy_to_table(**self._place, source=blocks(), format="text")


def _writer(kind: Any, annotation: object) -> Callable[[Any], str]:
    """Return what writes a column's values, other than None, for COPY's text format."""
    name = kind.compile(dialect=_DIALECT).upper()
    if name == "JSONB" and annotation is not str:
        return lambda value: _escaped(msgspec.json.encode(value, enc_hook=str).decode())
    if name.endswith("[]"):
        return lambda values: _escaped("{" + ",".join([_element(value) for value in values]) + "}")
    if name in ("TEXT", "JSONB"):
        return _escaped
    return str


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _element(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def encoded(rows: Sequence[Row]) -> str:
    """Return rows as the one parameter that `Rows.write` takes."""
    return msgspec.json.encode(rows, enc_hook=str).decode()
