"""`dinkop doors`: who may do what on NATS, as files for servers of one's own."""

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
    """Write the accounts of NATS and a secret for each service into a folder; the same again changes nothing."""
    from dinkop.doors import USERS, Doors

    written = Doors(directory.expanduser().resolve())

    def write() -> None:
        if unknown := [user for user in rotate or () if user not in USERS]:
            raise Misused(f"There is no user {', '.join(unknown)}. There is: {', '.join(USERS)}.")
        if directory.exists() and any(directory.iterdir()) and not written.accounts.exists():
            raise Misused(f"{directory} holds something else already. Name a folder that is empty or isn't there yet.")
        written.prepare(rotate or ())

    async def work() -> None:
        write()

    carry_out(work())
    secrets = {user: str(written.secret_file(user)) for user in USERS}
    if as_json:
        out.print_json(data={"accounts": str(written.accounts), "secrets": secrets})
        return
    told = f"{written.accounts}: include it in the configuration of every NATS server, and reload them twice."
    out.print(told, highlight=False, soft_wrap=True)
    for user, path in secrets.items():
        out.print(f"  {user:<10} {path}", highlight=False, soft_wrap=True)
