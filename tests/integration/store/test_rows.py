"""Rows in bulk: whatever a row holds comes back as it was, by either way in."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from chassis.definitions.projection import Projection, Row
from chassis.storage.database import Database
from chassis.storage.read_models import create_generation
from chassis.storage.rows import Rows, encoded


class Colour(StrEnum):
    RED = "red"


class Thing(Row, frozen=True):
    """One column of every kind that projections use."""

    id: UUID
    text: str | None
    number: int | None
    big: int
    yes: bool
    day: date | None
    moment: datetime
    words: list[str]
    data: dict[str, Any]
    json_text: str
    group: Colour


things: Projection[Thing] = Projection(
    name="things",
    version=1,
    table=sa.Table(
        "things",
        sa.MetaData(),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("text", sa.Text),
        sa.Column("number", sa.Integer),
        sa.Column("big", sa.BigInteger),
        sa.Column("yes", sa.Boolean),
        sa.Column("day", sa.Date),
        sa.Column("moment", sa.DateTime(timezone=True)),
        sa.Column("words", postgresql.ARRAY(sa.Text)),
        sa.Column("data", postgresql.JSONB),
        sa.Column("json_text", postgresql.JSONB),
        sa.Column("group", sa.Text),
    ),
    row=Thing,
    handlers={},
)

NASTY = [
    "", " ", "\\N", "\\", "\\\\.", "a\tb", "line\nline", "cr\r\n", '"quoted"', "{braces,commas}", "NULL", "null",
    "'; DROP TABLE things; --", "é ữ 漢 🌾", "\x01\x1f\x7f", "%s $1 {0}", "{}", "'{}'",
]  # fmt: skip


def thing(number: int, text: str | None) -> Thing:
    words = [] if text is None else [text, "x", text]
    return Thing(
        UUID(int=number + 1),
        text,
        None if number % 2 else -number,
        2**53 + number,
        bool(number % 2),
        date(2024, 2, 29) if number % 3 else None,
        datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC),
        words,
        {"key": text, "list": words, text or "": None},
        msgspec.json.encode([text, {"n": number}]).decode(),
        Colour.RED,
    )


ROWS = {row.id: row for row in (thing(number, text) for number, text in enumerate([None, *NASTY]))}


def told(rows: dict[Any, Thing]) -> dict[Any, dict[str, Any]]:
    """Return rows with what is JSON in them as values: PostgreSQL puts its blanks elsewhere."""
    return {
        key: msgspec.structs.asdict(row) | {"json_text": msgspec.json.decode(row.json_text)}
        for key, row in rows.items()
    }


@pytest.fixture
async def rows(service_database: Database) -> Rows[Thing]:
    async with service_database.engine.begin() as connection:
        await create_generation(connection, things, 1, "live")
    return Rows(things, "things_g1")


async def test_what_is_written_as_one_parameter_comes_back(rows: Rows[Thing], service_database: Database) -> None:
    for _ in range(2):  # the second time they are replaced
        await service_database.pool.execute(rows.insert(), encoded(list(ROWS.values())))
        assert told(await rows.read(service_database.pool, ROWS)) == told(ROWS)
    gone = list(ROWS)[::2]
    await service_database.pool.execute(rows.delete(), gone)
    assert set(await rows.read(service_database.pool, ROWS)) == ROWS.keys() - set(gone)


async def test_what_is_copied_comes_back(rows: Rows[Thing], service_database: Database) -> None:
    async with service_database.pool.acquire() as connection:
        await rows.copy(connection, ROWS.values())
    assert told(await rows.read(service_database.pool, ROWS)) == told(ROWS)


async def test_of_many_rows_all_are_copied(rows: Rows[Thing], service_database: Database) -> None:
    many = {row.id: row for row in (thing(number, "x") for number in range(1_234))}
    async with service_database.pool.acquire() as connection:
        await rows.copy(connection, many.values())
        await rows.copy(connection, [])
    assert told(await rows.read(service_database.pool, many)) == told(many)
