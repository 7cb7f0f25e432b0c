"""`dinkop parked`: events that a projection or reaction could not apply; tried again, or given up."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from dinkop import parked_events
from dinkop.system import Failed, Misused, System
from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, found, out

commands = typer.Typer(help="Events that a projection or reaction could not apply.")

Id = Annotated[UUID, typer.Argument(help="Id of a parked event, as the list shows it")]


@commands.callback(invoke_without_command=True)
def parked(context: typer.Context, home: HomeOption = None, as_json: AsJson = False) -> None:
    """List what is parked, unless told otherwise."""
    if context.invoked_subcommand is None:
        list_(home=home, as_json=as_json)
        return
    for name in ("home", "as_json"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":  # it would be lost without a word
            raise typer.BadParameter(f"options go after {context.invoked_subcommand}")


@commands.command("list")
def list_(
    home: HomeOption = None,
    consumer: Annotated[
        str | None, typer.Option("--consumer", help="Only of this projection or reaction, by its full name")
    ] = None,
    discarded: Annotated[bool, typer.Option("--discarded", help="What was given up instead: by whom, and why")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is parked in all services."""
    system = found(home)
    items = carry_out(parked_events.listed(system, "discarded" if discarded else "parked"))
    items = [item for item in items if consumer in (None, item["consumer"])]
    if as_json:
        out.print_json(data={"items": items})
    elif not items:
        out.print("Nothing is discarded." if discarded else "Nothing is parked.")
    else:
        out.print(_discarded_table(items) if discarded else _table(items))


@commands.command()
def show(id: Id, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Show one parked event: headers, exception, data with people's words hidden."""
    event = carry_out(parked_events.shown(found(home), id))
    if as_json:
        out.print_json(data=event)
        return
    for name in ("id", "consumer", "generation", "state", "key", "attempts", "parked_at", "tried_at"):
        _say(f"{name:11} {event[name] if event[name] is not None else '-'}")
    _say(f"{'event':11} {event['service']} {event['sequence']}, {event['type']}, about {event['subject']}")
    _say("headers")
    for name, value in event["headers"].items():
        _say(f"  {name}: {value}")
    _say(f"data ({event['bytes']} bytes)")
    _say("  " + ("can't be read" if event["data"] is None else json.dumps(event["data"], ensure_ascii=False)))
    if event["exception"]:
        _say("exception")
        for line in (event["traceback"] or event["exception"]).splitlines():
            _say(f"  {line}")


@commands.command()
def retry(
    id: Annotated[str, typer.Argument(metavar="ID|all", help="Id of a parked event, or all")],
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Try a parked event again; what waits behind it follows in order, until one fails."""
    system = found(home)
    answers = carry_out(_retried(system, id))
    if as_json:
        out.print_json(data={"items": answers} if id == "all" else answers[0])
    else:
        for answer in answers:
            _tell(answer)
        if not answers:
            out.print("Nothing is parked.")
    if any(answer["exception"] for answer in answers):
        raise typer.Exit(ExitCode.FAILED)


@commands.command()
def discard(
    id: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept for ever")],
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Give a parked event up for ever; what waits behind it follows in order."""
    if not reason.strip():
        raise typer.BadParameter("say why: it is kept for ever", param_hint="--reason")
    answer = carry_out(parked_events.discarded(found(home), id, reason))
    if as_json:
        out.print_json(data=answer)
    else:
        _tell(answer, f"{id} is discarded. ")


async def _retried(system: System, which: str) -> list[dict[str, Any]]:
    if which != "all":
        try:
            id = UUID(which)
        except ValueError:
            raise Misused(f"{which!r} is no id: `dinkop parked` lists them; or say all.") from None
        return [await parked_events.retried(system, id)]
    answers = []
    for item in await parked_events.listed(system, state="failed"):
        try:
            answers.append(await parked_events.retried(system, UUID(item["id"])))
        except Failed:
            # Another one that it was connected with has taken it along, if it is gone; else it was refused.
            if item["id"] in {each["id"] for each in await parked_events.listed(system)}:
                raise
    return answers


def _tell(answer: dict[str, Any], first: str = "") -> None:
    said = f"{first}{answer['applied']} applied, {answer['still_parked']} still parked."
    _say(said if first else f"{answer['id']}: {said}")
    if answer["exception"]:
        _say(f"  {answer['exception']}")


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(items: list[dict[str, Any]]) -> Table:
    table = Table("id", "consumer", "gen", "event", "type", "key", "tried", "why", box=None, pad_edge=False)
    for item in items:
        table.add_row(
            item["id"],
            item["consumer"],
            str(item["generation"] or "-"),
            f"{item['service']} {item['sequence']}",
            item["type"],
            escape(item["key"] or f"all of {item['subject']}"),
            str(item["attempts"]),
            escape((item["exception"] or "waits").splitlines()[0]),
        )
    return table


def _discarded_table(items: list[dict[str, Any]]) -> Table:
    table = Table("id", "consumer", "event", "type", "by", "at", "reason", box=None, pad_edge=False)
    for item in items:
        event = f"{item['service']} {item['sequence']}"
        by = (item["discarded_by"], item["discarded_at"], escape(item["reason"]))
        table.add_row(item["id"], item["consumer"], event, item["type"], *by)
    return table
