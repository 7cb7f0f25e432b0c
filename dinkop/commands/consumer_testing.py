"""`dinkop consumer-test`: is an agency's handler ready for the stream as it is?"""

from dataclasses import asdict
from typing import Annotated

import typer

from dinkop.terminal import AsJson, ExitCode, carry_out, keep_answers_clean, out

commands = typer.Typer()


@commands.command("consumer-test", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def consumer_test(
    handler: Annotated[list[str], typer.Argument(help="A command with its arguments, or a URL", metavar="COMMAND|URL")],
    partly: Annotated[bool, typer.Option("--partly", help="It gets some kecamatan only, and can't see gaps")] = False,
    patience: Annotated[float, typer.Option("--patience", min=0.1, help="Seconds it has for an answer")] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Play duplicates, reorderings, losses and versions old and new at a handler, and say what it got wrong."""
    from dinkop.consumer_handlers import started
    from dinkop.consumer_trial import Result, Trial

    keep_answers_clean()

    async def tried() -> list[Result]:
        results = []
        async with started(handler, patience) as one:
            async for result in Trial(one, everything=not partly).run():
                results.append(result)
                if not as_json:
                    words = f"WRONG  {result.problem}" if result.problem else f"fine   {result.deliveries} deliveries"
                    out.print(f"{result.stage + ' ':.<54} {words}", highlight=False, markup=False, soft_wrap=True)
        return results

    results = carry_out(tried())
    fine = not any(result.problem for result in results)
    if as_json:
        out.print_json(data={"fine": fine, "stages": [asdict(result) for result in results]})
    elif fine:
        out.print("It takes the stream as it is.", highlight=False)
    else:
        out.print("Mend it, empty its state, and run this again: what comes after was not tried.", highlight=False)
    if not fine:
        raise typer.Exit(ExitCode.FAILED)
