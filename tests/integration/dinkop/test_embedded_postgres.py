"""The embedded PostgreSQL, for real."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from eventually import eventually
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.settings import Settings
from dinkop.embedded.accounts import another
from dinkop.embedded.postgres import SETTINGS, SUPERUSER, EmbeddedPostgres
from dinkop.processes import CannotStart


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A cluster as the first start leaves it: making one takes a second or two."""
    with tempfile.TemporaryDirectory(prefix="dk-") as directory:

        async def make() -> None:
            server = EmbeddedPostgres(Path(directory), databases=("registry", "rat"))
            try:
                await server.start()
            finally:
                await server.stop()

        asyncio.run(make())
        yield Path(directory)


@pytest.fixture
async def server(cluster: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server that isn't started yet; what a test writes, the later ones find."""
    server = EmbeddedPostgres(cluster, databases=())
    yield server
    await server.stop()


async def ask(server: EmbeddedPostgres, question: str, database: str = "registry") -> object:
    """Ask as the owner of the database."""
    connection = await asyncpg.connect(server.owner_url(database))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_the_first_start_makes_a_durable_cluster_that_stops_cleanly(folder: Path) -> None:
    server = EmbeddedPostgres(folder, databases=("registry",))
    (folder / "data.unfinished").mkdir()
    (folder / "data.unfinished" / "PG_VERSION").write_text("left by a start that was killed")
    await server.start()
    try:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
        }.items():
            assert await ask(server, f"SHOW {setting}") == value, setting
        assert await ask(server, "SELECT upper('é') = 'É' AND 'a' > 'Z'"), "letters are Unicode's, order is bytes'"
        assert str(await ask(server, "SHOW server_version")).startswith("18")
        assert server.sockets.stat().st_mode & 0o777 == 0o700
    finally:
        await server.stop()
    assert not (folder / "data" / "postmaster.pid").exists()
    assert "database system is shut down" in server.log.read_text()


ROLES = (SUPERUSER, "registry", "registry_owner", "rat", "rat_owner")


