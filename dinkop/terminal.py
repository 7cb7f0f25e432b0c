"""What all commands share: the two consoles, exit codes, common options, progress."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dinkop.processes import CannotStart
from dinkop.system import Failed, Misused, System, Unreachable

PIPED = 200  # columns of a table that nobody's terminal limits: names are never cut
out = Console(width=None if sys.stdout.isatty() else PIPED)
err = Console(stderr=True)

HomeOption = Annotated[
    Path | None, typer.Option("--home", envvar="DINKOP_HOME", help="State directory; default: the user data directory")
]
PortBaseOption = Annotated[
    int | None, typer.Option("--port-base", min=0, max=65529, help="Use ports N+1 to N+6 instead of the usual ones")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]


class ExitCode:
    """What the shell is told."""

    FINE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


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


def keep_answers_clean() -> None:
    """Let nothing but errors of the chassis be logged, and not on stdout, which belongs to the answer."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def found(home: Path | None) -> System:
    """Return the system that runs on a home, or end with words when none does."""

    async def find() -> System:
        return System.find(home)

    return carry_out(find())


def paused_since(item: Mapping[str, Any]) -> str:
    """Return by whom and since when a projection is paused, as people read a time; empty where it isn't known."""
    if not item["paused_by"]:
        return ""
    return f"by {item['paused_by']} since {item['paused_since'][:19].replace('T', ' ')}Z"


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
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
