"""What surrounds every request: size limits, correlation, trace, access log, metrics, headers, a last resort."""

import re
import time
from contextlib import AbstractContextManager, nullcontext

import structlog
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.definitions.clock import new_id
from chassis.http.problems import TooLarge, internal, problem
from chassis.http.security_headers import secured
from chassis.telemetry import metrics, tracing

log = structlog.get_logger()

JSON_LIMIT = 1_000_000
UPLOAD_LIMIT = 25_000_000
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SILENT = {"/livez", "/readyz", "/metrics"}


class Surroundings:
    """Pure ASGI middleware, so that it sees the body before anything parses it."""

    def __init__(self, app: ASGIApp) -> None:
        """Surround `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        given = headers.get("x-correlation-id", "")
        correlation_id = given if _CORRELATION.fullmatch(given) else str(new_id())
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        status = 500
        started = False

        limit = _Limit(headers, receive)

        async def answer(message: Message) -> None:
            nonlocal status, started
            if limit.exceeded:
                # Whatever the application made of a body that was cut off is not the answer.
                return
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                own = (b"x-correlation-id", correlation_id.encode())
                message["headers"] = secured(scope["path"], [*message["headers"], own])
                if scope["app"].state.stopping:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        begun = time.perf_counter()
        with (
            structlog.contextvars.bound_contextvars(correlation_id=correlation_id),
            _traced(scope, headers) as span,
        ):
            try:
                await self._app(scope, limit, answer)
            except TooLarge:
                pass
            except Exception as failed:
                if started:
                    raise
                await internal(failed)(scope, receive, answer)
            if limit.exceeded and not started:
                refusal = problem(413, "too-large", limit.refusal)
                limit.exceeded = False
                await refusal(scope, receive, answer)
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", "unknown")
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("dinkop.correlation_id", correlation_id)
            metrics.requests.labels(scope["method"], route, str(status)).observe(seconds)
            if scope["path"] not in _SILENT:
                log.info(
                    "http.answered",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round(seconds * 1000, 2),
                )


def _traced(scope: Scope, headers: dict[str, str]) -> AbstractContextManager[Span]:
    if scope["path"] in _SILENT:
        return nullcontext(INVALID_SPAN)
    return tracing.span(scope["method"], SpanKind.SERVER, headers)


class _Limit:
    """Hands a request's body on until it grows too large; a declared length is refused before it is read."""

    def __init__(self, headers: dict[str, str], receive: Receive) -> None:
        upload = headers.get("content-type", "").lower().startswith("multipart/")
        self._limit = UPLOAD_LIMIT if upload else JSON_LIMIT
        self._receive = receive
        declared = headers.get("content-length", "")
        self._taken = int(declared) if declared.isdigit() and int(declared) > self._limit else 0
        self.exceeded = False
        self.refusal = f"A {'file' if upload else 'JSON body'} may have at most {self._limit:,} bytes."

    async def __call__(self) -> Message:
        if self._taken <= self._limit:
            message = await self._receive()
            self._taken += len(message.get("body", b""))
            if self._taken <= self._limit:
                return message
        self.exceeded = True
        raise TooLarge(self.refusal)
