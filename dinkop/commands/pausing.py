"""`dinkop pause` and `dinkop resume`: one projection stands still while everything else goes on."""

from typing import Annotated, Any

import typer

from dinkop.names import meant
from dinkop.system import Misused, System, Unreachable
from dinkop.terminal import AsJson, HomeOption, carry_out, found, out, paused_since

commands = typer.Typer()

Name = Annotated[str, typer.Argument(help="reporting.health_status, a short name, or all")]


@commands.command()
def pause(name: Name, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Let a projection stand still, through restarts too: readers see what it has applied so far."""
    _switch("pause", name, home, as_json)


@commands.command()
def resume(name: Name, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Let a paused projection go on from where it stood."""
    _switch("resume", name, home, as_json)


def _switch(action: str, name: str, home: HomeOption, as_json: bool) -> None:
    system = found(home)
    done: list[dict[str, Any]] = []
    for service, projection in carry_out(_meant(system, name)):
        answer = carry_out(system.switch(service, projection, action))
        done.append(answer)
        if not as_json:
            out.print(_told(answer), highlight=False, markup=False, soft_wrap=True)
    if as_json:
        out.print_json(data={"items": done})


async def _meant(system: System, name: str) -> list[tuple[str, str]]:
    """Ask the services for their projections: quicker than to load what they are made of.

    Raises Misused, or Unreachable when it could be one of a service that is down.
    """
    now = await system.status()
    live = [item["name"].partition(".") for item in now["projections"] if item["status"] == "live"]
    down = [service["name"] for service in now["services"] if not service["ready"]]
    try:
        chosen = meant(name, [(service, projection) for service, _, projection in live])
    except Misused as misused:
        if not down:
            raise
        raise Unreachable(f"{misused} {', '.join(down)} can't be asked: see `dinkop status`.") from misused
    if name == "all" and down:
        raise Unreachable(f"{', '.join(down)} can't be reached, so nothing was done: see `dinkop status`.")
    return chosen


def _told(answer: dict[str, Any]) -> str:
    position = ", ".join(f"{service}:{at}" for service, at in sorted(answer["positions"].items())) or "its beginning"
    if not answer["paused"]:
        return f"{answer['name']} " + (f"goes on from {position}" if answer["changed"] else "was not paused")
    if answer["changed"]:
        return f"{answer['name']} is paused at {position}"
    return f"{answer['name']} was paused already, at {position}, {paused_since(answer)}"
