"""The command `dinkop`: runs the whole system on one machine, and operates it."""

import sys

import typer

from dinkop.commands import (
    agencies,
    backing_up,
    consumer_testing,
    doors,
    events,
    forgetting,
    importing,
    issuing,
    looking,
    parked,
    pausing,
    reconciling,
    replaying,
    reports,
    running,
)
from dinkop.terminal import ExitCode

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(running.commands)
app.add_typer(looking.commands)
app.add_typer(importing.commands, name="import")
app.add_typer(forgetting.commands)
app.add_typer(reports.commands, name="report")
app.add_typer(pausing.commands)
app.add_typer(replaying.commands)
app.add_typer(reconciling.commands)
app.add_typer(backing_up.commands)
app.add_typer(issuing.commands)
app.add_typer(issuing.issuer, name="issuer")
app.add_typer(parked.commands, name="parked")
app.add_typer(events.commands, name="events")
app.add_typer(consumer_testing.commands)
app.add_typer(doors.commands)
app.add_typer(agencies.commands, name="agency")


def main() -> None:
    """Run the command line; every expected failure becomes one clear line and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
