"""What every answer tells browsers not to do with it, unless its route says otherwise."""

from collections.abc import Iterable

type Headers = Iterable[tuple[bytes, bytes]]

CONTENT_SECURITY_POLICY = b"content-security-policy"
_NOTHING = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# What FastAPI's page for the OpenAPI document loads and runs.
_DOCS = (
    b"default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net;"
    b" style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com;"
    b" connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
STYLED_PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The policy of a page whose style stands within it, and that needs nothing else."""
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # An answer is for who asked with a token, and for now; what may be kept, its route says.
    (b"cache-control", b"no-store"),
)


def secured(path: str, given: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that it lacks."""
    headers = list(given)
    names = {name.lower() for name, _ in headers}
    policy = (CONTENT_SECURITY_POLICY, _DOCS if path == "/docs" else _NOTHING)
    return headers + [header for header in (*_ALWAYS, policy) if header[0] not in names]
