"""Who leads: one at a time, and the next one soon after the first is gone."""

import asyncio
import math
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
from eventually import eventually
from servers import PASSWORD, ROLE, Postgres, name_of

from chassis.storage.leadership import LEADER_LOCK, READY_LOCK, RETRY, SILENCE, LostLeadership, leadership


def always() -> float:
    """Have heard the stream since long ago."""
    return math.inf


class Ears:
    """What a process has heard of the stream, as a test has it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def candidate(database_url: str, heard: Callable[[], float] = always) -> AsyncIterator[asyncio.Future[float]]:
    """Stand for the lead in the background; the future yielded tells when it was won."""
    leads: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def stand() -> None:
        async with leadership(database_url, heard) as lost:
            leads.set_result(time.monotonic())
            await lost

    task = asyncio.create_task(stand())
    try:
        yield leads
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kill_the_leader(database_url: str) -> None:
    """End the connection that holds the lock, as when its process is killed."""
    connection = await asyncpg.connect(database_url)
    killed = await connection.fetch(
        """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = $1
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        LEADER_LOCK,
    )
    assert len(killed) == 1
    await connection.close()


async def test_the_second_waits_and_takes_over_within_two_seconds_after_the_first_is_killed(database_url: str) -> None:
    async with candidate(database_url) as first:
        await asyncio.wait_for(first, 5)
        async with candidate(database_url) as second:
            await eventually(lambda: _connections(database_url, 2))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(second), 0.8)
            killed = time.monotonic()
            await kill_the_leader(database_url)
            assert await asyncio.wait_for(second, 5) - killed < 2


async def _connections(database_url: str, count: int) -> bool:
    connection = await asyncpg.connect(database_url)
    try:
        query = """SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        return bool(await connection.fetchval(query) == count)
    finally:
        await connection.close()


async def test_a_leader_learns_at_once_that_its_connection_ended(database_url: str) -> None:
    async with leadership(database_url, always) as lost:
        assert not lost.done()
        await kill_the_leader(database_url)
        with pytest.raises(LostLeadership):
            await asyncio.wait_for(lost, 2)


async def test_a_leader_learns_that_the_server_was_killed(database_url: str, killable_postgres: Postgres) -> None:
    async with leadership(database_url, always) as lost:
        await killable_postgres.kill()
        with pytest.raises(LostLeadership):
            await asyncio.wait_for(lost, 2)


async def test_a_leader_whose_server_says_farewell_and_never_hangs_up_learns_that_it_leads_no_longer(
    database_url: str,
) -> None:
    async with bereaved(database_url) as (url, die), leadership(url, always) as lost:
        die()
        with pytest.raises(LostLeadership):
            await asyncio.wait_for(lost, 5)


FAREWELL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"


@asynccontextmanager
async def bereaved(database_url: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Stand before a server; its last words may be told, and then neither side is told of any end.

    So it is with a container that is killed: its network goes before the kernel can end its connections.
    """
    dead = asyncio.Event()
    fronts: list[asyncio.StreamWriter] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while (block := await source.read(65536)) and not dead.is_set():
            sink.write(block)
            await sink.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, folder = urlsplit(database_url).netloc.rpartition("@")[2], parse_qs(urlsplit(database_url).query)
        if "host" in folder:
            far_reader, far_writer = await asyncio.open_unix_connection(f"{folder['host'][0]}/.s.PGSQL.5432")
        else:
            far_reader, far_writer = await asyncio.open_connection(*host.split(":"))
        fronts.append(writer)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    def die() -> None:
        dead.set()
        for front in fronts:
            front.write(b"E" + struct.pack("!I", 4 + len(FAREWELL)) + FAREWELL)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        who = f"{ROLE}:{quote(PASSWORD, safe='')}"
        yield f"postgresql://{who}@127.0.0.1:{port}/{name_of(database_url)}?sslmode=disable", die
    finally:
        server.close()
        for front in fronts:
            front.transport.abort()


