"""`dinkop agency`: who of outside reads the events."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from chassis.storage.durable import sync_folder, write_private
from dinkop.doors import Doors
from dinkop.system import Misused
from dinkop.terminal import AsJson, HomeOption, carry_out, found, keep_answers_clean, out

if TYPE_CHECKING:
    from dinkop.agencies import Credentials

LOOK_SECONDS = 2.0
"""Between two looks whether there are any agencies."""

commands = typer.Typer(no_args_is_help=True, help="Let agencies read the events, each through a door of its own.")


@commands.command("add")
def agency_add(
    name: str,
    home: HomeOption = None,
    kecamatan: Annotated[
        list[str] | None, typer.Option("--kecamatan", help="Only events of this kecamatan, by code or name; repeatable")
    ] = None,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Begin after this place in the stream, such as that of a snapshot")
    ] = 0,
    file: Annotated[
        Path | None, typer.Option("--out", help="Write the credentials into a file that only its owner may read")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let an agency read the events, and print its credentials, once."""
    system = found(home)
    from dinkop import agencies

    keep_answers_clean()

    def hand_over(credentials: "Credentials") -> None:
        text = json.dumps(asdict(credentials), indent=2)
        if file:
            _write(file, text)
        if as_json or not file:
            print(text, flush=True)

    async def work() -> None:
        if file:
            _must_be_new(file)
        agency = await agencies.add(system, name, kecamatan or (), after, hand_over)
        if not as_json and file:
            told = f"{agency.name} may read {', '.join(agency.filter_subjects)}; credentials are in {file}."
            out.print(told, highlight=False, soft_wrap=True)

    carry_out(work())


@commands.command("list")
def agency_list(home: HomeOption = None, as_json: AsJson = False) -> None:
    """List agencies: what they read, since when, how far they are, and whether they are connected."""
    system = found(home)
    from dinkop import agencies

    keep_answers_clean()
    items = carry_out(agencies.listed(system))
    if as_json:
        out.print_json(data={"items": items})
        return
    table = Table("agency", "reads", "since", "position", "lag", "connections", "state", box=None, pad_edge=False)
    for item in items:
        known = ["?" if item[key] is None else f"{item[key]:,}" for key in ("position", "lag")]
        reads = ", ".join(item["kecamatan"]) or "everything"
        table.add_row(item["name"], reads, item["since"], *known, str(item["connections"]), item["standing"])
    out.print(table)


@commands.command("revoke")
def agency_revoke(name: str, home: HomeOption = None) -> None:
    """Show an agency out: its connections are cut and its consumer is removed."""
    system = found(home)
    from dinkop import agencies

    keep_answers_clean()
    carry_out(agencies.revoke(system, name))
    out.print(f"{name} may not read any more.", highlight=False)


@commands.command("keep")
def agency_keep(home: HomeOption = None) -> None:
    """Make the consumers of agencies anew whenever the stream was, until stopped; `dinkop up` does so by itself."""
    system = found(home)
    keep_answers_clean()

    async def work() -> None:
        doors = Doors(system.home.doors)
        while True:
            if doors.agencies():
                from dinkop import agencies  # late: who has none need not load a NATS client

                await agencies.keep(doors, system.nats)
            await asyncio.sleep(LOOK_SECONDS)

    async def until_stopped() -> None:
        # The first process of a container has no signal that ends it by itself.
        keeping = asyncio.ensure_future(work())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, keeping.cancel)
        with suppress(asyncio.CancelledError):
            await keeping

    carry_out(until_stopped())


def _must_be_new(file: Path) -> None:
    """Raise Misused for a file that could not be written when the agency is in, or holds something."""
    if file.exists() or not os.access(file.parent, os.W_OK):
        raise Misused(f"{file} is there already, or can't be written: name another file for the credentials.")


def _write(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    write_private(part, text.encode() + b"\n")
    part.replace(file)
    sync_folder(file.parent)