@pytest.mark.parametrize("role", ["registry", "registry_owner"])
@pytest.mark.parametrize("database", ["rat", "postgres", "template1"])
async def test_a_role_enters_no_database_but_its_own(server: EmbeddedPostgres, role: str, database: str) -> None:
    await server.start()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await asyncpg.connect(server.url(database, role))
    connection = await asyncpg.connect(server.url("registry", role))
    assert await connection.fetchval("SELECT current_user") == role
    await connection.close()


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_gets_in_without_the_password(
    server: EmbeddedPostgres, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")  # where a password file of the caller's could lie
    await server.start()
    url = server.url(role.removesuffix("_owner") if role != SUPERUSER else "postgres", role)
    await (await asyncpg.connect(url)).close()
    without, _, _ = url.partition("&passfile=")
    for attempt in (without, f"{without}&password=", f"{without}&password={role}"):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
            await asyncpg.connect(attempt)


async def test_passwords_are_random_private_and_nowhere_else(server: EmbeddedPostgres) -> None:
    await server.start()
    files = sorted(path for path in server.passwords.iterdir())
    assert [file.name for file in files] == sorted(ROLES)
    passwords = {file.read_text().rstrip("\n").rpartition(":")[2] for file in files}
    assert len(passwords) == len(ROLES)
    assert {len(bytes.fromhex(password)) for password in passwords} == {32}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert server.passwords.stat().st_mode & 0o777 == 0o700
    seen = server.log.read_text() + server.url("registry") + server.owner_url("rat")
    for process in psutil.process_iter(["cmdline", "environ"]):
        seen += str(process.info)
    assert [password for password in passwords if password in seen] == []


async def test_a_password_that_is_lost_is_set_anew_and_a_wrong_one_of_the_superuser_is_named(
    server: EmbeddedPostgres,
) -> None:
    await server.start()
    await server.stop()
    (server.passwords / "registry").unlink()
    (server.passwords / "rat").write_text("*:*:*:rat:of an older copy of this home\n")
    (server.passwords / SUPERUSER).write_text(f"*:*:*:{SUPERUSER}:of another home\n")
    started = EmbeddedPostgres(server.directory, databases=("registry", "rat"))
    try:
        with pytest.raises(CannotStart, match=f"the password in {server.passwords / SUPERUSER}.*Remove that file"):
            await started.start()
        await started.stop()
        (server.passwords / SUPERUSER).unlink()
        await started.start()
        for service in ("registry", "rat"):
            await (await asyncpg.connect(started.url(service))).close()
    finally:
        await started.stop()


async def test_the_url_serves_sqlalchemy_too_whatever_the_environment_says(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    await server.start()
    engine = create_async_engine(server.url("rat").replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_user"))).scalar_one() == "rat"
    await engine.dispose()


async def test_nothing_acknowledged_is_lost_when_the_postmaster_is_killed_amid_writes(server: EmbeddedPostgres) -> None:
    await server.start()
    await ask(server, "CREATE TABLE written (n int PRIMARY KEY)")
    acknowledged: list[int] = []

    async def write(start: int) -> None:
        connection = await asyncpg.connect(server.owner_url("registry"))
        n = start
        while True:
            await connection.execute("INSERT INTO written VALUES ($1)", n)
            acknowledged.append(n)
            n += 4

    writers = [asyncio.create_task(write(n)) for n in range(4)]
    await eventually(lambda: len(acknowledged) > 300)
    assert server.process is not None
    server.process.kill()
    await asyncio.gather(*writers, return_exceptions=True)

    await server.start()
    connection = await asyncpg.connect(server.owner_url("registry"))
    stored = {row[0] for row in await connection.fetch("SELECT n FROM written")}
    await connection.close()
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + len(writers)


async def test_a_killed_backend_is_recovered_from_without_a_new_start(server: EmbeddedPostgres) -> None:
    await server.start()
    victim = await asyncpg.connect(server.owner_url("registry"))
    await victim.execute("CREATE TABLE before_the_kill AS SELECT 1 AS n")
    os.kill(await victim.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
    assert await eventually(lambda: ask(server, "SELECT n FROM before_the_kill")) == 1
    assert server.process is not None
    assert server.process.poll() is None
    owner = await asyncpg.connect(server.url("postgres", SUPERUSER))
    await owner.execute("CHECKPOINT")
    await owner.close()


@pytest.mark.parametrize("name", ["x" * 120, "with blank, comma & 100% é"])
async def test_a_home_whose_path_is_no_socket_path_works(folder: Path, cluster: Path, name: str) -> None:
    directory = folder / name
    shutil.copytree(cluster / "data", directory / "data")
    server = EmbeddedPostgres(directory, databases=("registry",))
    await server.start()
    try:
        assert await ask(server, "SELECT 1") == 1
        assert not server.sockets.is_relative_to(folder)
        assert server.sockets.stat().st_mode & 0o777 == 0o700
        assert server.sockets == EmbeddedPostgres(directory).sockets
    finally:
        await server.stop()
        shutil.rmtree(server.sockets)


async def test_a_socket_folder_that_somebody_else_made_is_refused(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder of somebody else's")
    server = EmbeddedPostgres(folder / ("x" * 120))
    server.sockets.mkdir()
    try:
        os.chown(server.sockets, 12345, 12345)
        with pytest.raises(CannotStart, match="somebody else owns it"):
            await server.start()
    finally:
        server.sockets.rmdir()


async def test_a_leftover_of_a_killed_run_is_ended_first(server: EmbeddedPostgres) -> None:
    await server.start()
    leftover = server.process
    assert leftover is not None
    following = EmbeddedPostgres(server.directory, databases=())
    await following.start()
    try:
        assert leftover.poll() is not None
        assert await ask(following, "SELECT 1") == 1
    finally:
        await following.stop()


async def test_backends_that_outlive_their_postmaster_are_waited_for(server: EmbeddedPostgres) -> None:
    await server.start()
    connection = await asyncpg.connect(server.url("registry"))
    backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    backend.suspend()  # it can't notice that its postmaster is gone
    assert server.process is not None
    server.process.kill()
    await server.start()
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    connection.terminate()
    assert await ask(server, "SELECT 1") == 1


async def test_a_stale_pid_that_is_another_programs_now_harms_neither(server: EmbeddedPostgres) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        lines = [str(bystander.pid), str(server.data), "1700000000", "5432", str(server.sockets), "", "", "ready"]
        (server.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
        await server.start()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_cluster_of_another_version_is_refused_by_name(server: EmbeddedPostgres) -> None:
    (server.data / "PG_VERSION").write_text("16\n")
    try:
        with pytest.raises(CannotStart, match="written by PostgreSQL 16, and this is 18"):
            await server.start()
    finally:
        (server.data / "PG_VERSION").write_text("18\n")


async def test_without_user_namespaces_root_hands_the_cluster_to_another_account(folder: Path, cluster: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root needs another account")
    nobody = another("nobody")
    if nobody.stopped_at(Path(sys.executable)):
        pytest.skip("this installation lies where `nobody` may not go")
    directory = folder / "postgres"
    shutil.copytree(cluster / "data", directory / "data")
    handed = EmbeddedPostgres(directory, databases=("registry",), account=nobody)
    with pytest.raises(CannotStart, match=f"may not enter {folder} .*--home"):
        await handed.start()
    folder.chmod(0o711)
    await handed.start()
    try:
        assert handed.process is not None
        assert psutil.Process(handed.process.pid).username() == "nobody"
        await ask(handed, "CREATE TABLE handed AS SELECT 1 AS n")
    finally:
        await handed.stop()
    back = EmbeddedPostgres(directory, databases=())
    await back.start()
    try:
        assert await ask(back, "SELECT n FROM handed") == 1
    finally:
        await back.stop()


AS_ORDINARY_USER = """
import asyncio, os, pathlib, sys
from dinkop.embedded.postgres import EmbeddedPostgres

async def main():
    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), databases=())
    await server.start()
    await server.stop()
    print(os.geteuid(), server.data.stat().st_uid)

asyncio.run(main())
"""


def test_it_runs_as_an_ordinary_user(folder: Path, as_ordinary_user: Callable[[Path], list[str]]) -> None:
    words = [*as_ordinary_user(folder), "-c", AS_ORDINARY_USER, str(folder)]
    result = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["65534", "65534"], result.stderr


async def test_a_role_that_comes_while_the_server_is_being_provisioned_again_is_let_in(cluster: Path) -> None:
    server = EmbeddedPostgres(cluster, databases=("registry",))
    await server.start()
    done = False

    async def come() -> int:
        count = 0
        while not done:
            await (await asyncpg.connect(server.url("registry"))).close()
            count += 1
        return count

    coming = [asyncio.create_task(come()) for _ in range(4)]
    for _ in range(20):
        await server._provision()
    done = True
    try:
        assert min(await asyncio.gather(*coming)) > 0
    finally:
        await server.stop()


def test_it_has_connections_for_two_processes_of_each_service() -> None:
    # An append pool, a pool for queries with as much overflow, the lead, and the gate's session.
    each = 3 * Settings(database_url="").connections + 2
    assert int(SETTINGS["max_connections"]) >= 2 * 4 * each + 20
