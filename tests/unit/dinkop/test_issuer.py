"""The embedded issuer: what it signs services believe, its keys are its owner's alone, and rotate."""

import asyncio
import json
import stat
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner, Result

from chassis.definitions import clock
from chassis.http.identity import Caller, Identity, InvalidToken
from chassis.settings import Settings
from contracts.roles import CAMAT, HEAD, OFFICER
from dinkop import cli, tokens
from dinkop.home import Home
from dinkop.issuer import LEEWAY, LONGEST_TTL, UNTIL, EmbeddedIssuer, environment_of
from dinkop.system import Failed, Misused
from dinkop.tokens import OwnToken, this_account


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.directory.mkdir()
    return home


@pytest.fixture
def issuer(home: Home) -> EmbeddedIssuer:
    """Its issuer."""
    return EmbeddedIssuer.of(home)


def believing(home: Home) -> Identity:
    """Return what a service believes that is told of the home's issuer, and has just looked at its keys."""
    told = {name.removeprefix("DINKOP_").lower(): value for name, value in environment_of(home).items()}
    return Identity.of(Settings(database_url="", **told))  # type: ignore[arg-type]


async def test_services_believe_what_it_signs(home: Home, issuer: EmbeddedIssuer) -> None:
    token = issuer.mint([CAMAT], "pak-camat", 60, "35.07.21")
    assert await believing(home).caller(token) == Caller("pak-camat", frozenset({CAMAT}), "35.07.21")


def test_its_keys_are_their_owners_alone_and_services_are_shown_the_public_ones(
    home: Home, issuer: EmbeddedIssuer
) -> None:
    issuer.ensure()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.issuer, *home.issuer.iterdir())}
    assert modes == {"issuer": 0o700, "key.json": 0o600, "jwks.json": 0o600, "lock": 0o600}
    [shown] = json.loads(issuer.jwks.read_text())["keys"]
    assert "d" not in shown
    assert "d" in json.loads((home.issuer / "key.json").read_text())


def test_the_first_key_is_made_once(home: Home, issuer: EmbeddedIssuer) -> None:
    issuer.ensure()
    first = issuer.jwks.read_bytes()
    EmbeddedIssuer.of(home).ensure()
    assert issuer.jwks.read_bytes() == first


async def test_after_a_rotation_tokens_before_and_after_are_good(home: Home, issuer: EmbeddedIssuer) -> None:
    before = issuer.mint([OFFICER], "siti", 600)
    private = (home.issuer / "key.json").read_text()
    issuer.rotate()
    after = issuer.mint([OFFICER], "siti", 600)
    assert await believing(home).caller(before)
    assert await believing(home).caller(after)
    secret = json.loads(private)["d"]
    assert not [path for path in home.issuer.iterdir() if secret in path.read_text()], "the former key is gone"


async def test_when_all_is_to_be_forgotten_no_token_before_is_good(home: Home, issuer: EmbeddedIssuer) -> None:
    before = [issuer.mint([OFFICER], "siti", 600)]
    issuer.rotate()
    before.append(issuer.mint([OFFICER], "siti", 600))
    issuer.rotate(forget=True)
    for token in before:
        with pytest.raises(InvalidToken):
            await believing(home).caller(token)
    assert await believing(home).caller(issuer.mint([OFFICER], "siti", 600))


def test_a_replaced_key_is_shown_until_its_longest_token_is_over(
    issuer: EmbeddedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.ensure()
    replaced = issuer.rotate()
    issuer.rotate()
    [_, former, _] = json.loads(issuer.jwks.read_text())["keys"]
    assert former["kid"] == replaced
    assert former[UNTIL] == pytest.approx(time.time() + LONGEST_TTL + LEEWAY, abs=60)
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment + timedelta(seconds=LONGEST_TTL))
    issuer.rotate()
    assert len(json.loads(issuer.jwks.read_text())["keys"]) == 4
    monkeypatch.setattr(clock, "now", lambda: moment + timedelta(seconds=LONGEST_TTL + LEEWAY + 5))
    issuer.rotate()
    assert len(json.loads(issuer.jwks.read_text())["keys"]) == 3


