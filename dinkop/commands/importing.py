"""`dinkop import`: the lists of the Ministry and of the office, read into registry and rat."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dinkop.system import System
from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, err, out, progress_bar

commands = typer.Typer(no_args_is_help=True, help="Read a list into registry and rat.")


ListFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV or XLSX")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do, change nothing")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write the list with what became of every row to this XLSX file")
]


@commands.command("ods")
def import_ods(
    file: ListFile,
    home: HomeOption = None,
    dry_run: DryRun = False,
    report: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Read the Ministry's export: the register, and the meetings it tells of. Once read, it changes nothing more."""
    _import("ods", file, home, dry_run, report, as_json)


@commands.command("office")
def import_office(
    file: ListFile,
    home: HomeOption = None,
    dry_run: DryRun = False,
    report: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Read a performance sheet of the office: the register, and the last meetings with their figures."""
    _import("office", file, home, dry_run, report, as_json)


def _import(source: str, file: Path, home: Path | None, dry_run: bool, report: Path | None, as_json: bool) -> None:
    from dinkop import listings

    async def work() -> dict[str, Any]:
        system = System.find(home)
        if report:
            listings.must_be_writable(report, file)
        with progress_bar("Import") as progress:
            return await listings.import_list(system, source, file, dry_run=dry_run, report=report, progress=progress)

    try:
        done = carry_out(work())
    except typer.Exit as ended:
        if ended.exit_code == ExitCode.INTERRUPTED:
            err.print("Rows that were recorded stay so; the same file again does the rest.")
        raise
    if as_json:
        out.print_json(data=done)
    else:
        _show_import(done, dry_run)
    if any(answer["rejected"] for answer in done.values()):
        raise typer.Exit(ExitCode.FAILED)


def _show_import(done: dict[str, Any], dry_run: bool) -> None:
    if dry_run:
        out.print("Nothing was changed: this is what the import would do.")
    for service, answer in done.items():
        counts = ", ".join(
            f"{value} {name.replace('_', ' ')}" for name, value in answer.items() if isinstance(value, int)
        )
        out.print(f"{service}: {counts}", highlight=False, soft_wrap=True)
        for kind in ("rejections", "warnings"):
            for note in answer[kind]:
                value = "" if note["value"] is None else f" {note['value']!r}"
                out.print(
                    f"  {kind[:-1]} row {note['row']}, {note['column']}{value}: {note['problem']}",
                    highlight=False,
                    soft_wrap=True,
                )
