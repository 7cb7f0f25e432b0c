"""What the role that serves may do in its database, tried for real: what its grants say, and nothing else."""

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
from behind import Behind
from servers import ROLE, Postgres, make_database, migrate_database, name_of

from chassis.storage.database import Connection
from chassis.storage.migrations import places
from chassis.storage.migrations.grants import declared
from chassis.storage.roles import owner_of
from contracts.envelope import SERVICES

DENIED = asyncpg.InsufficientPrivilegeError
NOT_THE_OWNER = "must be owner of|permission denied"


@pytest.fixture
async def role(database_url: str) -> AsyncIterator[Connection]:
    """A connection of the role that serves, as whoever has its password can make one."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


TAMPERING = {
    "change": "UPDATE events SET data = '{}'",
    "delete": "DELETE FROM events",
    "truncate": "TRUNCATE events",
    "insert by hand": "INSERT INTO events SELECT * FROM events",
    "drop": "DROP TABLE events",
    "alter": "ALTER TABLE events ALTER data DROP NOT NULL",
    "index": "CREATE INDEX ON events (type)",
    "trigger": "CREATE TRIGGER t BEFORE INSERT ON events EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule": "CREATE RULE r AS ON INSERT TO events DO INSTEAD NOTHING",
    "policy": "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
    "give away": f"ALTER TABLE events OWNER TO {ROLE}",
    "replace the append function": "CREATE OR REPLACE FUNCTION append(commits jsonb) RETURNS void LANGUAGE sql AS ''",
    "weaken the append function": "ALTER FUNCTION append(jsonb) SECURITY INVOKER",
    "release a claim": "DELETE FROM claims",
    "take a claim": "INSERT INTO claims VALUES ('s', 'k', NULL, gen_random_uuid())",
    "forge an answer": "UPDATE idempotency_keys SET answer = '{}'",
    "forget what was discarded": "DELETE FROM discarded",
    "forget a finding": "DELETE FROM reconciliations",
    "change a finding": "UPDATE reconciliations SET fine = true",
    "forget a rebuild": "DELETE FROM rebuilds",
    "blame another for a rebuild": "UPDATE rebuilds SET actor = 'siti'",
    "say it is migrated": "UPDATE alembic_version SET version_num = '9999'",
}

ESCAPING = {
    "a table of its own": "CREATE TABLE public.mine (n int)",
    "a schema of its own": "CREATE SCHEMA mine",
    "a temporary table, to be found before ours": "CREATE TEMPORARY TABLE events (n int)",
    "no language": "DROP EXTENSION plpgsql",
    "a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "a file to write": "COPY (SELECT 1) TO '/tmp/dinkop-was-here'",
    "a file to read": "COPY pg_catalog.pg_class FROM '/etc/passwd'",
    "a file of the server": "SELECT pg_read_file('/etc/passwd')",
    "the passwords": "SELECT rolpassword FROM pg_authid",
    "the owner": f"SET ROLE {owner_of(ROLE)}",
    "the superuser": "SET ROLE dinkop",
    "membership": f"GRANT {owner_of(ROLE)} TO {ROLE}",
    "more rights": f"ALTER ROLE {ROLE} SUPERUSER",
    "another role": "CREATE ROLE mine",
    "another database": "CREATE DATABASE mine",
    "the settings": "ALTER SYSTEM SET archive_command = 'true'",
    "no constraints": "SET session_replication_role = replica",
    "an end of the server's work": "SELECT pg_reload_conf()",
    "a replica": "SELECT pg_create_physical_replication_slot('mine')",
    "a publication": "CREATE PUBLICATION mine FOR TABLE events",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
async def test_history_and_records_can_not_be_tampered_with(role: Connection, statement: str) -> None:
    with pytest.raises(DENIED, match=NOT_THE_OWNER):
        await role.execute(statement)


@pytest.mark.parametrize("statement", ESCAPING.values(), ids=ESCAPING)
async def test_there_is_no_way_out_of_the_role(role: Connection, statement: str) -> None:
    with pytest.raises(DENIED):
        await role.execute(statement)


APPEND = """SELECT outcome FROM append(jsonb_build_array(jsonb_build_object(
    'kind', 'account', 'id', gen_random_uuid(), 'expected', 0, 'metadata', '{}'::jsonb, 'answer', '{}'::jsonb,
    'key', NULL, 'take', '[]'::jsonb, 'release', '[]'::jsonb, 'events', jsonb_build_array(jsonb_build_object(
        'id', gen_random_uuid(), 'type', 'Opened', 'schema_version', 1, 'data', '{}'::jsonb)))))"""


async def test_a_table_put_before_ours_is_not_what_the_append_function_writes(role: Connection) -> None:
    await role.execute("SELECT make_generation('plots', 1)")
    await role.execute("CREATE TABLE plots_g1.events (LIKE public.events)")
    await role.execute("SET search_path = plots_g1, public")
    assert await role.fetchval(APPEND) == "appended"
    assert await role.fetchval("SELECT count(*) FROM public.events") == 1
    assert await role.fetchval("SELECT count(*) FROM plots_g1.events") == 0


async def test_a_generation_belongs_to_the_role_and_has_no_other_name_than_a_generations(role: Connection) -> None:
    await role.execute("SELECT make_generation('public\"; DROP TABLE events; --', 1)")
    owned = "SELECT nspname FROM pg_namespace WHERE nspowner = current_user::regrole"
    assert [row[0] for row in await role.fetch(owned)] == ['public"; DROP TABLE events; --_g1']


async def test_not_even_a_trusted_extension_can_be_installed(postgres: Postgres, empty_database_url: str) -> None:
    name = name_of(empty_database_url)
    superuser = await asyncpg.connect(postgres.url(name))
    await superuser.execute("DROP EXTENSION plpgsql")  # the only one that every build has
    await superuser.close()
    role = await asyncpg.connect(postgres.url(name, ROLE))
    with pytest.raises(DENIED):
        await role.execute("CREATE EXTENSION plpgsql")
    await role.close()


@pytest.fixture
async def owner(postgres: Postgres, database_url: str) -> AsyncIterator[Connection]:
    """A connection of the role that migrates."""
    connection = await asyncpg.connect(postgres.url(name_of(database_url), owner_of(ROLE)))
    yield connection
    await connection.close()


def versions(service: str) -> Path | None:
    found: Path | None = import_module(f"services.{service}.service").service.migrations
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_and_function_of_a_service_has_a_declared_grant(postgres: Postgres, service: str) -> None:
    name = f"grants_of_{service}"
    await make_database(postgres, name, "template_of_a_service")
    await migrate_database(postgres, name, versions(service))
    connection = await asyncpg.connect(postgres.url(name))
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    functions = "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    rights = declared(places(versions(service)))
    assert {row[0] for row in await connection.fetch(tables)} == set(rights["tables"])
    assert {row[0].replace(",", ", ") for row in await connection.fetch(functions)} == set(rights["functions"])
    await connection.close()


async def test_what_was_granted_beyond_the_declaration_is_taken_away_again(
    postgres: Postgres, database_url: str, role: Connection, owner: Connection, behind: Behind
) -> None:
    await behind("INSERT INTO claims VALUES ('s', 'k', NULL, gen_random_uuid())")
    await owner.execute(f"GRANT ALL ON events, claims TO {ROLE}")
    await owner.execute(f"GRANT UPDATE (data) ON events TO {ROLE}")
    await role.execute("DELETE FROM claims")
    await migrate_database(postgres, name_of(database_url))
    for statement in ("DELETE FROM claims", "UPDATE events SET data = '{}'"):
        with pytest.raises(DENIED):
            await role.execute(statement)
