"""Refusals at the door: who may not come in, and why. Each is logged, and may tell the caller more in headers."""

from collections.abc import Mapping

from chassis.definitions.decider import Rejection


class Refusal(Rejection):
    """This caller may not do this."""

    status = 403

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        """Say why; `headers` go with the answer."""
        super().__init__(detail)
        self.headers: Mapping[str, str] = headers or {}


class Unauthenticated(Refusal):
    """Say who you are: send a token of the issuer as Authorization: Bearer."""

    status = 401

    def __init__(self, detail: str = "", *, given: bool = False) -> None:
        """Ask for a token; `given` when one was sent that is no good (RFC 6750, section 3)."""
        challenge = 'Bearer realm="dinkop"' + (', error="invalid_token"' if given else "")
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(Refusal):
    """This caller may not do this."""
