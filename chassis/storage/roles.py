"""The two roles of a service database: who owns it and migrates, and who serves with the rights in grants.toml."""

from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

_NOTHING_MORE = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
_ORDER = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
"""Order by code point, the same on every machine."""


def owner_of(service: str) -> str:
    """Return the role that owns a service's database; the one that serves is called as the service and the database."""
    return f"{service}_owner"


def role_in(database_url: str) -> str:
    """Return the role that a database's URL names."""
    return unquote(urlsplit(database_url).username or "")


def making(service: str) -> Sequence[tuple[str, str]]:
    """Return what must be there, each as a query that finds it and the statement that makes it."""
    owner = owner_of(service)
    return (
        (f"SELECT FROM pg_roles WHERE rolname = '{service}'", f'CREATE ROLE "{service}"'),
        (f"SELECT FROM pg_roles WHERE rolname = '{owner}'", f'CREATE ROLE "{owner}"'),
        (
            f"SELECT FROM pg_database WHERE datname = '{service}'",
            f'CREATE DATABASE "{service}" OWNER "{owner}" {_ORDER}',
        ),
    )


def ruling(service: str) -> Sequence[str]:
    """Return the statements, safe to repeat, after which nobody but the two may enter the database.

    The owner is a member of the role that serves, for the generations of read models belong to that.
    """
    owner = owner_of(service)
    return (
        f'ALTER ROLE "{service}" {_NOTHING_MORE}',
        f'ALTER ROLE "{owner}" {_NOTHING_MORE}',
        f'GRANT "{service}" TO "{owner}"',
        f'ALTER DATABASE "{service}" OWNER TO "{owner}"',
        f'REVOKE ALL ON DATABASE "{service}" FROM PUBLIC, "{service}"',
        f'GRANT CONNECT ON DATABASE "{service}" TO "{service}"',
    )


def closing() -> Sequence[str]:
    """Return the statements that keep these roles out of the databases that every server has."""
    return ("REVOKE ALL ON DATABASE postgres FROM PUBLIC", "REVOKE ALL ON DATABASE template1 FROM PUBLIC")


def script(services: Sequence[str]) -> str:
    """Return all of it as a script for psql, safe to repeat, to be run by the superuser of a server of our own.

    It asks psql for the variables `<role>_password`, of each service and of each `<service>_owner`.
    """
    roles = [role for service in services for role in (service, owner_of(service))]
    variables = " ".join(f"-v {role}_password=…" for role in roles)
    return "\n".join([f"-- psql -v ON_ERROR_STOP=1 {variables} -f THIS_FILE postgres", *_lines(services), ""])


def _lines(services: Sequence[str]) -> Iterator[str]:
    for service in services:
        yield ""
        for found, make in making(service):
            yield f"SELECT {_literal(make)} WHERE NOT EXISTS ({found}) \\gexec"
        yield from (f"{statement};" for statement in ruling(service))
        for role in (service, owner_of(service)):
            yield f"ALTER ROLE \"{role}\" PASSWORD :'{role}_password';"
    yield ""
    yield from (f"{statement};" for statement in closing())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
