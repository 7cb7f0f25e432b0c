"""The script for a real server, run by psql as an operator runs it."""

import subprocess

import asyncpg
import pytest
from servers import Postgres

from chassis.storage.roles import owner_of, script
from dinkop.embedded.postgres import find_binaries

SERVICE, ODD = "scripted", 'it\'s; DROP ROLE "x" \\ -- 100%'


@pytest.mark.embedded
async def test_it_makes_two_roles_and_a_database_that_is_theirs_and_may_be_run_again(postgres: Postgres) -> None:
    superuser = postgres.url("postgres")
    variables = [f"--set={role}_password={ODD}" for role in (SERVICE, owner_of(SERVICE))]
    for _ in range(2):
        command = [find_binaries() / "psql", superuser, "-v", "ON_ERROR_STOP=1", *variables]
        done = subprocess.run(command, input=script([SERVICE]), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    url = postgres.url(SERVICE).partition("&passfile=")[0]
    await (await asyncpg.connect(url, user=SERVICE, password=ODD)).close()
    owner = await asyncpg.connect(url, user=owner_of(SERVICE), password=ODD)
    of_database = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert await owner.fetchval(of_database) == owner_of(SERVICE)
    assert await owner.fetchval("SELECT 'a' > 'Z'"), "order is that of code points"
    await owner.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await asyncpg.connect(url.replace(f"/{SERVICE}", "/postgres"), user=SERVICE, password=ODD)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, user=SERVICE, password="another")
