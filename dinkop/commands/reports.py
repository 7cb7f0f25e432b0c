"""`dinkop report`: reports written to files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dinkop.system import Misused, System
from dinkop.terminal import HomeOption, carry_out, out

commands = typer.Typer(no_args_is_help=True, help="Write reports to files.")


def _file(format_: str) -> Any:
    return typer.Option(f"--{format_}", dir_okay=False, help=f"Write it as {format_.upper()} to this file")


@commands.command("camat")
def report_camat(
    place: Annotated[str, typer.Argument(metavar="KECAMATAN", help="35.07.21, or Wagir")],
    home: HomeOption = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="Of this day; default today")] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", metavar="TIME", help="By what was recorded then; default now")
    ] = None,
    pdf: Annotated[Path | None, _file("pdf")] = None,
    xlsx: Annotated[Path | None, _file("xlsx")] = None,
    html: Annotated[Path | None, _file("html")] = None,
    json_: Annotated[Path | None, _file("json")] = None,
) -> None:
    """Write the report that the camat of a kecamatan gets, for any day and as known at any time."""
    from dinkop import camat_report

    given = {"pdf": pdf, "xlsx": xlsx, "html": html, "json": json_}
    files = {format_: path for format_, path in given.items() if path}

    async def write() -> dict[str, int]:
        if not files:
            raise Misused("Say where to write it: --pdf FILE, --xlsx FILE, --html FILE or --json FILE.")
        if len({path.resolve() for path in files.values()}) < len(files):
            raise Misused("Two formats can't go into one file.")
        chosen = camat_report.resolved(place)
        return await camat_report.write(System.find(home), chosen, files, as_of, known_at)

    for format_, size in carry_out(write()).items():
        out.print(f"{files[format_]}: {size:,} bytes", highlight=False, soft_wrap=True)
