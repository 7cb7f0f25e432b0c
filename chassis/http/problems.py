"""Refusals as RFC 9457 problem documents: one place where an exception becomes a status."""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from chassis.definitions.decider import Invalid, Rejection
from chassis.engine.gate import NotAccepting
from chassis.engine.handling import NothingDecided
from chassis.engine.ports import AlreadyClaimed, KeyReused, WrongVersion
from chassis.http.admission import tell
from chassis.http.refusals import Refusal
from chassis.storage.database import away

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
# Location parts that FastAPI puts before the caller's own field names.
_PLACES = {"body", "query", "path", "header", "cookie"}


_UNREADABLE = "The body is not JSON in UTF-8, or nests too deep"


class TooLarge(Exception):
    """The request is larger than this service takes."""


class ProblemResponse(JSONResponse):
    """A problem document; it may quote the caller, so what can't be written in UTF-8 becomes a question mark."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the document as JSON."""
        text = json.dumps(jsonable_encoder(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def problem(
    status: int,
    slug: str,
    detail: str,
    *,
    title: str | None = None,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> JSONResponse:
    """Return a problem document. Every 422 carries `errors: [{field, problem}]`."""
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": title or slug.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **facts,
    }
    if errors is not None or status == HTTPStatus.UNPROCESSABLE_ENTITY:
        body["errors"] = list(errors or [{"field": "", "problem": detail}])
    return ProblemResponse(body, status, dict(headers or {}))


def install(
    app: FastAPI, unreachable: tuple[type[Exception], ...], methods_of: Callable[[str], frozenset[str]]
) -> None:
    """Make the application answer every refusal and failure with a problem document.

    `unreachable` are the failures of a database that is away; `methods_of` the methods that a path has.
    """

    def allow(request: Request, status: int) -> dict[str, str]:
        """Return the header that every 405 must carry."""
        if status != HTTPStatus.METHOD_NOT_ALLOWED:
            return {}
        return {"Allow": ", ".join(sorted(methods_of(request.url.path) - {request.method}))}

    @app.exception_handler(Rejection)
    async def rejected(request: Request, refused: Rejection) -> JSONResponse:
        errors = [{"field": refused.field, "problem": refused.detail}] if isinstance(refused, Invalid) else None
        return problem(
            refused.status,
            refused.slug,
            refused.detail,
            title=refused.rule().rstrip("."),
            errors=errors,
            headers=allow(request, refused.status),
            **refused.facts,
        )

    @app.exception_handler(Refusal)
    async def turned_away(request: Request, refused: Refusal) -> JSONResponse:
        tell(request, refused)
        title = refused.rule().rstrip(".")
        return problem(refused.status, refused.slug, refused.detail, title=title, headers=refused.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, refused: RequestValidationError) -> JSONResponse:
        errors = _explained_once(refused.errors())
        detail = "; ".join(f"{e['field']}: {e['problem']}" if e["field"] else e["problem"] for e in errors[:5])
        return problem(422, "invalid", detail, title="The request is not valid", errors=errors)

    @app.exception_handler(HTTPException)
    async def http(request: Request, refused: HTTPException) -> JSONResponse:
        if isinstance(refused.__cause__, ValueError | RecursionError):
            # FastAPI says 400 of JSON that Python can't take in, and 422 of JSON that is none.
            return await invalid(request, RequestValidationError([{"loc": ("body",), "msg": _UNREADABLE, "type": ""}]))
        slug = HTTPStatus(refused.status_code).phrase.lower().replace(" ", "-")
        headers = {**(refused.headers or {}), **allow(request, refused.status_code)}
        return problem(refused.status_code, slug, str(refused.detail), headers=headers)

    @app.exception_handler(AlreadyClaimed)
    async def claimed(request: Request, refused: AlreadyClaimed) -> JSONResponse:
        return problem(409, "already-claimed", str(refused), holder=str(refused.holder))

    @app.exception_handler(NothingDecided)
    async def nothing(request: Request, refused: NothingDecided) -> JSONResponse:
        return problem(409, "nothing-to-do", "This is so already; nothing was recorded.")

    @app.exception_handler(KeyReused)
    async def reused(request: Request, refused: KeyReused) -> JSONResponse:
        detail = "This Idempotency-Key was used before with another request; take a new one."
        return problem(422, "idempotency-key-reused", detail, errors=[{"field": "Idempotency-Key", "problem": detail}])

    @app.exception_handler(WrongVersion)
    async def contended(request: Request, refused: WrongVersion) -> JSONResponse:
        return problem(409, "contended", "Others are changing this at the same moment; try again.")

    @app.exception_handler(NotAccepting)
    async def closed(request: Request, refused: NotAccepting) -> JSONResponse:
        return problem(
            503, refused.slug, str(refused), title="Commands are not accepted now", headers={"Retry-After": "2"}
        )

    async def unavailable(request: Request, failed: Exception) -> JSONResponse:
        if not away(failed):
            raise failed
        log.warning("http.unavailable", error=repr(failed))
        return problem(503, "unavailable", "The database can't be reached right now.", headers={"Retry-After": "2"})

    for error in unreachable:
        app.add_exception_handler(error, unavailable)


def internal(failed: Exception) -> JSONResponse:
    """Return the answer to a failure that is ours; what failed is in the log, not in the answer."""
    log.error("http.failed", exc_info=failed)
    return problem(500, "internal-error", "Something failed here. It is logged under the correlation id.")


def _explained_once(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return each problem once: what a route takes, what keeps a camat within it may take too."""
    explained: list[dict[str, str]] = []
    for error in errors:
        if (each := _explained(error)) not in explained:
            explained.append(each)
    return explained


def _explained(error: Mapping[str, Any]) -> dict[str, str]:
    if error["type"] == "json_invalid":
        # Its location is the place in the text, not a field.
        return {"field": "", "problem": f"The body is not JSON, from character {error['loc'][-1]} on"}
    if error["loc"] == ("body",) and isinstance(error.get("input"), bytes):
        return {"field": "", "problem": "The body must be JSON, sent with Content-Type: application/json"}
    if str(error["msg"]).startswith("Expected UploadFile"):
        return {"field": _field(error["loc"]), "problem": "must be a file"}
    # Pydantic says this before what our own validators raise.
    return {"field": _field(error["loc"]), "problem": str(error["msg"]).removeprefix("Value error, ")}


def _field(location: Sequence[str | int]) -> str:
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if parts and parts[0] in _PLACES else parts)
