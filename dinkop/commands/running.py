"""`dinkop up` and `dinkop demo`: the whole system on this machine."""

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from contracts.roles import OFFICER
from dinkop import elsewhere
from dinkop.home import Home, Running
from dinkop.ports import Ports
from dinkop.system import Misused
from dinkop.terminal import HomeOption, PortBaseOption, carry_out, keep_answers_clean, out, progress_bar
from dinkop.tokens import OwnToken

commands = typer.Typer()


@commands.command()
def up(home: HomeOption = None, port_base: PortBaseOption = None) -> None:
    """Start the whole system on this machine; Ctrl-C stops it."""
    _run(home, port_base, dict(os.environ), _announce)


@commands.command()
def demo(home: HomeOption = None, port_base: PortBaseOption = None) -> None:
    """Start the system and, on an empty home, fill it with the demonstration regency."""
    from dinkop.demonstration.filling import fill_once
    from dinkop.demonstration.regency import TODAY
    from dinkop.demonstration.tour import sights

    environment = {"DINKOP_TODAY": TODAY.isoformat(), **os.environ}
    chosen = Home.choose(home)

    if other := carry_out(_elsewhere()):
        with progress_bar("Demonstration") as progress:
            loaded = carry_out(fill_once(chosen, other, progress))
        out.print("The demonstration is there." if loaded else "Nothing was loaded: there is something already.")
        if other.today is None:
            out.print(f"Run it with DINKOP_TODAY={TODAY}: the demonstration ends there.", highlight=False)
        return

    async def fill(running: Running) -> None:
        with progress_bar("Demonstration") as progress:
            await fill_once(chosen, running, progress)
        await _announce(running)
        today = environment["DINKOP_TODAY"]
        out.print(f"Today is pinned to {today} (DINKOP_TODAY). Try:", highlight=False)
        token = f"TOKEN=$({quote(sys.argv[0])} token --role officer --home {quote(str(chosen.directory))})"
        out.print(f"  A token, which all of these need:\n    {token}", highlight=False, soft_wrap=True)
        async for what, command in sights(running.services, auth=OwnToken(chosen, [OFFICER])):
            out.print(f"  {what}:\n    {command}", highlight=False, soft_wrap=True)

    _run(home, port_base, environment, fill)


def _run(
    home: Path | None,
    port_base: int | None,
    environment: dict[str, str],
    on_ready: Callable[[Running], Coroutine[Any, Any, None]],
) -> None:
    from dinkop.supervisor import Supervisor

    carry_out(_nowhere_else())
    keep_answers_clean()
    ports = Ports() if port_base is None else Ports.after(port_base)
    chosen = Home.choose(home)
    out.print(f"Starting on {chosen.directory} …", highlight=False, soft_wrap=True)
    carry_out(Supervisor(chosen, ports, environment).run(on_ready))
    out.print("Stopped.")


async def _announce(running: Running) -> None:
    for name, url in running.services.items():
        out.print(f"  {name:<10} {url}/docs", highlight=False, soft_wrap=True)
    out.print(f"  {'nats':<10} {running.nats_url}", highlight=False, soft_wrap=True)
    out.print("ready")


async def _elsewhere() -> Running | None:
    """Return the system that runs on servers of its own, if that is what the environment names."""
    try:
        return elsewhere.told()
    except elsewhere.NotTold as wrong:
        raise Misused(str(wrong)) from None


async def _nowhere_else() -> None:
    if await _elsewhere():
        raise Misused(
            f"{elsewhere.VARIABLE} says that the system runs on servers of its own: start it there. To run another one"
            " here, unset it."
        )