async def test_a_rotation_that_was_cut_off_leaves_keys_that_work(
    home: Home, issuer: EmbeddedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = issuer.mint([OFFICER], "siti", 600)
    write = EmbeddedIssuer._write

    def dies(self: EmbeddedIssuer, path: Path, content: object) -> None:
        if path.name == "key.json":
            raise OSError("no power")
        write(self, path, content)

    with monkeypatch.context() as cut_off:
        cut_off.setattr(EmbeddedIssuer, "_write", dies)
        with pytest.raises(OSError, match="no power"):
            issuer.rotate()
    for token in (before, issuer.mint([OFFICER], "siti", 600)):
        assert await believing(home).caller(token)


async def test_keys_that_cannot_be_read_are_named_with_what_mends_them(home: Home, issuer: EmbeddedIssuer) -> None:
    issuer.ensure()
    (home.issuer / "key.json").write_text("{")
    with pytest.raises(Failed, match="issuer rotate --now"):
        issuer.mint([OFFICER], "siti", 600)
    issuer.rotate(forget=True)
    assert await believing(home).caller(issuer.mint([OFFICER], "siti", 600))


@pytest.mark.parametrize("ttl", [0, -1, LONGEST_TTL + 1])
def test_a_token_lives_thirty_days_at_most(issuer: EmbeddedIssuer, ttl: int) -> None:
    with pytest.raises(Misused, match="30 days"):
        issuer.mint([OFFICER], "siti", ttl)
    assert issuer.mint([OFFICER], "siti", LONGEST_TTL)


@pytest.mark.parametrize("sub", ["", "two\nlines", "x" * 201])
def test_a_name_that_no_service_takes_is_refused(issuer: EmbeddedIssuer, sub: str) -> None:
    with pytest.raises(Misused, match="--sub"):
        issuer.mint([OFFICER], sub, 60)


# ---------------------------------------------------------------- the command


def dinkop(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words, "--home", str(home.directory)])


def bearer_of(home: Home, token: str) -> Caller:
    """Return whose token this is; a command has an event loop of its own, so it must have ended by then."""
    return asyncio.run(believing(home).caller(token))


def test_the_command_prints_a_token_and_nothing_else(home: Home) -> None:
    printed = dinkop(home, "token", "--role", "officer").stdout
    assert bearer_of(home, printed.strip()) == Caller(this_account(), frozenset({OFFICER}))


def test_with_json_it_says_what_the_token_says(home: Home) -> None:
    words = ("token", "--role", "camat", "--kecamatan", "Wagir", "--sub", "pak-camat", "--ttl", "30m", "--json")
    said = json.loads(dinkop(home, *words).stdout)
    caller = bearer_of(home, said["token"])
    assert (said["role"], said["sub"], said["kecamatan_code"]) == (CAMAT, caller.actor, caller.kecamatan_code)
    keys = KeySet.import_key_set(json.loads((home.issuer / "jwks.json").read_text()))
    claims = jwt.decode(said["token"], keys, algorithms=["ES256"]).claims
    assert claims["exp"] - claims["iat"] == 1800
    assert said["expires_at"].endswith("Z")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--role", "camat"], "--kecamatan"),
        (["--role", "officer", "--kecamatan", "35.07.21"], "--kecamatan"),
        (["--role", "camat", "--kecamatan", "Wagi"], "Did you mean Wagir"),
        (["--role", "king"], "officer"),
        (["--role", "officer", "--ttl", "31d"], "30 days"),
        (["--role", "officer", "--ttl", "soon"], "30m, 8h or 30d"),
        (["--role", "officer", "--ttl", "-1h"], "30m, 8h or 30d"),
        ([], "--role"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_would_be_right(home: Home, words: list[str], told: str) -> None:
    done = dinkop(home, "token", *words)
    assert done.exit_code == 2
    assert told in done.output
    assert "eyJ" not in done.output


def test_where_there_is_no_home_no_keys_are_made(tmp_path: Path) -> None:
    done = dinkop(Home(tmp_path / "none"), "token", "--role", "officer")
    assert done.exit_code == 3
    assert "dinkop up" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_home_in_which_a_token_was_made_first_can_still_be_run_on(home: Home) -> None:
    dinkop(home, "token", "--role", "officer")
    with home.held():
        pass


@pytest.mark.parametrize(("words", "keys"), [([], 2), (["--now"], 1)])
def test_the_command_rotates(home: Home, words: list[str], keys: int) -> None:
    dinkop(home, "token", "--role", "officer")
    said = json.loads(dinkop(home, "issuer", "rotate", *words, "--json").stdout)
    shown = json.loads((home.issuer / "jwks.json").read_text())["keys"]
    assert (shown[0]["kid"], len(shown), said["forgotten"]) == (said["key"], keys, bool(words))


# ---------------------------------------------------------------- the tokens of dinkop's own commands


async def sent(auth: httpx.Auth) -> str:
    """Return the token that a request carries."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"].removeprefix("Bearer "))
        return httpx.Response(200)

    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(answer)) as client:
        await client.get("http://registry/v1/cooperatives")
    return seen[0]


async def test_a_command_comes_as_this_account_in_the_role_it_needs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DINKOP_TOKEN", raising=False)
    assert await believing(home).caller(await sent(OwnToken(home, [HEAD]))) == Caller(this_account(), frozenset({HEAD}))


async def test_a_command_that_goes_on_renews_its_token_before_it_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DINKOP_TOKEN", raising=False)
    auth = OwnToken(home, [HEAD])
    first = await sent(auth)
    assert await sent(auth) == first
    now = time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + tokens.SECONDS - 30)
    assert await sent(auth) != first


async def test_a_token_from_the_environment_goes_before(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINKOP_TOKEN", "another")
    assert await sent(OwnToken(home, [HEAD])) == "another"
    assert not (home.issuer / "key.json").exists()
