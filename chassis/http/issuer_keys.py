"""The public keys of the issuer of tokens: from a file or a URL, followed as they rotate, kept while it is away."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from chassis.engine.cancelling import heed_cancellation
from chassis.http.refusals import Refusal

log = structlog.get_logger()

FILE_SECONDS = 1.0
"""Seconds between two looks at a file of keys."""
ISSUER_SECONDS = 300.0
"""Seconds between two looks at an issuer: for so long a key that it has taken back is still believed."""
ASK_AGAIN_SECONDS = 5.0
"""Seconds that must pass before a key nobody knows makes us ask the issuer again."""
PATIENCE = 5.0
"""Seconds that an issuer has to answer."""
FEWEST_RSA_BITS = 2048
_ASYMMETRIC = {"RSA", "EC", "OKP"}

type Fetch = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns a JSON Web Key Set (RFC 7517). Raises OSError, ValueError or httpx.HTTPError."""


class IdentityUnavailable(Refusal):
    """The issuer's keys have not been had yet, so nobody can be recognised; try again."""

    status = 503


def _may_sign(key: Key) -> bool:
    """Tell whether tokens may be signed with a key: an asymmetric one, and of sufficient strength.

    Which algorithm goes with it, what it is for, and its own word on both, joserfc checks with each token.
    """
    if isinstance(key, RSAKey):
        return key.raw_value.key_size >= FEWEST_RSA_BITS
    return isinstance(key, ECKey | OKPKey) and key.curve_name in ("P-256", "Ed25519")


class IssuerKeys:
    """The keys as they were last had. `follow` them for as long as the service runs."""

    def __init__(self, fetch: Fetch, *, every: float, ask_again: float) -> None:
        """Use what `fetch` returns, every so many seconds; for an unknown key, if the last time is `ask_again` past."""
        self._fetch = fetch
        self._every = every
        self._ask_again = ask_again
        self._keys: Mapping[str, Key] | None = None
        self._asked_at = float("-inf")
        self._problem: str | None = None
        self._asking = asyncio.Lock()

    async def find(self, key_id: str) -> Key | None:
        """Return a key by its id, None for one that the issuer does not have. Raises IdentityUnavailable."""
        if self._keys is None or key_id not in self._keys:
            asked_at = self._asked_at
            async with self._asking:
                # Whoever waited for another's question has its answer.
                if self._asked_at == asked_at and time.monotonic() - asked_at >= self._ask_again:
                    await self._ask()
        if self._keys is None:
            raise IdentityUnavailable(headers={"Retry-After": "2"})
        return self._keys.get(key_id)

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            async with self._asking:
                await self._ask()
            await asyncio.sleep(self._every if self._keys is not None else min(self._every, self._ask_again))

    async def _ask(self) -> None:
        """Take the keys as they are now; whatever goes wrong, those had before stay good."""
        self._asked_at = time.monotonic()
        try:
            self._keys = _usable(await self._fetch())
        except Exception as failed:
            heed_cancellation(failed)
            problem = f"{type(failed).__name__}: {failed}"
            if problem != self._problem:  # once an outage, not at every look
                log.warning("identity.keys_not_had", problem=problem, kept=len(self._keys or ()))
            self._problem = problem
        else:
            if self._problem is not None:
                log.info("identity.keys_had_again", keys=sorted(self._keys))
            self._problem = None


def _usable(found: Mapping[str, Any]) -> dict[str, Key]:
    """Return the keys that tokens may be signed with, by id. Raises ValueError when this is no key set."""
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError("this is no JSON Web Key Set")
    usable: dict[str, Key] = {}
    for each in listed:
        if not isinstance(each, dict) or each.get("kty") not in _ASYMMETRIC:
            continue  # of a kind that is of no use here; the others are good (RFC 7517, section 5)
        try:
            key = import_key(each)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if key.kid and _may_sign(key):
            usable.setdefault(key.kid, key)
    return usable


def keys_from_file(path: Path) -> IssuerKeys:
    """Return the keys of a file; a change of it is noticed within a second, and at once for a new key."""

    def read() -> bytes:
        return path.read_bytes()

    async def fetch() -> Mapping[str, Any]:
        return _parsed(read())

    return IssuerKeys(fetch, every=FILE_SECONDS, ask_again=0.0)


def keys_from_issuer(issuer: str, jwks_url: str | None) -> IssuerKeys:
    """Return the keys of an issuer, from a URL or, without, from where its OpenID configuration says."""

    async def fetch() -> Mapping[str, Any]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return await _get(client, jwks_url or await _discovered(client, issuer))

    return IssuerKeys(fetch, every=ISSUER_SECONDS, ask_again=ASK_AGAIN_SECONDS)


async def _discovered(client: httpx.AsyncClient, issuer: str) -> str:
    configuration = await _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if configuration.get("issuer") != issuer:
        # OpenID Connect Discovery 1.0, section 4.3: or one issuer could pass for another.
        raise ValueError(f"{issuer} calls itself {configuration.get('issuer')!r}: DINKOP_OIDC_ISSUER must be the same")
    url = configuration.get("jwks_uri")
    if not isinstance(url, str):
        raise ValueError(f"{issuer} does not say where its keys are: set DINKOP_OIDC_JWKS")
    return url


async def _get(client: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    return _parsed((await client.get(url)).raise_for_status().content)


def _parsed(content: bytes) -> Mapping[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("this is no JSON object")
    return found
