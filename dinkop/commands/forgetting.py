"""`dinkop forget`: personal data erased for good."""

import sys
from typing import Annotated
from uuid import UUID

import typer

from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, err, found, out

commands = typer.Typer()


@commands.command()
def forget(
    request_id: Annotated[UUID, typer.Argument(help="The request whose people and words are erased")],
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; nobody is asked where there is no terminal")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of one mentoring request for good. Nobody can undo it."""
    from dinkop import forgetting

    system = found(home)
    request = carry_out(forgetting.look_up(system, request_id))
    if sys.stdin.isatty() and not yes and not request["forgotten"]:
        about = f"{request['state']}, on {request['category']}, received on {request['received_on']}"
        if not typer.confirm(
            f"Erase names, phones, addresses and all words of {request_id} ({about}) for ever?", err=True
        ):
            err.print("Nothing was erased.")
            raise typer.Exit(ExitCode.FAILED)
    answer = carry_out(forgetting.forget(system, request_id))
    if as_json:
        out.print_json(data={**answer, "already_forgotten": request["forgotten"]})
    else:
        done = "had been erased before" if request["forgotten"] else "is erased for good"
        out.print(f"The personal data of {request_id} {done}.", highlight=False, soft_wrap=True)
        out.print(
            f"Of {system.home.keys} keep the newest copy only: an older one would bring it back.",
            highlight=False,
            soft_wrap=True,
        )
