"""The pool hands a connection on only if nothing is left of what was done with it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from eventually import eventually

from chassis.storage.database import LOST, Connection, Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection."""
    opened = Pool(database_url, 1)
    yield opened
    opened.terminate()


async def _server_process(pool: Pool) -> int:
    number: int = await pool.fetchval("SELECT pg_backend_pid()")
    return number


async def test_a_connection_is_handed_on_as_it_is(pool: Pool) -> None:
    assert await _server_process(pool) == await _server_process(pool)


async def test_a_refused_statement_keeps_the_connection(pool: Pool) -> None:
    first = await _server_process(pool)
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.execute("SELECT FROM nowhere")
    assert await _server_process(pool) == first


async def test_a_cancelled_statement_throws_the_connection_away(pool: Pool, database_url: str) -> None:
    first = await _server_process(pool)
    sleeping = asyncio.create_task(pool.execute("SELECT pg_sleep(60)"))
    other = await asyncpg.connect(database_url)
    await eventually(lambda: other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    await other.close()
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert await _server_process(pool) != first


async def test_a_loan_that_ends_in_the_middle_of_its_work_throws_the_connection_away(pool: Pool) -> None:
    first = await _server_process(pool)

    async def half_done() -> None:
        async with pool.acquire() as connection:
            await connection.execute("SET application_name = 'left behind'")
            raise KeyError

    with pytest.raises(KeyError):
        await half_done()
    assert await _server_process(pool) != first
    assert await pool.fetchval("SHOW application_name") != "left behind"


async def test_a_transaction_left_open_is_never_handed_on(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("BEGIN; INSERT INTO projection_controls (projection, paused) VALUES ('left', true)")
    assert await pool.fetchval("SELECT count(*) FROM projection_controls") == 0
    async with pool.acquire() as connection:
        assert not connection.is_in_transaction()


async def test_an_idle_connection_that_broke_is_not_lent(pool: Pool, database_url: str) -> None:
    first = await _server_process(pool)
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1, 5000)", first)
    await other.close()
    [idle] = pool._idle
    await eventually(idle.is_closed)
    assert await _server_process(pool) != first


async def test_a_connection_that_breaks_while_it_is_lent_is_not_handed_on(pool: Pool, database_url: str) -> None:
    lent: list[Connection] = []
    other = await asyncpg.connect(database_url)

    async def broken() -> None:
        async with pool.acquire() as connection:
            lent.append(connection)
            await other.execute("SELECT pg_terminate_backend($1, 5000)", connection.get_server_pid())
            await connection.execute("SELECT 1")

    with pytest.raises(LOST):
        await broken()
    await other.close()
    assert await pool.fetchval("SELECT 1") == 1
    assert lent[0] not in pool._idle


async def test_whoever_waits_for_a_connection_gets_it_when_it_comes_back(pool: Pool) -> None:
    async with pool.acquire():
        waiting = asyncio.create_task(_server_process(pool))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5)


async def test_a_connection_that_could_not_be_made_costs_no_place() -> None:
    pool = Pool("postgresql://127.0.0.1:1/nowhere", 1)
    for _ in range(3):
        with pytest.raises(LOST):
            await asyncio.wait_for(pool.execute("SELECT 1"), 5)
