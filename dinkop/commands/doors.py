"""`dinkop doors` and `dinkop secrets`: who may do what, and by which passwords, as files for servers of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from dinkop.system import Misused
from dinkop.terminal import AsJson, carry_out, out

commands = typer.Typer()


@commands.command()
def doors(
    directory: Path,
    rotate: Annotated[
        list[str] | None, typer.Option("--rotate", help="Make a new password for this user; repeatable")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the accounts of NATS, a secret for each service, and the roles of PostgreSQL; again changes nothing."""
    from chassis.storage.durable import write_private
    from chassis.storage.roles import script
    from contracts.envelope import SERVICES
    from dinkop.doors import USERS, Doors

    written = Doors(directory.expanduser().resolve())
    roles = written.directory / "postgres-roles.sql"

    def write() -> None:
        if unknown := [user for user in rotate or () if user not in USERS]:
            raise Misused(f"There is no user {', '.join(unknown)}. There is: {', '.join(USERS)}.")
        if rotate and not written.keeps_secrets:
            raise Misused(f"Passwords are kept in {written.secret_file('').resolve()}: change them there.")
        if directory.exists() and any(directory.iterdir()) and not written.is_made:
            raise Misused(f"{directory} holds something else already. Name a folder that is empty or isn't there yet.")
        written.prepare(rotate or ())
        write_private(roles, script(SERVICES).encode())

    async def work() -> None:
        write()

    carry_out(work())
    secrets = {user: str(written.secret_file(user)) for user in USERS}
    if as_json:
        out.print_json(data={"accounts": str(written.accounts), "secrets": secrets, "roles": str(roles)})
        return
    told = f"{written.accounts}: include it in the configuration of every NATS server, and reload them twice."
    out.print(told, highlight=False, soft_wrap=True)
    for user, path in secrets.items():
        out.print(f"  {user:<10} {path}", highlight=False, soft_wrap=True)
    out.print(f"{roles}: run it with psql, as its first line says.", highlight=False, soft_wrap=True)


@commands.command("secrets")
def secrets_(
    directory: Path,
    postgres: Annotated[str, typer.Option("--postgres", help="Where services find PostgreSQL")] = "postgres:5432",
    nats: Annotated[str, typer.Option("--nats", help="Where services find NATS")] = "nats:4222",
    as_json: AsJson = False,
) -> None:
    """Write every secret of an installation as a file, once; again changes nothing and makes what is missing."""
    from dinkop.secret_files import SecretFiles

    files = SecretFiles(directory.expanduser().resolve())

    async def written() -> list[str]:
        return files.write(postgres=postgres, nats=nats)

    names = carry_out(written())
    if as_json:
        out.print_json(data={"directory": str(directory), "files": names})
        return
    told = f"{directory} holds {len(names)} secrets. Keep a copy of master_key apart from every backup."
    out.print(told, highlight=False, soft_wrap=True)
