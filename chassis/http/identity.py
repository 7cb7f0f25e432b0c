"""Who calls: bearer tokens (JWT, RFC 7519) checked against the issuer's keys, and what they say of their bearer."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.errors import ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry, extract_compact, validate_compact
from joserfc.jwt import JWTClaimsRegistry

from chassis.http.issuer_keys import IssuerKeys, keys_from_file, keys_from_issuer
from chassis.settings import Settings

LEEWAY = 60
"""Seconds that clocks may differ."""
LONGEST_TOKEN = 16_384
LONGEST_NAME = 200
KECAMATAN = "kecamatan_code"
_TYPES = {None, "jwt", "at+jwt", "application/at+jwt"}


class InvalidToken(Exception):
    """A token that nobody is recognised by; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and as what. `kecamatan_code` is the one that the token names, None when it names none or several."""

    actor: str
    roles: frozenset[str]
    kecamatan_code: str | None = None


class NotSet(Exception):
    """A setting that identity needs is missing; the text says which."""


class Identity:
    """Recognises callers by their tokens."""

    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer: str,
        audience: str,
        roles_claim: str = "roles",
        now: Callable[[], float] = time.time,
    ) -> None:
        """Believe what `issuer` signs for `audience`; `now` is in seconds since 1970 UTC."""
        self.keys = keys
        self._roles_claim = roles_claim
        self._claims = JWTClaimsRegistry(
            lambda: int(now()),
            LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    @classmethod
    def of(cls, settings: Settings) -> "Identity":
        """Return what the settings say. Raises NotSet when they don't say whose tokens to believe."""
        issuer, jwks = settings.oidc_issuer, settings.oidc_jwks
        if not issuer:
            raise NotSet("DINKOP_OIDC_ISSUER: needed, whose tokens are believed; see README.md")
        if jwks and not _is_url(jwks):
            keys = keys_from_file(Path(jwks))
        elif jwks or _is_url(issuer):
            keys = keys_from_issuer(issuer, jwks)
        else:
            raise NotSet("DINKOP_OIDC_JWKS: needed, a URL or a file of keys, for the issuer is no URL; see README.md")
        return cls(keys, issuer=issuer, audience=settings.oidc_audience, roles_claim=settings.oidc_roles_claim)

    async def caller(self, token: str) -> Caller:
        """Return whose token this is. Raises InvalidToken, or IdentityUnavailable before any keys were had."""
        claims = await self._signed(token)
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise InvalidToken("The token has expired: get a new one.") from None
        except JoseError as wrong:
            raise InvalidToken(f"The token is not valid here: {wrong}.") from None
        actor = claims["sub"]
        if not (0 < len(actor) <= LONGEST_NAME and actor.isprintable()):
            raise InvalidToken(f"The token is not valid here: sub must be 1 to {LONGEST_NAME} printable characters.")
        return Caller(actor, self._roles(claims), _the_one(claims.get(KECAMATAN)))

    async def _signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that the issuer has signed. Raises InvalidToken."""
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken("This is no token of the issuer: it is too long.")
        try:
            signed = extract_compact(token.encode(), registry=_registry)
            header = signed.headers()
            key_id, type_ = header.get("kid"), header.get("typ")
            if not isinstance(key_id, str):
                raise InvalidToken("The token does not say which key it was signed with.")
            if "crit" in header or (type_ and type_.lower()) not in _TYPES:
                raise InvalidToken("The token was made for something else.")
            key = await self.keys.find(key_id)
            # Found by its id among the issuer's own: a key that comes with the token is nobody's.
            if key is None:
                raise InvalidToken("The token was not signed with a key that the issuer has.")
            # Refuses an algorithm that is not of the key's kind, whatever the token says of it.
            if not validate_compact(signed, key, registry=_registry):
                raise InvalidToken("The token was not signed by the issuer.")
            claims = json.loads(signed.payload)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InvalidToken("This is no token that can be read.") from None
        if not isinstance(claims, dict):
            raise InvalidToken("This is no token that can be read.")
        return claims

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[str]:
        found: Any = claims.get(self._roles_claim)
        if found is None:
            found = claims
            for part in self._roles_claim.split("."):
                found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, str):
            return frozenset(found.split())
        return frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()


class _Registry(JWSRegistry):
    """The algorithms that a key may sign with, all of them asymmetric; unknown header members mean nothing."""

    max_header_length = 4_096

    def get_alg(self, name: str) -> Any:
        """Return the algorithm, without the library's word on the older name of Ed25519."""
        if name not in _ALGORITHMS:
            raise UnsupportedAlgorithmError(f"{name} is not accepted")
        return self.algorithms[name]


_ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
_registry = _Registry(strict_check_header=False)


def _the_one(named: object) -> str | None:
    if isinstance(named, list):
        named = named[0] if len(named) == 1 else None
    return named if isinstance(named, str) else None


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://"))
