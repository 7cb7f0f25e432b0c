"""Changing a database behind its service's back, which could not do it itself."""

from collections.abc import Awaitable, Callable

import asyncpg
from servers import Postgres, name_of

type Behind = Callable[..., Awaitable[str]]
"""(statement, *arguments) -> its command tag; carried out with every right."""


def behind_back(postgres: Postgres, database_url: str) -> Behind:
    """Return what carries statements out in this database, each on a connection of its own."""

    async def execute(statement: str, *arguments: object) -> str:
        connection = await asyncpg.connect(postgres.url(name_of(database_url)))
        try:
            return await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    return execute
