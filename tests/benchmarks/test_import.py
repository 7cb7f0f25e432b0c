"""Importing a list of the Ministry's, against COPY of as many rows into the same server."""

import time
from datetime import date

import asyncpg
import httpx
import pytest

from chassis.definitions.clock import new_id
from dinkop.demonstration.regency import regency
from dinkop.demonstration.snapshots import ods_csv
from dinkop.home import Running

pytestmark = pytest.mark.benchmark


async def test_a_list_is_imported_fast(system: Running, token: dict[str, str]) -> None:
    content = ods_csv(regency(), date(2024, 11, 14))
    rates = {}
    async with httpx.AsyncClient(headers=token, timeout=120) as client:
        position = ""
        for service in ("registry", "rat"):
            query = {"source": "ods"} | ({"at_least": position} if position else {})
            if service == "rat":
                # What rat waits for is registry's events, not its own work.
                probe = f"{system.services['rat']}/v1/cooperatives/{new_id()}/rats"
                await client.get(probe, params={"at_least": position})
            begun = time.perf_counter()
            answer = await client.post(
                f"{system.services[service]}/v1/imports", params=query, files={"file": ("ods.csv", content)}
            )
            seconds = time.perf_counter() - begun
            body = answer.raise_for_status().json()
            assert body["rejected"] == 0
            position = answer.headers["Dinkop-Position"]
            rates[service] = body["rows"] / seconds
            print(f"\nimport, {service}: {body['rows']} rows in {seconds:.2f} s, {rates[service]:,.0f} rows/s")
    connection = await asyncpg.connect(system.databases["registry"])
    # Where a service may make a table: in the schema of a generation.
    await connection.execute("SELECT make_generation('bare', 1)")
    await connection.execute("CREATE TABLE bare_g1.limit_of_copy AS SELECT * FROM events WHERE false")
    rows = await connection.fetch("SELECT * FROM events")
    records = [tuple(row) for row in rows]
    begun = time.perf_counter()
    await connection.copy_records_to_table("limit_of_copy", schema_name="bare_g1", records=records)
    copied = len(rows) / (time.perf_counter() - begun)
    await connection.close()
    print(f"\nCOPY of the same events: {copied:,.0f} rows/s; ratio {rates['registry'] / copied:.3f}")
    assert rates["registry"] > 0.03 * copied
