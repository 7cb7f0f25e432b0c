"""Append through load, decide, save, against a bare asyncpg loop and pgbench calling the same function."""

import asyncio
import re
import sys
from datetime import date
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
from figures import compare, rate, together

from chassis.definitions.clock import new_id
from chassis.engine.handling import Handler, Order
from chassis.storage.database import Database
from chassis.storage.event_store import PostgresEventStore
from dinkop.embedded.postgres import find_binaries
from services.rat.domain import annual_meetings
from services.rat.domain.annual_meetings import RecordMeeting, Report

pytestmark = pytest.mark.benchmark

APPENDS = 2_000
TODAY = date(2024, 11, 14)


def _command() -> RecordMeeting:
    report = Report(
        book_year=2023, held_on=date(2024, 3, 5), members_total=40, members_present=31, turnover=120_000_000
    )
    return RecordMeeting(kecamatan_code="35.07.21", today=TODAY, report=report)


def _bare(stream_id: UUID) -> str:
    event = {
        "id": new_id(),
        "type": "RATHeld",
        "schema_version": 1,
        "data": msgspec.Raw(
            annual_meetings.decide(_command(), annual_meetings.AnnualMeetings())[0].model_dump_json().encode()
        ),
    }
    commit = {
        "kind": "rat",
        "id": stream_id,
        "expected": 0,
        "metadata": {"actor": "local", "correlation_id": "x"},
        "answer": {},
        "key": None,
        "fingerprint": None,
        "take": [],
        "release": [],
        "events": [event],
    }
    return msgspec.json.encode([commit]).decode()


@pytest.mark.parametrize("clients", [1, 8])
async def test_a_command_costs_little_more_than_the_append_itself(
    service_database: Database, database_url: str, clients: int
) -> None:
    handler = Handler(PostgresEventStore(service_database.pool), annual_meetings.decider)

    async def commands() -> int:
        async def client(_: int) -> None:
            for _ in range(APPENDS // clients):
                await handler.handle(Order(new_id(), _command(), {"actor": "local", "correlation_id": "x"}))

        await together(clients, client)
        return APPENDS

    async def bare() -> int:
        async def client(number: int) -> None:
            connection = connections[number]
            for _ in range(APPENDS // clients):
                await connection.fetch("SELECT * FROM append($1::jsonb)", _bare(new_id()))

        await together(clients, client)
        return APPENDS

    connections = [await asyncpg.connect(database_url) for _ in range(clients)]
    try:
        ratio = await compare(f"append, {clients} clients", commands, bare, "bare asyncpg loop")
    finally:
        for connection in connections:
            await connection.close()
    assert ratio >= 0.6


@pytest.mark.embedded
async def test_pgbench_on_the_same_function_for_comparison(database_url: str, tmp_path: Path) -> None:
    """No goal: pgbench has no client to speak of, so it shows what the server itself can do."""
    script = tmp_path / "append.sql"
    script.write_text(
        "SELECT * FROM append(jsonb_build_array(jsonb_build_object('kind', 'rat', 'id', gen_random_uuid(),"
        " 'expected', 0, 'metadata', '{}'::jsonb, 'answer', '{}'::jsonb, 'key', NULL, 'take', '[]'::jsonb,"
        " 'release', '[]'::jsonb, 'events', jsonb_build_array(jsonb_build_object('id', gen_random_uuid(),"
        " 'type', 'RATHeld', 'schema_version', 1, 'data', '{\"book_year\": 2023}'::jsonb)))));\n"
    )
    for clients in (1, 8):
        process = await asyncio.create_subprocess_exec(
            str(find_binaries() / "pgbench"), "-n", "-T", "3", "-c", str(clients), "-j", "2", "-f", str(script),
            database_url, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        found = re.search(r"tps = ([\d.]+)", output)
        assert found, output
        print(f"\npgbench, {clients} clients: {float(found[1]):,.0f}/s")
    connection = await asyncpg.connect(database_url)
    last, count = await connection.fetchrow("SELECT max(position), count(*) FROM events") or (0, -1)
    await connection.close()
    assert last == count


async def test_loading_a_stream_is_one_quick_query(service_database: Database) -> None:
    store = PostgresEventStore(service_database.pool)
    handler = Handler(store, annual_meetings.decider)
    stream_id = new_id()
    await handler.handle(Order(stream_id, _command(), {}))

    async def loads() -> int:
        for _ in range(APPENDS):
            await handler.load(stream_id)
        return APPENDS

    async def bare() -> int:
        for _ in range(APPENDS):
            await service_database.pool.fetch("SELECT * FROM events WHERE stream_id = $1 ORDER BY version", stream_id)
        return APPENDS

    assert await rate(loads) >= 0.4 * await rate(bare)