async def test_a_leader_that_stops_hands_over(database_url: str) -> None:
    async with leadership(database_url, always):
        pass
    async with candidate(database_url) as next_one:
        await asyncio.wait_for(next_one, 2)


async def test_services_lead_independently(database_url: str, empty_database_url: str) -> None:
    async with candidate(database_url) as one, candidate(empty_database_url) as other:
        await asyncio.wait_for(asyncio.gather(one, other), 5)


async def test_a_leader_that_does_not_hear_the_stream_gives_way_to_one_that_does(database_url: str) -> None:
    ears = Ears(+10)
    async with leadership(database_url, ears) as lost, candidate(database_url) as other:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(other), 2 * RETRY)
        ears.seconds = -SILENCE - 0.1
        deaf = time.monotonic()
        with pytest.raises(LostLeadership, match="answers another process"):
            await asyncio.wait_for(lost, 5)
        # Though the former one has let go of nothing yet.
        assert await asyncio.wait_for(other, 5) - deaf < 2


@pytest.mark.parametrize(("leaders", "others"), [(-SILENCE + 0.5, math.inf), (-60.0, SILENCE - 0.5), (-60.0, -60.0)])
async def test_it_goes_on_while_the_silence_is_short_or_no_other_has_heard_for_long(
    leaders: float, others: float, database_url: str
) -> None:
    ears = Ears(+10)
    async with leadership(database_url, ears) as lost, candidate(database_url, Ears(others)):
        await eventually(lambda: _connections(database_url, 2))
        ears.seconds = leaders
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(lost), 4 * RETRY)


async def test_it_goes_on_when_the_other_has_ceased_to_hear(database_url: str) -> None:
    ears, others = Ears(+10), Ears(+10)
    async with leadership(database_url, ears) as lost, candidate(database_url, others):
        await eventually(lambda: _ready(database_url))
        others.seconds = -0.1
        await eventually(lambda: _nobody_ready(database_url))
        ears.seconds = -60
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(lost), 4 * RETRY)


async def test_the_new_leader_is_no_longer_one_that_is_ready(database_url: str) -> None:
    async with leadership(database_url, always), candidate(database_url) as other:
        await eventually(lambda: _ready(database_url))
        await kill_the_leader(database_url)
        await asyncio.wait_for(other, 5)
        await eventually(lambda: _nobody_ready(database_url))


async def test_who_does_not_hear_the_stream_leads_only_once_it_does(database_url: str) -> None:
    ears = Ears(-60)
    async with candidate(database_url, ears) as leads:
        # Longer than PostgreSQL suffers a connection that says nothing.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(leads), SILENCE + 2 * RETRY)
        ears.seconds = 0
        await asyncio.wait_for(leads, 2)


async def _ready(database_url: str) -> bool:
    connection = await asyncpg.connect(database_url)
    try:
        query = """SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = $1
                   AND mode = 'ExclusiveLock'
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
        return bool(await connection.fetchval(query, READY_LOCK))
    finally:
        await connection.close()


async def _nobody_ready(database_url: str) -> bool:
    return not await _ready(database_url)


LEADER = """
import asyncio, sys
from chassis.storage.leadership import leadership

async def lead():
    async with leadership(sys.argv[1], lambda: 0.0) as lost:
        print("leads", flush=True)
        await lost

asyncio.run(lead())
"""


async def test_a_leader_that_is_stopped_loses_the_lead_within_four_seconds_and_learns_of_it(database_url: str) -> None:
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, database_url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert leader.stdout
    assert leader.stderr
    try:
        assert await asyncio.wait_for(leader.stdout.readline(), 15) == b"leads\n"
        leader.send_signal(signal.SIGSTOP)  # its connection stays open, and the kernel answers for it
        stopped = time.monotonic()
        async with candidate(database_url) as successor:
            assert await asyncio.wait_for(successor, 10) - stopped < 4
            leader.send_signal(signal.SIGCONT)
            assert b"LostLeadership" in await asyncio.wait_for(leader.stderr.read(), 5)
    finally:
        if leader.returncode is None:
            leader.kill()
            await leader.wait()
