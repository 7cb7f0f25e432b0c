"""The command `dinkop`: runs the whole system on one machine, and operates it."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from dinkop.home import Home, Running
from dinkop.ports import Ports
from dinkop.processes import CannotStart
from dinkop.system import Failed, Misused, System, Unreachable

if TYPE_CHECKING:
    from chassis.engine.rebuild import Report

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
imports = typer.Typer(no_args_is_help=True, help="Read a list into registry and rat.")
events = typer.Typer(no_args_is_help=True, help="Read the stream of public events.")
report = typer.Typer(no_args_is_help=True, help="Write reports to files.")
app.add_typer(imports, name="import")
app.add_typer(report, name="report")
app.add_typer(events, name="events")

PIPED = 200  # columns of a table that nobody's terminal limits: names are never cut
out = Console(width=None if sys.stdout.isatty() else PIPED)
err = Console(stderr=True)

HomeOption = Annotated[
    Path | None, typer.Option("--home", envvar="DINKOP_HOME", help="State directory; default: the user data directory")
]
PortBase = Annotated[
    int | None, typer.Option("--port-base", min=0, max=65529, help="Use ports N+1 to N+6 instead of the usual ones")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]


class ExitCode:
    """What the shell is told."""

    FINE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


def main() -> None:
    """Run the command line; every expected failure becomes one clear line and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def carry_out[T](work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command. Expected failures end the process with the exit code they have."""
    try:
        return asyncio.run(work)
    except (Unreachable, CannotStart, OSError) as problem:
        code, words = ExitCode.UNREACHABLE, str(problem)
    except Misused as problem:
        code, words = ExitCode.USAGE, str(problem)
    except Failed as problem:
        code, words = ExitCode.FAILED, str(problem)
    except (KeyboardInterrupt, asyncio.CancelledError):
        code, words = ExitCode.INTERRUPTED, "Interrupted."
    err.print(words, style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _keep_answers_clean() -> None:
    """Let nothing but errors of the chassis be logged, and not on stdout, which belongs to the answer."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


# ---------------------------------------------------------------- running


@app.command()
def up(home: HomeOption = None, port_base: PortBase = None) -> None:
    """Start the whole system on this machine; Ctrl-C stops it."""
    _run(home, port_base, dict(os.environ), _announce)


@app.command()
def demo(home: HomeOption = None, port_base: PortBase = None) -> None:
    """Start the system and, on an empty home, fill it with the demonstration regency."""
    from dinkop.demonstration.filling import fill_once
    from dinkop.demonstration.regency import TODAY
    from dinkop.demonstration.tour import sights

    environment = {"DINKOP_TODAY": TODAY.isoformat(), **os.environ}
    chosen = Home.choose(home)

    async def fill(running: Running) -> None:
        with _bar("Demonstration") as progress:
            await fill_once(chosen, running, progress)
        await _announce(running)
        today = environment["DINKOP_TODAY"]
        out.print(f"Today is pinned to {today} (DINKOP_TODAY). Try:", highlight=False)
        async for what, command in sights(running.services):
            out.print(f"  {what}:\n    {command}", highlight=False, soft_wrap=True)

    _run(home, port_base, environment, fill)


def _run(
    home: Path | None,
    port_base: int | None,
    environment: dict[str, str],
    on_ready: Callable[[Running], Coroutine[Any, Any, None]],
) -> None:
    from dinkop.supervisor import Supervisor

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


@contextmanager
def _bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Offer a progress bar on a terminal, elsewhere a line now and then; its end leaves the terminal whole."""
    if not err.is_terminal:
        told: set[str] = set()

        def line(what: str, done: int, total: int) -> None:
            if total and done >= total and what not in told:
                told.add(what)
                err.print(f"{title}: {what} {done} of {total}", highlight=False)

        yield line
        return
    tasks: dict[str, Any] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    ) as bar:

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(f"{title}: {what}", total=total or None)
            bar.update(tasks[what], completed=done, total=total or None)

        yield move


# ---------------------------------------------------------------- looking


@app.command()
def status(
    home: HomeOption = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second until Ctrl-C")] = False,
) -> None:
    """Show services, stream and every projection: position, head, lag, generation, last error."""
    system = carry_out(_found(home))

    async def look() -> None:
        if not watch:
            _show_status(await system.status(), as_json)
            return
        with Live(console=out, auto_refresh=False) as live:
            while True:
                now = await system.status()
                live.update(_status_table(now), refresh=True)
                await asyncio.sleep(1)

    carry_out(look())


async def _found(home: Path | None) -> System:
    return System.find(home)


def _show_status(now: dict[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(data=now)
        return
    services = Table("service", "url", "store", "published", "relay", box=None, pad_edge=False)
    for service in now["services"]:
        relay = service.get("relay", {})
        services.add_row(
            service["name"],
            service["url"],
            str(service.get("store", {}).get("position", "?")),
            str(relay.get("published", "?")),
            relay.get("last_error") or service.get("error") or "fine",
        )
    out.print(services)
    stream = now["stream"]
    out.print(f"stream: {stream.get('messages', '?')} messages, {stream.get('bytes', '?')} bytes", highlight=False)
    out.print(_status_table(now))


def _status_table(now: dict[str, Any]) -> Table:
    table = Table("projection", "gen", "position", "lag", "seconds", "parked", "state", box=None, pad_edge=False)
    for item in now["projections"]:
        position = ", ".join(f"{service}:{at}" for service, at in sorted(item["positions"].items()))
        state = "paused" if item["paused"] else item["last_error"] or item["status"]
        lag = "?" if item["lag_events"] is None else str(item["lag_events"])
        table.add_row(
            item["name"],
            str(item["generation"]),
            position,
            lag,
            f"{item['lag_seconds']:.1f}",
            str(item["parked"]),
            state,
        )
    return table


@app.command()
def projections(home: HomeOption = None, as_json: AsJson = False) -> None:
    """List projections, their versions and generations."""
    system = carry_out(_found(home))
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


@app.command()
def doctor(home: HomeOption = None, port_base: PortBase = None, as_json: AsJson = False) -> None:
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


# ---------------------------------------------------------------- importing


ListFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV or XLSX")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do, change nothing")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write the list with what became of every row to this XLSX file")
]


@imports.command("ods")
def import_ods(
    file: ListFile,
    home: HomeOption = None,
    dry_run: DryRun = False,
    report: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Read the Ministry's export: the register, and the meetings it tells of. Once read, it changes nothing more."""
    _import("ods", file, home, dry_run, report, as_json)


@imports.command("office")
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
        with _bar("Import") as progress:
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


# ---------------------------------------------------------------- forgetting


@app.command()
def forget(
    request_id: Annotated[UUID, typer.Argument(help="The request whose people and words are erased")],
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; nobody is asked where there is no terminal")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of one mentoring request for good. Nobody can undo it."""
    from dinkop import forgetting

    system = carry_out(_found(home))
    request = carry_out(forgetting.look_up(system, request_id))
    if sys.stdin.isatty() and not yes and not request["forgotten"]:
        about = f"{request['state']}, on {request['category']}, received on {request['received_on']}"
        if not typer.confirm(
            f"Erase names, phones, addresses and all words of {request_id} ({about}) for ever?", err=True
        ):
            err.print("Nothing was erased.")
            raise typer.Exit(ExitCode.FAILED)
    answer = carry_out(forgetting.forget(system, request_id))
    if as_json:
        out.print_json(data={**answer, "already_forgotten": request["forgotten"]})
    else:
        done = "had been erased before" if request["forgotten"] else "is erased for good"
        out.print(f"The personal data of {request_id} {done}.", highlight=False, soft_wrap=True)
        out.print(
            f"Of {system.home.keys} keep the newest copy only: an older one would bring it back.",
            highlight=False,
            soft_wrap=True,
        )


# ---------------------------------------------------------------- reports


def _file(format_: str) -> Any:
    return typer.Option(f"--{format_}", dir_okay=False, help=f"Write it as {format_.upper()} to this file")


@report.command("camat")
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


# ---------------------------------------------------------------- replaying


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="reporting.health_status, a short name, or all")],
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Replay the events into a new generation beside the live one, and swap. Reads and writes go on meanwhile."""
    from dinkop import replays

    _keep_answers_clean()

    async def resolved() -> Any:
        return replays.resolve(name)

    chosen = carry_out(resolved())
    system = carry_out(_found(home))
    reports: list[dict[str, Any]] = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    with bar:
        for service, projection in chosen:
            full = f"{service}.{projection.name}"
            task = bar.add_task(full, total=None, rate="")

            def move(report: "Report", task: Any = task, full: str = full) -> None:
                bar.update(
                    task,
                    description=f"{full}: {report.phase}",
                    completed=report.events,
                    total=report.total or None,
                    rate=f"{report.rate:,.0f}/s",
                )

            report = carry_out(replays.rebuild(system, service, projection, move))
            reports.append({**asdict(report), "projection": full, "rate": round(report.rate)})
            if not as_json:
                out.print(
                    f"{full}: generation {report.generation} is live: {report.events:,} events into"
                    f" {report.rows:,} rows in {report.seconds:.1f} s ({report.rate:,.0f} a second)",
                    highlight=False,
                )
    if as_json:
        out.print_json(data={"items": reports})


# ---------------------------------------------------------------- events


class Shape(StrEnum):
    """How an event is printed."""

    LINE = "line"
    JSON = "json"


@events.command("tail")
def events_tail(
    home: HomeOption = None,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Start with this many past events")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with those to come")] = True,
    as_json: AsJson = False,
) -> None:
    """Follow the stream of public events."""
    system = carry_out(_found(home))
    from dinkop import public_events

    _keep_answers_clean()

    async def show() -> None:
        async for message in public_events.follow(system, last, forever=follow):
            event = public_events.cloud_event(message)
            if as_json:
                print(json.dumps(event, ensure_ascii=False), flush=True)
            else:
                where = f"{message.service}:{event['sequence']}"
                print(f"{event['time']}  {where:<18} {message.type:<22} {event['subject']}", flush=True)

    carry_out(show())


@events.command("show")
def events_show(event_id: UUID, home: HomeOption = None) -> None:
    """Show one event by its id."""
    system = carry_out(_found(home))
    from dinkop import public_events

    _keep_answers_clean()
    message = carry_out(public_events.find(system, event_id))
    out.print_json(data=public_events.cloud_event(message))


@events.command("export")
def events_export(file: Path, home: HomeOption = None, as_json: AsJson = False) -> None:
    """Write all events up to now as JSON lines, stamped with their position in the first line."""
    system = carry_out(_found(home))
    from dinkop import public_events

    _keep_answers_clean()
    with _bar("Export") as bar:
        stamp = carry_out(public_events.export(system, file, lambda done, total: bar("events", done, total)))
    if as_json:
        out.print_json(data=stamp)
    else:
        out.print(
            f"{stamp['events']:,} events up to {stamp['log_sequence']:,} in {file}", highlight=False, soft_wrap=True
        )
