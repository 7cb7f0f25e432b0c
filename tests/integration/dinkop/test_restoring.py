"""A restore that fails in the middle leaves everything as it was."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from dinkop.backups import RECORD, SERVICES, Backup, Dump, restore, restore_one
from dinkop.embedded.postgres import EmbeddedPostgres
from dinkop.home import Home
from dinkop.supervisor import embedded_postgres
from dinkop.system import Failed

pytestmark = pytest.mark.embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, and in it a backup whose dumps are whole, and no dumps."""
    folder = Path(tempfile.mkdtemp(prefix="db-")).resolve()
    chosen = folder / "backups" / "2024-11-14T1"
    chosen.mkdir(parents=True)
    content = b"no dump"
    for service in SERVICES:
        (chosen / f"{service}.dump").write_bytes(content)
    files = {f"{service}.dump": Dump(len(content), hashlib.sha256(content).hexdigest()) for service in SERVICES}
    (chosen / RECORD).write_bytes(msgspec.json.encode(Backup(datetime(2024, 11, 14, tzinfo=UTC), {}, files)))
    (folder / "backups" / "keys").mkdir()
    (folder / "master.key").write_text("k")
    yield folder
    shutil.rmtree(folder)


async def test_a_home_is_there_whole_or_not_at_all(folder: Path) -> None:
    with pytest.raises(Failed, match="pg_restore failed"):
        await restore(Home(folder / "home"), folder / "backups", None, folder / "master.key", print)
    assert sorted(path.name for path in folder.iterdir()) == ["backups", "master.key"]


async def test_a_database_that_could_not_be_replaced_is_the_one_from_before(folder: Path) -> None:
    home = Home(folder / "home")
    with home.held():
        postgres = embedded_postgres(home)
        await postgres.start()
        await (await _connected(postgres)).execute("CREATE TABLE precious (thing text)")
        await postgres.stop()
    with pytest.raises(Failed, match="pg_restore failed"):
        await restore_one(home, "rat", folder / "backups", None, print)
    postgres = embedded_postgres(home)
    await postgres.start()
    try:
        connection = await _connected(postgres)
        assert await connection.fetchval("SELECT count(*) FROM precious") == 0
        names = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'rat%'")
        assert [row[0] for row in names] == ["rat"]
    finally:
        await postgres.stop()


async def _connected(postgres: EmbeddedPostgres) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(postgres.owner_url("rat"))
