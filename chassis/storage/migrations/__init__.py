"""Schema versions of a service database, applied with Alembic: the chassis's own, then the service's."""

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from chassis.storage.database import sqlalchemy_url

HERE = Path(__file__).parent
MIGRATION_LOCK = 2


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
    locations = [HERE / "versions", *([service_versions] if service_versions and service_versions.is_dir() else [])]
    config.set_main_option("version_locations", "\n".join(map(str, locations)))
    return config


async def migrate(database_url: str, service_versions: Path | None = None) -> None:
    """Bring a service database to the newest schema. Safe to run twice or from two places at once."""
    config = configuration(service_versions)

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")

    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()
