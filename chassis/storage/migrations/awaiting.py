"""Waiting for the migrations that a service's code needs: another process carries them out, with rights of its own."""

import asyncio
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import stamina
import structlog
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError

from chassis.storage.database import LOST, Connection, may_come_back
from chassis.storage.migrations import configuration

log = structlog.get_logger()

PATIENCE = 60.0
"""Seconds for which migrations are waited for: they may be a job that starts together with the service."""
_LOOK = 0.5


class NotMigrated(Exception):
    """The database lacks schema versions that this code needs, or the role that serves lacks its rights."""


class NotLetIn(Exception):
    """The database server takes no connection from this service, whatever it waits: the text says why."""


async def migrated(database_url: str, service_versions: Path | None = None, patience: float = PATIENCE) -> None:
    """Return when the database has what this code needs. Raises NotMigrated after `patience` seconds, and NotLetIn."""
    scripts = ScriptDirectory.from_config(configuration(service_versions))
    until = time.monotonic() + patience
    told = False
    while lacking := await _lacking(database_url, scripts, patience):
        if time.monotonic() > until:
            raise NotMigrated(lacking)
        if not told:
            log.warning("database.awaits_migrations", reason=lacking)
            told = True
        await asyncio.sleep(_LOOK)


async def let_in(database_url: str, patience: float = PATIENCE) -> Connection:
    """Connect; waits for a server that is still starting. Raises NotLetIn, without the URL, which has a password."""
    try:
        _files_are_there(database_url)
        async for attempt in stamina.retry_context(on=may_come_back, timeout=patience, attempts=None, wait_max=1.0):
            with attempt:
                return await asyncpg.connect(database_url)
    except (
        *LOST,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as refused:
        raise NotLetIn(str(refused) or repr(refused)) from refused
    except ValueError:
        raise NotLetIn(
            "its URL can't be read; it is postgresql://ROLE:PASSWORD@HOST:PORT/NAME, and in a password every / is %2F,"
            " @ is %40, : is %3A, # is %23 and ? is %3F"
        ) from None
    raise AssertionError("stamina either returns or raises")


def _files_are_there(database_url: str) -> None:
    """Raise NotLetIn for a file that is named but isn't there: to the driver it is a server that is away."""
    named = parse_qs(urlsplit(database_url).query)
    for parameter in ("passfile", "sslrootcert", "sslcert", "sslkey"):
        for path in named.get(parameter, []):
            if not Path(path).is_file():
                raise NotLetIn(f"{path}, which its URL names as {parameter}, is no file")


async def _lacking(database_url: str, scripts: ScriptDirectory, patience: float) -> str:
    """Return what is lacking, in words; nothing when all is there."""
    connection = await let_in(database_url, patience)
    try:
        found = await connection.fetch("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return "The database has no schema yet."
    except asyncpg.InsufficientPrivilegeError as denied:
        return f"The role that serves lacks its rights ({denied}): they come with a migration run."
    finally:
        await connection.close()
    heads = tuple(version for (version,) in found)
    try:
        missing = [each.revision for each in scripts.iterate_revisions("heads", heads, implicit_base=True)]
    except RevisionError:
        return ""  # a version that this code doesn't know: newer code has migrated, and old code runs on its schema
    return f"The database lacks schema versions {', '.join(sorted(missing))}." if missing else ""
