"""`dinkop reconcile`: every event of every store is on the stream, once and in order."""

import logging
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dinkop.terminal import AsJson, ExitCode, HomeOption, carry_out, err, found, keep_answers_clean, out, progress_bar

if TYPE_CHECKING:
    from dinkop.reconciling import Outcome

commands = typer.Typer()


@commands.command()
def reconcile(
    home: HomeOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Have what is missing published")] = False,
    replace_stream: Annotated[
        bool, typer.Option("--replace-stream", help="With --repair: delete a damaged stream, publish all of it anew")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove that every event of every store is on the stream, once and in order."""
    if replace_stream and not repair:
        err.print("--replace-stream needs --repair.", style="red")
        raise typer.Exit(ExitCode.USAGE)
    system = found(home)
    from dinkop import reconciling

    keep_answers_clean()
    # A repair may end NATS; that its connection broke meanwhile is no news.
    for name in ("chassis.messaging", "nats"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    begun = time.monotonic()
    with progress_bar("Reconcile") as bar:
        work = (
            reconciling.repair(system, bar, replace_stream=replace_stream) if repair else reconciling.look(system, bar)
        )
        outcome = carry_out(work)
    seconds = time.monotonic() - begun
    if as_json:
        out.print_json(data=outcome.as_json())
    else:
        _show(outcome, seconds)
    if not outcome.fine:
        raise typer.Exit(ExitCode.FAILED)


def _show(outcome: "Outcome", seconds: float) -> None:
    from dinkop.reconciling import damage

    table = Table("service", "stored", "on the stream", "", box=None, pad_edge=False)
    for name, each in outcome.findings.items():
        table.add_row(name, f"{each.stored:,}", f"{each.published:,}", "fine" if each.fine else "WRONG")
    out.print(table)
    for line in damage(outcome):
        out.print(f"  {line}", highlight=False, soft_wrap=True)
    rate = outcome.log_sequence / seconds if seconds else 0
    out.print(f"{outcome.log_sequence:,} messages compared in {seconds:.1f} s ({rate:,.0f} a second)", highlight=False)
    if outcome.on_disk is None:
        out.print("Whether NATS still has the files of the stream can't be looked at from here.", highlight=False)
    if outcome.fine:
        out.print("Every event of every store is on the stream, once and in order.")
    elif outcome.behind:
        out.print("Restore the newest backup of that database: see docs/how-to/back-up-and-restore.md.")
    else:
        more = " --replace-stream" if outcome.damaged else ""
        out.print(f"Mend it with `dinkop reconcile --repair{more}`: see docs/how-to/reconcile.md.")
