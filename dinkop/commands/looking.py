"""`dinkop status`, `projections` and `doctor`: how the system does."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dinkop.ports import Ports
from dinkop.system import System
from dinkop.terminal import AsJson, ExitCode, HomeOption, PortBaseOption, carry_out, found, out, paused_since

commands = typer.Typer()


@commands.command()
def status(
    home: HomeOption = None,
    as_json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every second until Ctrl-C; with --json a line each")
    ] = False,
) -> None:
    """Show services, stream and every projection: position, head, lag, generation, parked events, last error."""
    system = found(home)

    async def look() -> None:
        now = await system.status()
        if as_json:
            out.print_json(data=now)
        else:
            out.print(_shown(now))

    carry_out(_watch(home, as_json) if watch else look())


async def _watch(home: Path | None, as_json: bool) -> None:
    """Look every second, until nothing runs any more. Raises Unreachable then."""
    with Live(console=out, auto_refresh=False) if out.is_terminal and not as_json else nullcontext() as live:
        while True:
            now = await System.find(home).status()  # found again, for it may have been started anew
            if as_json:
                print(json.dumps(now), flush=True)
            elif live:
                live.update(_shown(now), refresh=True)
            else:
                out.print(_shown(now))
            await asyncio.sleep(1)


def _shown(now: dict[str, Any]) -> Group:
    stream = now["stream"]
    told = [f"{stream['messages']} messages, {stream['bytes']} bytes"] if stream["reachable"] else []
    told += [stream["error"]] if "error" in stream else []
    return Group(_services(now["services"]), Text(f"stream: {'; '.join(told)}"), _projections(now["projections"]))


def _services(services: list[dict[str, Any]]) -> Table:
    table = Table("service", "url", "store", "published", "backlog", "reconciled", "state", box=None, pad_edge=False)
    for service in services:
        if not service["ready"]:
            table.add_row(service["name"], service["url"], "?", "?", "?", "?", f"down: {service['error']}")
            continue
        relay, writes = service["relay"], service["writes"]
        refusing = None if writes["accepted"] else f"refuses commands: {writes['reason']}"
        table.add_row(
            service["name"],
            service["url"],
            str(service["store"]["position"]),
            _known(relay["published"]),
            _known(relay["backlog"]),
            _reconciled(service["reconciled"]),
            escape("; ".join(filter(None, (refusing, relay["last_error"], _parked(service)))) or "fine"),
        )
    return table


def _parked(service: dict[str, Any]) -> str:
    """Return which reactions have set events aside; those of projections stand in their own rows."""
    return ", ".join(f"{count} parked by {name}" for name, count in sorted(service["parked_reactions"].items()))


def _reconciled(last: dict[str, Any] | None) -> str:
    if last is None:
        return "never"
    return f"{_age(last['age_seconds'])} ago" + ("" if last["fine"] else ", NOT fine")


def _projections(items: list[dict[str, Any]]) -> Table:
    table = Table(
        "projection", "gen", "position", "lag", "seconds", "trend", "parked", "state", box=None, pad_edge=False
    )
    for item in items:
        if item["status"] == "live":
            seconds = item["lag_seconds"]
            table.add_row(
                item["name"],
                str(item["generation"]),
                _position(item),
                _known(item["lag_events"]),
                "?" if seconds is None else f"{seconds:.1f}",
                _known(item["trend"]),
                str(item["parked"]),
                escape(_state(item)),
            )
    return table


def _position(item: dict[str, Any]) -> str:
    """Return how far it has read, and of how much, where that is more."""
    head = item["head"]
    places = ((name, item["positions"].get(name, 0)) for name in sorted({*item["positions"], *head}))
    return ", ".join(f"{name}:{at}" + (f" of {head[name]}" if head.get(name, at) > at else "") for name, at in places)


def _state(item: dict[str, Any]) -> str:
    """Return what an operator has to know before anything else."""
    if item["paused"]:
        return f"paused {paused_since(item)}".strip()
    told = []
    if item["stalled"]:
        told.append("STALLED")
    if item["last_error"]:
        told.append(item["last_error"])
    elif item["version"] != item["code_version"]:
        told.append(f"of version {item['version']}, the code is of version {item['code_version']}: rebuild it")
    told += [f"generation {other['generation']} {other['status']}" for other in item["others"]]
    return "; ".join(told) or "live"


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def _age(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


@commands.command()
def projections(
    home: HomeOption = None,
    as_json: AsJson = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="What was rebuilt, checked and put back: when, by whom, why, what came of it"),
    ] = False,
) -> None:
    """List projections, their versions and generations."""
    system = found(home)
    if history:
        _show_history(carry_out(system.rebuilds()), as_json)
        return
    items = carry_out(system.status())["projections"]
    if as_json:
        out.print_json(data={"items": items})
        return
    table = Table("projection", "version", "generation", "status", "position", "moved at", box=None, pad_edge=False)
    for item in items:
        position = ", ".join(f"{service}:{at}" for service, at in sorted(item["positions"].items()))
        table.add_row(
            item["name"], str(item["version"]), str(item["generation"]), item["status"], position, item["moved_at"]
        )
    out.print(table)


def _show_history(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        out.print_json(data={"items": items})
        return
    table = Table("begun at", "projection", "what", "came of it", "gen", "by", "reason", box=None, pad_edge=False)
    for item in items:
        differences = item["outcome"].get("compared") or {}
        differ = sum(differences.get(name, 0) for name in ("added", "changed", "removed"))
        table.add_row(
            item["begun_at"],
            item["projection"],
            item["kind"].replace("_", " "),
            item["state"] + (f", {differ:,} rows differ" if differ else ""),
            _known(item["generation"]),
            f"{item['actor']} ({item['holder']})",
            escape(item["error"] or item["reason"] or ""),
        )
    out.print(table)


@commands.command()
def doctor(home: HomeOption = None, port_base: PortBaseOption = None, as_json: AsJson = False) -> None:
    """Check the installation and say what to mend."""
    from dinkop.doctor import examine

    ports = Ports() if port_base is None else Ports.after(port_base)

    async def look() -> list[dict[str, Any]]:
        return [asdict(finding) async for finding in examine(home, ports)]

    findings = carry_out(look())
    if as_json:
        out.print_json(data={"items": findings})
    else:
        for finding in findings:
            mark = "[green]fine[/]" if finding["fine"] else "[red]MEND[/]"
            out.print(f"{mark}  {finding['what']}: {finding['found']}", highlight=False, soft_wrap=True)
            if not finding["fine"]:
                out.print(f"      {finding['mend']}", highlight=False, soft_wrap=True)
    if not all(finding["fine"] for finding in findings):
        raise typer.Exit(ExitCode.FAILED)
