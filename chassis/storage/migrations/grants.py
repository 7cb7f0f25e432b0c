"""What the role that serves may do: who owns what in a service database, and the rights that are declared."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, text

DECLARED = "grants.toml"

# A restored dump, and a database that the serving role once owned, have all schemas owned by whoever migrates. Schemas
# first: who is to own a table must be allowed to make one where it lies.
_GENERATIONS_ARE_THE_ROLES = (
    """SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, CAST(:role AS text)) FROM pg_namespace
        WHERE nspname <> 'public' AND nspowner = CAST(current_user AS regrole)""",
    """SELECT format('ALTER TABLE %I.%I OWNER TO %I', nspname, relname, CAST(:role AS text))
         FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspowner = CAST(quote_ident(:role) AS regrole) AND relkind = 'r'
          AND relowner = CAST(current_user AS regrole)""",
)


def declared(places: Sequence[Path]) -> Mapping[str, Mapping[str, str]]:
    """Return what the role that serves may do, by `tables` and `functions`, as declared beside these versions."""
    found: dict[str, dict[str, str]] = {"tables": {}, "functions": {}}
    for file in (place.parent / DECLARED for place in places):
        if file.exists():
            for kind, rights in tomllib.loads(file.read_text("utf-8")).items():
                found[kind] |= rights
    return found


def grant(connection: Connection, role: str, places: Sequence[Path]) -> None:
    """Give `role` the rights declared beside these versions, and take any other; its generations it owns.

    Only as the owner of the database, who is a member of `role`. Safe to repeat.
    """
    for question in _GENERATIONS_ARE_THE_ROLES:
        for statement in connection.execute(text(question), {"role": role}).scalars().all():
            connection.exec_driver_sql(statement)
    for statement in statements(connection.dialect.identifier_preparer.quote_identifier(role), declared(places)):
        connection.exec_driver_sql(statement)


def statements(role: str, rights: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the statements that leave `role`, quoted where it must be, with exactly these rights."""
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
    yield f"REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM {role}"
    for table, allowed in rights["tables"].items():
        yield f"GRANT {allowed} ON {table} TO {role}"
    for function, allowed in rights["functions"].items():
        yield f"GRANT {allowed} ON FUNCTION {function} TO {role}"
