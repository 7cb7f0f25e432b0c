"""`dinkop backup` and `dinkop restore`: copies of all that must not be lost."""

from pathlib import Path
from typing import Annotated

import typer

from dinkop.home import Home
from dinkop.system import System
from dinkop.terminal import AsJson, HomeOption, carry_out, err, found, out

commands = typer.Typer()

Folder = Annotated[Path, typer.Argument(file_okay=False, resolve_path=True, help="Folder of backups")]


@commands.command()
def backup(folder: Folder, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Copy the databases into a folder, and mirror the keys of personal data there, while everything goes on."""
    from dinkop import backups

    system = found(home)
    carry_out(_here(system))
    name, made = carry_out(backups.back_up(system, folder, _tell))
    if as_json:
        out.print_json(data=backups.as_json(name, made))
        return
    out.print(f"{folder / name} is complete.", highlight=False, soft_wrap=True)
    out.print(
        f"{system.home.directory / 'master.key'} is not in it: keep one copy of that file apart from the backups.",
        highlight=False,
        soft_wrap=True,
    )


@commands.command()
def restore(
    folder: Folder,
    home: HomeOption = None,
    name: Annotated[str | None, typer.Option("--backup", help="Name of the backup; default: the newest")] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="SERVICE", help="Replace only this service's database of the home")
    ] = None,
    master_key: Annotated[
        Path | None, typer.Option("--master-key", exists=True, dir_okay=False, help="The copy of master.key")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a home from a backup, or replace one database of a home on which nothing runs."""
    from dinkop import backups

    chosen = Home.choose(home)
    if only is None:
        used = carry_out(backups.restore(chosen, folder, name, master_key, _tell))
        done = {"home": str(chosen.directory), "backup": used}
        words = f"{chosen.directory} is restored from {used}. Start it with `dinkop up`, then run `dinkop reconcile`."
    else:
        used, aside = carry_out(backups.restore_one(chosen, only, folder, name, _tell))
        done = {"home": str(chosen.directory), "backup": used, "service": only, "aside": aside}
        words = f"The database of {only} is restored from {used}; the one before is kept as {aside}."
    if as_json:
        out.print_json(data=done)
    else:
        out.print(words, highlight=False, soft_wrap=True)


def _tell(what: str) -> None:
    err.print(what, highlight=False, soft_wrap=True)


async def _here(system: System) -> None:
    system.must_be_here("Back its databases up with pg_dump (docs/how-to/install-on-a-server.md).")
