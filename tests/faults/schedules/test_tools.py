"""What breaks the system does break it: a disk loses what wasn't synced, a clock steps, a wire cuts."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import pytest
from eventually import eventually
from ports import free_ports

from chassis.messaging import stream
from contracts.envelope import STREAM
from dinkop.embedded import nats as embedded
from dinkop.embedded.postgres import SETTINGS, SUPERUSER, EmbeddedPostgres
from schedules import clocks, disk
from schedules.clocks import Clocks
from schedules.disk import Disk
from schedules.faults import Schedule
from schedules.machines import emptied, users
from schedules.network import Wire, wired

needs_disk = pytest.mark.skipif(disk.missing() is not None, reason=str(disk.missing()))
needs_clock = pytest.mark.skipif(clocks.missing() is not None, reason=str(clocks.missing()))

type Make = Callable[[int], Disk]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Make]:
    """Make a disk of so many megabytes."""
    disk.apart()
    made: list[Disk] = []

    def make(megabytes: int) -> Disk:
        made.append(Disk(tmp_path / f"{len(made)}.img", tmp_path / f"disk{len(made)}", megabytes))
        return made[-1]

    yield make
    for each in made:
        for process in users(each.place):  # of a test that failed
            process.kill()
        each.discard()


@needs_disk
def test_a_disk_that_loses_power_keeps_what_was_synced_and_nothing_else(make_disk: Make) -> None:
    drive = make_disk(32)
    synced, unsynced = drive.place / "synced", drive.place / "unsynced"
    with synced.open("wb", buffering=0) as file:
        file.write(b"on disk")
        os.fsync(file.fileno())
        file.write(b", and this is not")
        unsynced.write_bytes(b"nor is this")
        drive.lose_power()
        with pytest.raises(OSError, match="Input/output"):
            os.fsync(file.fileno())
    drive.come_back()
    assert synced.read_bytes() == b"on disk"
    assert not unsynced.exists()


@needs_disk
def test_a_full_disk_takes_nothing_and_then_something_again(make_disk: Make) -> None:
    drive = make_disk(32)
    assert drive.fill() > 16 << 20
    with pytest.raises(OSError) as refused, (drive.place / "more").open("wb", buffering=0) as file:
        file.write(bytes(4096))
    assert refused.value.errno == errno.ENOSPC
    drive.spare()
    (drive.place / "more").write_bytes(bytes(4096))


@needs_disk
def test_writing_to_a_frozen_disk_waits_until_it_is_thawed(make_disk: Make) -> None:
    drive = make_disk(32)
    written: list[float] = []

    def write() -> None:
        (drive.place / "file").write_bytes(b"x")
        written.append(time.monotonic())

    drive.freeze()
    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    thawed = time.monotonic()
    drive.thaw()
    writer.join(5)
    assert written[0] >= thawed


@needs_disk
@pytest.mark.parametrize("careful", [True, False], ids=["sync always", "the default"])
async def test_nats_loses_what_it_acknowledged_at_its_default_and_nothing_when_it_syncs_always(
    make_disk: Make, monkeypatch: pytest.MonkeyPatch, careful: bool
) -> None:
    if not careful:
        careless = "\n".join(line for line in embedded.CONFIGURATION.splitlines() if "sync_interval" not in line)
        monkeypatch.setattr(embedded, "CONFIGURATION", careless)
    drive = make_disk(96)
    server = embedded.EmbeddedNats(drive.place / "nats", *free_ports(2), log=drive.place.with_name("nats.log"))
    await server.start()
    client = await nats.connect(server.url, allow_reconnect=False)
    jetstream = client.jetstream()
    await stream.ensure(jetstream)
    os.sync()  # what is said here is about messages, not about the stream itself
    acknowledged = [(await jetstream.publish("dinkop.v1.ledger.Paid.000000", b"%d" % n)).seq for n in range(200)]
    assert server.process
    server.process.send_signal(signal.SIGSTOP)  # it answers nobody any more
    drive.lose_power()
    await emptied(drive.place)
    await asyncio.to_thread(server.process.wait)
    await client.close()
    drive.come_back()

    await server.start()
    client = await nats.connect(server.url, allow_reconnect=False)
    kept = (await client.jetstream().stream_info(STREAM)).state.messages
    await client.close()
    await server.stop()
    assert acknowledged[-1] == 200
    assert kept == 200 if careful else kept < 200


@needs_disk
async def test_nats_keeps_nothing_any_more_after_its_disk_was_full_until_it_is_started_again(make_disk: Make) -> None:
    drive = make_disk(64)
    server = embedded.EmbeddedNats(drive.place / "nats", *free_ports(2), log=drive.place.with_name("nats.log"))
    await server.start()
    client = await nats.connect(server.url, allow_reconnect=False)
    await stream.ensure(client.jetstream())
    assert not await server.gave_up()
    drive.fill()
    for _ in range(1_000):
        await client.publish("dinkop.v1.ledger.Paid.000000", bytes(4096))
    await eventually(server.gave_up)
    await client.close()
    drive.spare()
    client = await nats.connect(server.url, allow_reconnect=False)
    with pytest.raises(nats.errors.TimeoutError):
        await client.jetstream(timeout=1).publish("dinkop.v1.ledger.Paid.000000", b"there is room again")
    await client.close()
    assert await server.gave_up()

    await server.stop()
    await server.start()
    assert not await server.gave_up()
    client = await nats.connect(server.url, allow_reconnect=False)
    await client.jetstream().publish("dinkop.v1.ledger.Paid.000000", b"kept")
    await client.close()
    await server.stop()


@needs_disk
async def test_nats_that_is_started_on_a_full_disk_keeps_messages_as_soon_as_there_is_room(make_disk: Make) -> None:
    drive = make_disk(64)
    server = embedded.EmbeddedNats(drive.place / "nats", *free_ports(2), log=drive.place.with_name("nats.log"))
    await server.start()
    client = await nats.connect(server.url, allow_reconnect=False)
    await stream.ensure(client.jetstream())
    await client.jetstream().publish("dinkop.v1.ledger.Paid.000000", b"while there was room")
    await client.close()
    await server.stop()
    drive.fill()
    await server.start()
    drive.spare()
    client = await nats.connect(server.url, allow_reconnect=False)
    kept = await client.jetstream(timeout=5).publish("dinkop.v1.ledger.Paid.000000", b"there is room again")
    await client.close()
    await server.stop()
    assert kept.seq == 2


@needs_disk
@pytest.mark.parametrize("careful", [True, False], ids=["fsync on", "fsync off"])
async def test_postgres_loses_what_it_committed_without_fsync_and_nothing_with_it(
    make_disk: Make, monkeypatch: pytest.MonkeyPatch, careful: bool
) -> None:
    if not careful:
        monkeypatch.setitem(SETTINGS, "fsync", "off")
    drive = make_disk(256)
    drive.place.chmod(0o755)
    server = EmbeddedPostgres(drive.place / "pg", log=drive.place.with_name("pg.log"), databases=())
    await server.start()
    connection = await asyncpg.connect(server.url("postgres", SUPERUSER))
    await connection.execute("CREATE TABLE told (number integer)")
    await connection.execute("CHECKPOINT")
    os.sync()
    for number in range(100):
        await connection.execute("INSERT INTO told VALUES ($1)", number)
    drive.lose_power()
    connection.terminate()
    await emptied(drive.place)
    assert server.process
    await asyncio.to_thread(server.process.wait)
    drive.come_back()

    await server.start()
    connection = await asyncpg.connect(server.url("postgres", SUPERUSER))
    kept = await connection.fetchval("SELECT count(*) FROM told")
    await connection.close()
    await server.stop()
    assert kept == 100 if careful else kept < 100


@needs_clock
def test_a_clock_steps_while_a_process_runs(tmp_path: Path) -> None:
    shifted = Clocks(tmp_path / "clocks")
    tells = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", tells],
        env=os.environ | shifted.environment("part"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin
        assert process.stdout

        def off() -> float:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            wall, steady = map(float, process.stdout.readline().split())
            assert abs(steady - time.monotonic()) < 5
            return wall - time.time()

        assert abs(off()) < 5
        shifted.step("part", 3600)
        assert abs(off() - 3600) < 5
        shifted.step("part", -40_000)
        assert abs(off() + 40_000) < 5
        process.stdin.close()


async def test_a_wire_carries_holds_back_and_cuts() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(100):
            writer.write(block)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    wire = Wire(("127.0.0.1", server.sockets[0].getsockname()[1]))
    async with server, wired(wire):
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"one")
        assert await reader.read(100) == b"one"
        wire.hold()
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.2)
        wire.mend()
        assert await reader.read(100) == b"two"
        wire.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        wire.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"three")
        assert await reader.read(100) == b"three"
        writer.close()


class Everything:
    """What a schedule asks of a system."""

    parts = ("registry-1", "registry-2", "n1", "n2", "n3", "postgres")
    nodes = ("n1", "n2", "n3")
    disks = dict.fromkeys(("n1", "postgres"))
    timed = ("registry-1", "postgres")
    wires = dict.fromkeys(f"registry-{n} {server}" for n in (1, 2) for server in ("n1", "n2", "n3", "postgres"))


def test_a_seed_always_draws_the_same_schedule_and_another_draws_another() -> None:
    first, again, other = (Schedule.of(seed, Everything()) for seed in (7, 7, 8))  # type: ignore[arg-type]
    faults = [first.next() for _ in range(300)]
    assert faults == [again.next() for _ in range(300)]
    assert faults != [other.next() for _ in range(300)]
    assert len({fault.name for fault in faults}) == 12, "of every kind there is"
