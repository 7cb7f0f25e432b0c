"""An issuer of tokens for tests: its keys in a file, what services are told of it, and tokens as a test wants them."""

import atexit
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key

from chassis.http.admission import Door
from chassis.http.identity import Identity
from chassis.http.limits import Limits
from chassis.settings import Settings
from contracts import roles

ISSUER = "https://issuer.example"
AUDIENCE = "dinkop"
ACTOR = "siti"
KEY = ECKey.generate_key("P-256", {"kid": "of-tests", "use": "sig"})
_folder = Path(tempfile.mkdtemp(prefix="di-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
JWKS = _folder / "jwks.json"
JWKS.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))

SETTINGS: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_jwks": str(JWKS)}
"""What a service must be told to believe these tokens."""
ENVIRONMENT = {f"DINKOP_{name.upper()}": value for name, value in SETTINGS.items()}


def claims(*of: str, **different: Any) -> dict[str, Any]:
    """Return what a token of these roles says, good for an hour, but for what is different; None leaves it out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": ACTOR, "iat": now, "exp": now + 3600, "roles": list(of)} | different
    return {name: value for name, value in said.items() if value is not None}


def token(*of: str, key: Key = KEY, algorithm: str = "ES256", **different: Any) -> str:
    """Return a token of these roles, signed."""
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, claims(*of, **different), key, algorithms=[algorithm])


def bearer(*of: str, **different: Any) -> dict[str, str]:
    """Return the header that carries a token of these roles."""
    return {"Authorization": f"Bearer {token(*of, **different)}"}


def everything() -> dict[str, str]:
    """Return the header of one who may call every route, and is confined nowhere."""
    return bearer(roles.OFFICER, roles.MENTOR, roles.HEAD, roles.OPERATOR)


def door() -> Door:
    """Return what believes these tokens, for a service that is put together by a test."""
    return Door(Identity.of(Settings(database_url="", **SETTINGS)), Limits(1_000, 1_000))
