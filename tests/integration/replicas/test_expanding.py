"""A schema is expanded under the feet of replicas that serve: none of their calls fails, and old code starts on it."""

import time
from pathlib import Path

import asyncpg
import pytest
from eventually import eventually
from replica_set import STARTS, Replicas, Truth
from servers import ROLE, Postgres, name_of
from test_one_after_another import load

from chassis.storage.migrations import InTheWay, migrate
from chassis.storage.roles import owner_of

NEXT = '''
"""What the next release needs."""

from alembic import op

revision = "next_0001"
down_revision = None
branch_labels = ("next",)
depends_on = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN office text")
    op.execute("ALTER TABLE generations ADD COLUMN weight integer NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN seen_by text")
    op.execute("CREATE TABLE offices (name text PRIMARY KEY)")
'''


@pytest.fixture
def next_versions(tmp_path: Path) -> Path:
    """A folder with the schema version of a release to come."""
    folder = tmp_path / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "next_0001.py").write_text(NEXT.lstrip())
    return folder


@pytest.fixture
def owner_url(postgres: Postgres, truth: Truth) -> str:
    """The registry's database, for the role that owns it."""
    return postgres.url(name_of(truth.databases["registry"]), owner_of(ROLE))


async def test_a_migration_that_finds_a_table_in_use_gives_up_before_those_who_serve_wait_long(
    replicas: Replicas, owner_url: str, next_versions: Path
) -> None:
    dump = await asyncpg.connect(owner_url)
    await dump.execute("BEGIN")
    await dump.execute("LOCK TABLE events IN ACCESS SHARE MODE")  # as pg_dump does, for as long as it takes
    begun = time.monotonic()
    async with load(replicas) as running:
        await running.more(1)
        with pytest.raises(InTheWay):
            await migrate(owner_url, next_versions, ROLE)
        await running.more(1)
    await dump.close()
    assert running.front.wrong == []
    assert time.monotonic() - begun < STARTS


async def test_replicas_serve_while_their_schema_is_expanded_and_start_on_it(
    replicas: Replicas, truth: Truth, owner_url: str, next_versions: Path
) -> None:
    async with load(replicas) as running:
        await running.more(1)
        await migrate(owner_url, next_versions, ROLE)
        await running.more()
        follower = await replicas.follower("registry")
        follower.terminate()
        await follower.ended()
        follower.start()
        await eventually(follower.ready, STARTS)
        await running.more()
    assert running.front.wrong == []
    stored = await truth.stored("registry")
    await eventually(lambda: _published(truth, stored))
    assert len(set(running.acknowledged["registry"])) == len(running.acknowledged["registry"])
    owner = await asyncpg.connect(owner_url)
    assert await owner.fetchval("SELECT count(*) FROM events WHERE office IS NULL") == len(stored)
    await owner.close()


async def _published(truth: Truth, stored: list[str]) -> bool:
    return await truth.published("registry") == stored
