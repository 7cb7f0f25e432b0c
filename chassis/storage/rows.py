"""Rows of a projection's table, moved in bulk: however many they are, they travel as one parameter."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.dialects import postgresql

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import RowRefused
from chassis.storage.database import Connection, Pool

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Rows[R: Row]:
    """The statements that read and write the rows of one generation's table.

    A batch is one JSON array, which the server takes apart: one parameter, however many columns and rows there are.
    What a row has as text in a jsonb column is the JSON itself.
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
        key = next(iter(table.primary_key.columns)).name
        names = list(table.columns.keys())
        self.plain = [name for name in names if name not in json]
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

    def insert(self, condition: str = "true") -> str:
        """Return the statement that inserts or replaces the rows of `$1`, which `encoded` made."""
        return f"{self._insert} {condition} {self._replace}"

    def delete(self, parameter: str = "$1", condition: str = "true") -> str:
        """Return the statement that deletes the rows of the keys in `parameter`."""
        return f'DELETE FROM {self.table} WHERE "{self._key}" = ANY({parameter}) AND {condition}'

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
        """Add rows with COPY."""
        records: Iterable[tuple[Any, ...]] = map(msgspec.structs.astuple, rows)
        if self._decoders:
            places = {place for place, _ in self._decoders}
            records = (
                tuple(
                    encoded(value) if place in places and value is not None else value
                    for place, value in enumerate(record)
                )
                for record in records
            )
        await connection.copy_records_to_table(**self._place, records=records)


def encoded(value: object) -> str:
    """Return JSON as a parameter: rows for `Rows.insert`, or the value of one column."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def encoded_rows(rows: Iterable[Row | None]) -> str:
    """Return rows, of which those that are None fall away, as `Rows.insert` takes them. Raises RowRefused."""
    try:
        return encoded([row for row in rows if row is not None])
    except Exception as unwritable:  # whatever a fold made, it is no row
        raise RowRefused(str(unwritable)) from unwritable


@contextmanager
def refusals() -> Iterator[None]:
    """Say RowRefused where the server won't take a row, or a key; without its details, which quote the whole row."""
    try:
        yield
    except (
        asyncpg.DataError,
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.ProgramLimitExceededError,  # such as a text too long for an index
        asyncpg.CardinalityViolationError,  # two rows with one key
    ) as refused:
        raise RowRefused(refused.message or str(refused)) from None
