"""`dinkop events`: the stream of public events, read."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from dinkop.terminal import AsJson, HomeOption, carry_out, found, keep_answers_clean, out, progress_bar

commands = typer.Typer(no_args_is_help=True, help="Read the stream of public events.")


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
def events_export(file: Path, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Write all events up to now as JSON lines, stamped with their position in the first line."""
    system = found(home)
    from dinkop import public_events

    keep_answers_clean()
    with progress_bar("Export") as bar:
        stamp = carry_out(public_events.export(system, file, lambda done, total: bar("events", done, total)))
    if as_json:
        out.print_json(data=stamp)
    else:
        out.print(
            f"{stamp['events']:,} events up to {stamp['log_sequence']:,} in {file}", highlight=False, soft_wrap=True
        )
