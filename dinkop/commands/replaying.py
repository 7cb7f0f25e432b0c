"""`dinkop rebuild`, `verify`, `rollback`, `retire`, `inspect`: projections replayed from the stream, and put back."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dinkop.system import Misused
from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, err, found, keep_answers_clean, out

if TYPE_CHECKING:
    from chassis.engine.rebuild import Report
    from chassis.replaying import Kind, Outcome

commands = typer.Typer()

Name = Annotated[str, typer.Argument(help="reporting.health_status, a short name, or all")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; it is kept on record")]
Generation = Annotated[int | None, typer.Option("--generation", min=1, help="Its number, from `dinkop projections`")]


@commands.command()
def rebuild(
    name: Name,
    home: HomeOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would change, change nothing")] = False,
    until: Annotated[
        str | None,
        typer.Option(metavar="SEQ|TIME", help="Build a copy to look at, of the events up to there; never live"),
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Go live though rows differ; ask nobody")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Replay the events into a new generation beside the live one, prove it row by row, and swap.

    Reads and writes go on meanwhile. Interrupted, it goes on where it was when it is run again.
    """
    from chassis.replaying import Kind

    async def kind() -> Kind:
        if until and (dry_run or accept):
            raise Misused("A copy up to --until is never live: it takes neither --dry-run nor --accept.")
        return Kind.DRY_RUN if dry_run else Kind.INSPECTION if until else Kind.REBUILD

    _replay(carry_out(kind()), name, home, reason, as_json, until=until, accept=accept)


@commands.command()
def verify(
    name: Annotated[str, typer.Argument(help="reporting.health_status, a short name, or all")] = "all",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Replay the events aside to where the live generation is, compare every row, change nothing.

    Exits 1 when a row differs.
    """
    from chassis.replaying import Kind

    _replay(Kind.VERIFY, name, home, None, as_json)


@commands.command()
def rollback(name: Name, home: HomeOption = None, reason: Reason = None, as_json: AsJson = False) -> None:
    """Put the generation before the live one back, at once: it was kept up to date meanwhile."""
    from chassis.replaying import Kind

    _replay(Kind.ROLLBACK, name, home, reason, as_json)


@commands.command()
def retire(name: Name, home: HomeOption = None, generation: Generation = None, as_json: AsJson = False) -> None:
    """Give up the generation before the live one, or the one named: its rows go within two minutes."""
    from dinkop import replays

    keep_answers_clean()
    chosen = _resolved(name)
    system = found(home)
    retired = []
    for service, projection in chosen:
        number = carry_out(replays.retire(system, service, projection, generation))
        retired.append({"projection": f"{service}.{projection.name}", "generation": number})
        if not as_json:
            out.print(f"{service}.{projection.name}: generation {number} is given up", highlight=False)
    if as_json:
        out.print_json(data={"items": retired})


@commands.command()
def inspect(
    name: Name,
    home: HomeOption = None,
    generation: Generation = None,
    key: Annotated[str | None, typer.Option("--key", help="Only the row of this key")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 20,
) -> None:
    """Print rows of any generation, the live one unless it is named, as JSON lines in the order of their keys."""
    from dinkop import replays

    keep_answers_clean()
    chosen = _resolved(name)
    system = found(home)

    async def only() -> list[dict[str, Any]]:
        if len(chosen) > 1:
            raise Misused("Name one projection: the rows of several have nothing in common.")
        [(service, projection)] = chosen
        return await replays.rows(system, service, projection, generation, key, limit)

    for row in carry_out(only()):
        print(json.dumps(row, ensure_ascii=False))


def _resolved(name: str) -> Any:
    from dinkop import replays

    async def resolve() -> Any:
        return replays.resolve(name)

    return carry_out(resolve())


# ---------------------------------------------------------------- doing it


def _replay(
    kind: "Kind",
    name: str,
    home: Path | None,
    reason: str | None,
    as_json: bool,
    *,
    until: str | None = None,
    accept: bool = False,
) -> None:
    from chassis.engine.rebuild import Until
    from chassis.replaying import Kind, Order, Refused
    from chassis.storage.rebuilds import this_user
    from dinkop import replays

    keep_answers_clean()
    chosen = _resolved(name)

    async def end() -> Until:
        return replays.until(until) if until else Until()

    ends = carry_out(end())
    system = found(home)
    outcomes: list[Outcome] = []
    good = True
    with _progress(as_json) as begin:
        for service, projection in chosen:
            move, pause = begin(f"{service}.{projection.name}")

            async def asked(outcome: "Outcome", pause: Callable[[], None] = pause) -> bool:
                return accept or _confirmed(outcome, as_json, pause)

            order = Order(kind=kind, actor=f"local:{this_user()}", reason=reason, until=ends, accept=asked)
            try:
                outcome = _ended(carry_out, replays.carry_out(system, service, projection, order, move), kind)
            except Refused as refused:
                outcome, good = refused.outcome, False
                err.print(str(refused), style="red", highlight=False, soft_wrap=True)
            outcomes.append(outcome)
            good = (good and outcome.state != "different") or kind is Kind.DRY_RUN
            if not as_json:
                _show(outcome)
    if as_json:
        out.print_json(data={"items": [each.as_json() for each in outcomes]})
    if not good:
        raise typer.Exit(ExitCode.FAILED)


def _ended(run: Callable[[Any], Any], work: Any, kind: "Kind") -> Any:
    try:
        return run(work)
    except typer.Exit as ended:
        if ended.exit_code == ExitCode.INTERRUPTED and kind == "rebuild":
            err.print("Nothing has changed. What was built is kept: the same command goes on from there.")
        raise


def _confirmed(outcome: "Outcome", as_json: bool, pause: Callable[[], None]) -> bool:
    """Show what differs and ask, where there is somebody to ask."""
    if as_json or not (sys.stdin.isatty() and err.is_terminal):
        return False
    pause()
    _show_differences(outcome)
    return typer.confirm("Put the new generation in place?", err=True)


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[str], tuple[Callable[["Report"], None], Callable[[], None]]]]:
    """Offer a bar on a terminal, elsewhere, or with --json, one JSON line a second on stderr."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        disable=as_json or not err.is_terminal,
    )

    def begin(full: str) -> tuple[Callable[["Report"], None], Callable[[], None]]:
        task = bar.add_task(full, total=None, rate="")
        told = time.monotonic()

        def move(report: "Report") -> None:
            nonlocal told
            lag = f", live behind by {report.lag:,}" if report.lag else ""
            bar.update(
                task,
                description=f"{full}: {report.phase}",
                completed=report.events,
                total=report.total or None,
                rate=f"{report.rate:,.0f}/s{lag}",
            )
            if bar.disable and time.monotonic() - told >= 1:
                told = time.monotonic()
                line = {
                    "projection": full,
                    "phase": report.phase,
                    "events": report.events,
                    "total": report.total,
                    "rate": round(report.rate),
                    "seconds": round(report.seconds, 1),
                    "seconds_left": round(report.seconds_left, 1),
                    "live_behind": report.lag,
                }
                print(json.dumps(line), file=sys.stderr, flush=True)

        return move, bar.stop

    with bar:
        yield begin


