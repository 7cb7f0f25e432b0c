"""Admission: the one place that lets a caller come to a route, by what stands next to the route."""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlencode

import structlog
from fastapi import Request

from chassis.http.identity import KECAMATAN, Caller, Identity, InvalidToken
from chassis.http.limits import Limits
from chassis.http.refusals import Forbidden, Refusal, Unauthenticated
from contracts.roles import CAMAT

log = structlog.get_logger()

ANYONE: tuple[str, ...] = ()
"""Callers of a route that asks for no token."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of calls that change nothing."""

type Lookup = Callable[..., Awaitable[str | None]]
"""Takes parameters as a route does, and returns the kecamatan of what they name, None for one without.

Raises the route's own refusal for what there is not.
"""


class Within(Enum):
    """How a route keeps a camat within their own kecamatan, where no Lookup says where a thing lies."""

    LISTED = "its query parameter kecamatan_code is theirs: put in when it is left out"
    PATH = "its path has a kecamatan_code, which must be theirs"
    SHOWN = "it narrows its answer itself, by call.confined_to"
    UNPLACED = "what it shows lies in no kecamatan"


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may call a route: `callers` are roles, or ANYONE; a camat only `within` their kecamatan.

    `from_loopback` asks nobody on this machine for a token.
    """

    callers: tuple[str, ...]
    within: Within | Lookup | None = None
    from_loopback: bool = False

    def __post_init__(self) -> None:
        if (CAMAT in self.callers) != (self.within is not None):
            raise TypeError("a route that a camat may call says within=…, how they are kept to their kecamatan")


class Door:
    """What every route of a service stands behind."""

    def __init__(self, identity: Identity, limits: Limits) -> None:
        """Recognise callers by `identity`."""
        self.identity = identity
        self._limits = limits

    async def admit(self, request: Request, admission: Admission) -> None:
        """Let a request in; `request.state` says from then on who calls, and to which kecamatan they are confined.

        Raises Refusal, or IdentityUnavailable. Nothing of the body has been read by then.
        """
        address = request.client.host if request.client else ""
        if not admission.callers or (admission.from_loopback and is_loopback(address)):
            return
        caller = await self._recognised(request, address)
        request.state.caller = caller
        roles = caller.roles.intersection(admission.callers)
        if not roles:
            raise Forbidden(f"Only {_listed(admission.callers)} may do this, and you come as {_listed(caller.roles)}.")
        request.state.confined_to = _own_kecamatan(caller) if roles == {CAMAT} else None
        if request.method not in READS:
            await self._limits.count_write(caller.actor)
        if request.state.confined_to is not None:
            _confine(request, request.state.confined_to, admission.within)

    async def _recognised(self, request: Request, address: str) -> Caller:
        given = request.headers.getlist("authorization")
        if not given:
            raise Unauthenticated
        try:
            return await self.identity.caller(_bearer(given))
        except InvalidToken as invalid:
            await self._limits.count_failure(address)
            raise Unauthenticated(str(invalid), given=True) from None


async def confine_to(request: Request, kecamatan_of: Callable[[], Awaitable[str | None]]) -> None:
    """Refuse a camat what lies in another kecamatan; nobody else is asked where a thing lies. Raises Forbidden."""
    own = confined_to(request)
    if own is not None and await kecamatan_of() != own:
        raise _elsewhere(own)


def confined_to(request: Request) -> str | None:
    """Return the kecamatan that the caller is confined to on this route, None for one who is not."""
    own: str | None = getattr(request.state, "confined_to", None)
    return own


def tell(request: Request, refused: Refusal) -> None:
    """Write down who was refused what: never the token."""
    caller: Caller | None = getattr(request.state, "caller", None)
    log.warning(
        "http.refused",
        status=refused.status,
        reason=refused.detail,
        actor=caller.actor if caller else None,
        roles=sorted(caller.roles) if caller else None,
        method=request.method,
        route=getattr(request.scope.get("route"), "path", request.url.path),
        address=request.client.host if request.client else None,
    )


def is_loopback(address: str) -> bool:
    """Tell whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _bearer(given: Sequence[str]) -> str:
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken("Send one token, as Authorization: Bearer.")
    return token.strip()


def _own_kecamatan(caller: Caller) -> str:
    if caller.kecamatan_code is None:
        raise Forbidden(f"The token of a camat names exactly one {KECAMATAN}; this one does not.")
    return caller.kecamatan_code


def _confine(request: Request, own: str, within: Within | Lookup | None) -> None:
    if within is Within.PATH and request.path_params[KECAMATAN] != own:
        raise _elsewhere(own)
    if within is Within.LISTED:
        query: bytes = request.scope["query_string"]
        asked = [value for name, value in parse_qsl(query.decode("latin-1"), True) if name == KECAMATAN]
        if any(value != own for value in asked):
            raise _elsewhere(own)
        if not asked:
            # In the scope, before anything has read it from there: the route then lists as if it had been asked so.
            request.scope["query_string"] = b"&".join(filter(None, (query, urlencode({KECAMATAN: own}).encode())))


def _elsewhere(own: str) -> Forbidden:
    return Forbidden(f"A camat sees their own kecamatan, which is {own}; this lies elsewhere.")


def _listed(roles: Any) -> str:
    return ", ".join(sorted(roles)) or "nobody in particular"
