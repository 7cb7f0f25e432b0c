"""`dinkop events`: the stream of public events, read."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, found, keep_answers_clean, out, progress_bar

commands = typer.Typer(no_args_is_help=True, help="Read the stream of public events.")

KecamatanOption = Annotated[
    list[str] | None, typer.Option("--kecamatan", help="Only events of this kecamatan; may be given again")
]


class Shape(StrEnum):
    """How an event is printed."""

    LINE = "line"
    JSON = "json"


@commands.command("tail")
def events_tail(
    home: HomeOption = None,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Start with this many past events")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with those to come")] = True,
    as_json: AsJson = False,
) -> None:
    """Follow the stream of public events."""
    system = found(home)
    from dinkop import public_events

    keep_answers_clean()

    async def show() -> None:
        async for message in public_events.follow(system, last, forever=follow):
            event = public_events.cloud_event(message)
            if as_json:
                print(json.dumps(event, ensure_ascii=False), flush=True)
            else:
                where = f"{message.service}:{event['sequence']}"
                print(f"{event['time']}  {where:<18} {message.type:<22} {event['subject']}", flush=True)

    carry_out(show())


@commands.command("show")
def events_show(event_id: UUID, home: HomeOption = None) -> None:
    """Show one event by its id."""
    system = found(home)
    from dinkop import public_events

    keep_answers_clean()
    message = carry_out(public_events.find(system, event_id))
    out.print_json(data=public_events.cloud_event(message))


@commands.command("export")
def events_export(
    file: Path, home: HomeOption = None, kecamatan: KecamatanOption = None, as_json: AsJson = False
) -> None:
    """Write all events up to now as JSON lines, stamped with their position and digest in the first line."""
    system = found(home)
    from dinkop import public_events

    keep_answers_clean()
    with progress_bar("Export") as bar:
        work = public_events.export(system, file, kecamatan or (), lambda done, total: bar("events", done, total))
        stamp = carry_out(work)
    if as_json:
        out.print_json(data=stamp)
    else:
        out.print(
            f"{stamp['events']:,} events up to {stamp['log_sequence']:,} in {file}", highlight=False, soft_wrap=True
        )


@commands.command("manifest")
def events_manifest(
    file: Annotated[
        Path | None, typer.Argument(help="A snapshot, or the manifest of a consumer, to hold against the stream")
    ] = None,
    home: HomeOption = None,
    kecamatan: KecamatanOption = None,
    until: Annotated[int | None, typer.Option("--until", min=1, help="Up to this place in the stream")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a consumer must have got: range, count and digest per service and kecamatan; or check what one has."""
    if file and (kecamatan or until):
        raise typer.BadParameter("FILE says itself what it has and up to where: leave --kecamatan and --until out.")
    system = found(home)
    from dinkop import completeness

    keep_answers_clean()
    with progress_bar("Manifest") as bar:
        if file:
            counted, problems = carry_out(completeness.check(system, file, lambda *at: bar("events", *at)))
        else:
            told = carry_out(completeness.manifest(system, kecamatan or (), until, lambda *at: bar("events", *at)))
    if not file:
        _show(told, as_json)
        return
    if as_json:
        out.print_json(data={"fine": not problems, "events": counted, "differences": problems})
    else:
        words = problems or [f"All {counted:,} events of {file} are on the stream, and none is missing among them."]
        out.print(*words, sep="\n", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _show(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(data=told)
        return
    table = Table("service", "kecamatan", "first", "last", "count", "digest", box=None, pad_edge=False)
    for item in told["items"]:
        table.add_row(*(str(item[column.header]) for column in table.columns))
    out.print(table)
    out.print(
        f"{told['events']:,} events up to {told['log_sequence']:,} of {told['stream']} ({told['incarnation']}), digest",
        told["digest"],
        highlight=False,
        soft_wrap=True,
    )
