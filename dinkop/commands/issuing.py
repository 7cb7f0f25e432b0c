"""`dinkop token` and `dinkop issuer`: who may come in, on one machine."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from contracts import roles
from dinkop.home import Home
from dinkop.terminal import AsJson, HomeOption, carry_out, out

commands = typer.Typer()
issuer = typer.Typer(no_args_is_help=True, help="The embedded issuer of tokens.")


class Role(StrEnum):
    """The roles there are."""

    OFFICER = roles.OFFICER
    MENTOR = roles.MENTOR
    HEAD = roles.HEAD
    CAMAT = roles.CAMAT
    AGENCY = roles.AGENCY
    OPERATOR = roles.OPERATOR


@commands.command()
def token(
    role: Annotated[Role, typer.Option("--role", help="What the bearer may do")],
    kecamatan: Annotated[
        str | None, typer.Option("--kecamatan", metavar="CODE", help="Of a camat: 35.07.21, or Wagir")
    ] = None,
    ttl: Annotated[str, typer.Option("--ttl", help="For how long it is good: 30m, 8h, 30d at most")] = "8h",
    sub: Annotated[
        str | None, typer.Option("--sub", metavar="NAME", help="Who the bearer is, in histories; default this account")
    ] = None,
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Print a bearer token of the embedded issuer. Whoever has it may do what the role may, until it ends."""
    from chassis.definitions import clock
    from contracts.envelope import timestamp
    from dinkop import issuer as embedded
    from dinkop.camat_report import resolved
    from dinkop.system import Misused
    from dinkop.tokens import this_account

    async def made() -> dict[str, str | None]:
        if (role == roles.CAMAT) != (kecamatan is not None):
            raise Misused("A camat has one kecamatan: give --kecamatan with --role camat, and with no other role.")
        code = resolved(kecamatan).code if kecamatan else None
        seconds, name = embedded.seconds_of(ttl), sub or this_account()
        text = embedded.EmbeddedIssuer.of(Home.choose(home)).mint([role.value], name, seconds, code)
        ends = timestamp(clock.now() + timedelta(seconds=seconds))
        return {"token": text, "role": role.value, "sub": name, "kecamatan_code": code, "expires_at": ends}

    answer = carry_out(made())
    if as_json:
        out.print_json(data=answer)
    else:
        print(answer["token"])


@issuer.command()
def rotate(
    now: Annotated[bool, typer.Option("--now", help="No token signed before is good any more")] = False,
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Sign with a new key from now on. Tokens signed before stay good until they end, unless --now."""
    from dinkop.issuer import EmbeddedIssuer

    async def rotated() -> str:
        return EmbeddedIssuer.of(Home.choose(home)).rotate(forget=now)

    key = carry_out(rotated())
    if as_json:
        out.print_json(data={"key": key, "forgotten": now})
        return
    before = "No token signed before is good any more." if now else "Tokens signed before stay good until they end."
    out.print(f"Key {key} signs from now on. {before} Services notice within seconds.", highlight=False, soft_wrap=True)


@issuer.command()
def show(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Print the ids of the keys by which services check tokens; the first one signs, and is made if there is none."""
    from dinkop.issuer import EmbeddedIssuer

    async def shown() -> list[str]:
        return EmbeddedIssuer.of(Home.choose(home)).shown()

    keys = carry_out(shown())
    if as_json:
        out.print_json(data={"keys": keys})
        return
    for number, key in enumerate(keys):
        out.print(f"{key}{'' if number else '  signs'}", highlight=False)
