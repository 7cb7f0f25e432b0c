"""One call on its way through a service: who, under which conditions, and how a command is answered."""

import asyncio
import base64
import binascii
import hmac
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from chassis.definitions import clock
from chassis.definitions.decider import Command, Decider, Event, Invalid, Rejection
from chassis.definitions.projection import Projection, Row
from chassis.engine.handling import Handler, Order
from chassis.engine.ports import Appended, Key
from chassis.http.admission import confined_to
from chassis.http.identity import Caller
from chassis.http.runtime import Runtime
from chassis.storage.archive import Archive
from chassis.storage.read_models import View
from chassis.storage.vault import Vault
from chassis.telemetry import tracing
from contracts.envelope import SERVICES

PATIENCE = 5.0
_AT_LEAST = re.compile(r"([a-z]+):([0-9]{1,18})")
_ETAG = re.compile(r'(?:W/)?"([0-9]{1,9})"')
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_POSITION = f"({'|'.join(SERVICES)}):[0-9]{{1,18}}"


def _written(pattern: str) -> dict[str, str]:
    """Tell readers of the OpenAPI document what our own checks enforce."""
    return {"pattern": f"^{pattern}$"}


class NotCaughtUp(Rejection):
    """The read model has not reached the position asked for within five seconds; try again."""

    status = 504


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Call:
    """One request. Handlers take it as `call: CallOf`."""

    def __init__(
        self,
        request: Request,
        idempotency_key: Annotated[
            str | None,
            Header(
                description="repeats of the same request with this key get the first answer",
                json_schema_extra=_written(_KEY.pattern),
            ),
        ] = None,
        if_match: Annotated[
            str | None,
            Header(description='version the caller saw, such as "3"', json_schema_extra=_written(r'(\*|"[0-9]{1,9}")')),
        ] = None,
    ) -> None:
        """Read what the headers say. Raises Invalid for a header that can't be read."""
        self._request = request
        self.runtime: Runtime = request.app.state.runtime
        self.expected = _version(if_match)
        if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
            raise Invalid("Idempotency-Key", "use 1 to 255 visible ASCII characters")
        self._idempotency_key = idempotency_key
        self._key: Key | None = None
        self._is_first = False
        self.today: date = clock.today(self.runtime.today)

    @property
    def caller(self) -> Caller:
        """Return who calls; only routes that ask for a token know."""
        caller: Caller = self._request.state.caller
        return caller

    @property
    def confined_to(self) -> str | None:
        """Return the code of the kecamatan that a camat is kept within here, None for any other caller."""
        return confined_to(self._request)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return what every event of this call carries: who, and what it belongs to."""
        metadata = {"actor": self.caller.actor, "correlation_id": self._request.state.correlation_id}
        traceparent = tracing.traceparent()
        return metadata | ({"traceparent": traceparent} if traceparent else {})

    @property
    def vault(self) -> Vault:
        """Return the keys of personal data; only services whose manifest says that they keep any have them."""
        assert self.runtime.vault is not None, "set personal_data in the service's manifest"
        return self.runtime.vault

    @property
    def archive(self) -> Archive:
        """Return the documents kept for good; only services with a table of documents have any."""
        assert self.runtime.archive is not None
        return self.runtime.archive

    async def key(self) -> Key | None:
        """Return the idempotency key with the fingerprint of this very request."""
        if self._key is None and self._idempotency_key is not None:
            self._key = Key(self._idempotency_key, await self._fingerprint())
        return self._key

    async def _fingerprint(self) -> str:
        parts = (self._request.method, self._request.url.path, self._request.url.query)
        # Keyed, for it outlives personal data that is forgotten: a plain digest would let a guess be confirmed.
        digest = hmac.new(self.runtime.secret, "\n".join(parts).encode() + b"\n", "sha256")
        if self._request.headers.get("content-type", "").lower().startswith("multipart/"):
            # The body itself has a boundary that differs from one sending of a file to the next.
            for name, part in (await self._request.form()).multi_items():
                if isinstance(part, str):
                    content = part.encode()
                else:
                    await part.seek(0)  # the route may have read it before it asks for the key
                    content = await part.read()
                    await part.seek(0)
                digest.update(f"{name}\n{len(content)}\n".encode() + content)
        else:
            digest.update(await self._request.body())
        return digest.hexdigest()

    async def accepting(self) -> None:
        """Return when commands are accepted: for what must not be done unless a command can follow.

        Raises engine.gate.NotAccepting.
        """
        await self.runtime.gate.passed()

    def handler[C: Command, S, E: Event](self, decider: Decider[C, S, E]) -> Handler[C, S, E]:
        """Return the write side of one kind of stream."""
        return self.runtime.handler(decider)

    async def execute[C: Command, S, E: Event](
        self, decider: Decider[C, S, E], stream_id: UUID, command: C, *, answer: Mapping[str, Any], status: int = 201
    ) -> JSONResponse:
        """Carry out a command and answer: `answer` and the new version, ETag, Dinkop-Position.

        A repeat of an Idempotency-Key gets the first answer. Raises the decider's Rejection.
        """
        if first := await self.first_answer():
            return first
        with tracing.span(type(command).__name__):
            kept = {"status": status, "body": answer}
            order = Order(stream_id, command, self.metadata, self.expected, await self.key(), kept)
            appended = await self.handler(decider).handle(order)
        return self._answered(appended)

    def _answered(self, appended: Appended) -> JSONResponse:
        if appended.version == 0:
            return JSONResponse(appended.answer["body"], appended.answer["status"], appended.answer.get("headers"))
        return JSONResponse(
            {**appended.answer["body"], "version": appended.version},
            appended.answer["status"],
            {"ETag": f'"{appended.version}"', "Dinkop-Position": f"{self.runtime.service}:{appended.position}"},
        )

    async def first_answer(self) -> JSONResponse | None:
        """Return the first answer when this request repeats an idempotency key.

        Ask before anything that may have changed since then: a repeat is answered as the first time was.
        """
        key = await self.key()
        if key is None or self._is_first:
            return None
        first = await self.runtime.store.recall(key)
        self._is_first = first is None
        return self._answered(first) if first else None

    @asynccontextmanager
    async def view(self, projection: Projection[Any], at_least: Mapping[str, int] | None = None) -> AsyncIterator[View]:
        """Open a read model, at `at_least` or later. Raises NotCaughtUp after five seconds."""
        await self.caught_up(projection, at_least or {})
        async with self.runtime.read_models.view(projection) as view:
            yield view

    async def row[R: Row](
        self, projection: Projection[R], key: Hashable, at_least: Mapping[str, int] | None = None
    ) -> R | None:
        """Return one row of a read model, at `at_least` or later. Raises NotCaughtUp after five seconds."""
        await self.caught_up(projection, at_least or {})
        return await self.runtime.read_models.row(projection, key)

    async def caught_up(self, projection: Projection[Any], at_least: Mapping[str, int]) -> None:
        """Wait until a read model has reached these positions. Raises NotCaughtUp after five seconds."""
        wanted = {service: position for service, position in at_least.items() if service in projection.services}
        deadline = asyncio.get_running_loop().time() + PATIENCE
        told = True
        while wanted:
            # Before looking, so that a move while we look is not missed.
            move = self.runtime.next_move()
            have = self.runtime.positions.get(projection.name)
            if have is None or not told:
                # Another process may be the one that projects.
                have = await self.runtime.read_models.positions(projection)
            if _reached(have, wanted):
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise NotCaughtUp(positions=dict(have), wanted=wanted)
            told = await _set_within(move, min(left, 0.1))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _reached(have: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    return all(have.get(service, 0) >= position for service, position in wanted.items())


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if not match:
        raise Invalid("If-Match", 'must be a version as the ETag gave it, such as "3"')
    return int(match[1])


async def positions(
    request: Request,
    at_least: Annotated[
        str | None,
        Query(
            description="positions to wait for, as Dinkop-Position gives them: registry:123,rat:9",
            json_schema_extra=_written(f"{_POSITION}(,{_POSITION})*"),
        ),
    ] = None,
) -> Mapping[str, int]:
    """Read `at_least`. Raises Invalid when it isn't a list of service:number."""
    if at_least is None:
        return {}
    wanted: dict[str, int] = {}
    for part in at_least.split(","):
        match = _AT_LEAST.fullmatch(part.strip())
        if not match or match[1] not in request.app.state.runtime.known_services:
            raise Invalid("at_least", "must be positions such as registry:123,rat:9")
        wanted[match[1]] = max(wanted.get(match[1], 0), int(match[2]))
    return wanted


def in_loop[T](make: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    """Return `make` as a coroutine function with its signature.

    FastAPI hands any other dependency to a thread and waits for it, which costs more than these do.
    """

    async def made(**given: Any) -> T:
        return make(**given)

    made.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]
    return made


CallOf = Annotated[Call, Depends(in_loop(Call))]
AtLeast = Annotated[Mapping[str, int], Depends(positions)]
Limit = Annotated[int, Query(ge=1, le=500, description="items on a page")]


def cursor_after(key: str) -> str:
    """Return the opaque cursor of the page after `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


async def key_of_cursor(
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before")] = None,
) -> str | None:
    """Return the key a cursor stands for. Raises Invalid for one we did not make."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as unreadable:
        raise Invalid("cursor", "take it from next_cursor of the page before") from unreadable
    if not key.isprintable():
        raise Invalid("cursor", "take it from next_cursor of the page before")
    return key


Cursor = Annotated[str | None, Depends(key_of_cursor)]


def uuid_after(cursor: str | None) -> UUID | None:
    """Return the id after which a page starts. Raises Invalid for a cursor of another list."""
    try:
        return UUID(cursor) if cursor is not None else None
    except ValueError:
        raise Invalid("cursor", "take it from next_cursor of the page before") from None
