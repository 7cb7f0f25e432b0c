"""The tokens by which dinkop's own commands come to the services: short-lived, renewed while a command goes on."""

import os
import time
from collections.abc import Generator, Sequence
from getpass import getuser

import httpx

from dinkop.home import Home

VARIABLE = "DINKOP_TOKEN"
SECONDS = 300
"""For how long such a token is good."""
RENEW_SECONDS = 60
"""Seconds before its end from which on a token is renewed."""


def this_account() -> str:
    """Return by which name what this account does on this machine stands in histories."""
    try:
        return f"local:{getuser()}"
    except (KeyError, OSError):  # in a container the account may have no name
        return f"local:user {os.geteuid()}"


class OwnToken(httpx.Auth):
    """Sends a token of the home's issuer with every request; DINKOP_TOKEN, where it is set, instead."""

    def __init__(self, home: Home, roles: Sequence[str], sub: str | None = None) -> None:
        """Come as these roles, by the name of this account unless another is given."""
        self._home = home
        self._roles = roles
        self._sub = sub or this_account()
        self._token = ""
        self._renew_at = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {os.environ.get(VARIABLE) or self._own()}"
        yield request

    def _own(self) -> str:
        if time.monotonic() >= self._renew_at:
            from dinkop.issuer import EmbeddedIssuer

            self._token = EmbeddedIssuer.of(self._home).mint(self._roles, self._sub, SECONDS)
            self._renew_at = time.monotonic() + SECONDS - RENEW_SECONDS
        return self._token
