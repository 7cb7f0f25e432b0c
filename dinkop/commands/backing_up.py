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
def backup(
    folder: Folder,
    home: HomeOption = None,
    dumps: Annotated[
        Path | None, typer.Option("--dumps", help="Of servers of one's own: where deploy/compose-backup put the dumps")
    ] = None,
    mirrored: Annotated[
        Path | None, typer.Option("--mirrored", help="With --dumps: where it put the keys and the records of agencies")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the databases into a folder, and mirror the keys of personal data there, while everything goes on."""
    from dinkop import backups

    if dumps and mirrored:
        master_key = "The master key"
        name, made = carry_out(backups.keep(dumps, mirrored, folder, _tell))
    else:
        system = found(home)
        master_key = str(system.home.directory / "master.key")
        carry_out(_here(system))
        name, made = carry_out(backups.back_up(system, folder, _tell))
    if as_json:
        out.print_json(data=backups.as_json(name, made))
        return
    out.print(f"{folder / name} is complete.", highlight=False, soft_wrap=True)
    told = f"{master_key} is not in it: keep one copy of that file apart from the backups."
    out.print(told, highlight=False, soft_wrap=True)


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
    check: Annotated[bool, typer.Option("--check", help="Only see whether the backup is whole, and name it")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a home from a backup, or replace one database of a home on which nothing runs."""
    from dinkop import backups

    if check:
        used = carry_out(_whole(folder, name))
        if as_json:
            out.print_json(data={"backup": used})
        else:
            print(used)
        return
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
    system.must_be_here("Back it up with deploy/compose-backup (docs/how-to/back-up-and-restore.md).")


async def _whole(folder: Path, name: str | None) -> str:
    from dinkop import backups

    return backups.choose(folder, name)[0].name