# ---------------------------------------------------------------- telling it


def _show(outcome: "Outcome") -> None:
    name, generation = outcome.projection, outcome.generation
    rows = outcome.compared.rows if outcome.compared else outcome.rows
    read = f"{outcome.events:,} events into {rows:,} rows in {outcome.seconds:.1f} s ({outcome.rate:,} a second)"
    match outcome.kind, outcome.state:
        case _, "refused":
            _show_differences(outcome)
            return
        case "rollback", _:
            older = ""
            if outcome.version != outcome.replaced_version:
                older = f"; version {outcome.version} made it, so it stands still until that code runs again"
            _line(f"{name}: generation {generation} is live again, in place of {outcome.replaced}{older}")
            return
        case "inspection", _:
            _line(f"{name}: generation {generation} is a copy to look at: {read}")
            _line(f"  dinkop inspect {name} --generation {generation}")
            _line(f"  dinkop retire {name} --generation {generation}")
            return
        case "dry_run", _:
            _line(
                f"{name}: a rebuild reads {read}, and takes {outcome.bytes / 1e6:,.1f} MB of disk beside what is live"
            )
        case "verify", _:
            _line(f"{name}: {read}")
        case _:
            resumed = f", going on from event {outcome.resumed_at:,}" if outcome.resumed_at else ""
            _line(f"{name}: generation {generation} is live: {read}{resumed}")
    if outcome.skipped:
        _line(f"  {outcome.skipped:,} discarded events were passed over")
    _show_differences(outcome)


def _show_differences(outcome: "Outcome") -> None:
    from chassis.storage.comparing import lines

    compared = outcome.compared
    if compared is None:
        return
    would = "would " if outcome.kind == "dry_run" else ""
    if compared.set_aside:
        _line(f"  {compared.set_aside:,} rows of parked events are not compared")
    if compared.same:
        _line(
            f"  all {compared.rows:,} rows equal those of generation {outcome.replaced} (sha256 {compared.after[:16]})"
        )
        return
    if outcome.version != outcome.replaced_version:
        _line(f"  version {outcome.version} in place of version {outcome.replaced_version}:")
    for line in lines(compared):
        _line(f"  {line}")
    if outcome.sentences:
        _line(f"  what {would}read{'' if would else 's'} otherwise:")
        for sentence in outcome.sentences:
            _line(f"    {sentence}")


def _line(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True, markup=False)
