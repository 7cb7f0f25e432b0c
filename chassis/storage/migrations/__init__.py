"""Schema versions of a service database, applied with Alembic: the chassis's own, then the service's.

They are applied by the role that owns the database. Another one serves, and gets the rights in grants.toml.
"""

from pathlib import Path

import asyncpg
from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from chassis.storage.database import engine
from chassis.storage.migrations.grants import grant

HERE = Path(__file__).parent
MIGRATION_LOCK = 2
LOCK_SECONDS = 2
"""How long a change waits for whoever reads a table, such as a dump.

Everybody after it waits behind the change, and who waits for a position to be projected gives up after five seconds.
"""


class InTheWay(Exception):
    """A table that has to be changed is in use for longer than those who serve should wait; nothing was changed."""


def run_script(script: Path) -> None:
    """Run a whole SQL file inside a migration (asyncpg's prepared statements take one statement each)."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    await_only(driver.execute(script.read_text("utf-8")))


def configuration(service_versions: Path | None = None) -> Config:
    """Return the Alembic configuration for a service; its own versions follow the chassis's."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, places(service_versions))))
    return config


def places(service_versions: Path | None = None) -> list[Path]:
    """Return the folders of versions that make up a service's schema."""
    return [HERE / "versions", *([service_versions] if service_versions and service_versions.is_dir() else [])]


async def migrate(database_url: str, service_versions: Path | None = None, role: str | None = None) -> None:
    """Bring a service database to the newest schema. Safe to run twice or from two places at once.

    `database_url` is the owner's. `role` is who serves, and has the declared rights afterwards; without one the owner
    serves too. Raises InTheWay; the same again may do better.
    """
    config = configuration(service_versions)

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
        if role is not None:
            grant(connection, role, places(service_versions))

    opened = engine(database_url)
    try:
        async with opened.begin() as connection:
            await connection.run_sync(upgrade)
    except (DBAPIError, asyncpg.LockNotAvailableError) as refused:
        if _lock_not_available(refused):
            raise InTheWay(
                "A table that has to be changed was in use for too long, by a dump or a long transaction. Nothing was"
                " changed: try again when it is done."
            ) from refused
        raise
    finally:
        await opened.dispose()


def _lock_not_available(refused: Exception) -> bool:
    driver = refused.orig if isinstance(refused, DBAPIError) else refused
    return getattr(driver, "sqlstate", None) == asyncpg.LockNotAvailableError.sqlstate
