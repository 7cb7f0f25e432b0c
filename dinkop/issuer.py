"""The embedded issuer: signs tokens for one machine, with keys that lie in the home and that services are shown."""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chassis.definitions import clock
from chassis.storage.durable import sync_folder, write_private
from dinkop.home import SHOWN, Home
from dinkop.system import Failed, Misused, Unreachable

ISSUER = "urn:dinkop:embedded-issuer"
AUDIENCE = "dinkop"
ALGORITHM = "ES256"
LONGEST_TTL = 30 * 86_400
"""Seconds: for so long a token may be good, and so for so long a replaced key must still be shown."""
LEEWAY = 60
UNTIL = "dinkop_until"
"""Member of a replaced public key: the second since 1970 UTC after which no token of it can be good any more."""
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class EmbeddedIssuer:
    """The issuer of one home. Its folder is of mode 0700, its files of 0600.

    key.json   the private key that signs now; a key that it replaces is gone
    jwks.json  the public keys by which services check: its own, and those of keys whose tokens may still be good
    lock       held while either is changed

    Where DINKOP_SHOWN names a folder, jwks.json lies there: services elsewhere are given that folder alone.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, made on first use."""
        self.folder = folder
        self.jwks = Path(os.environ.get(SHOWN) or folder) / "jwks.json"
        self._key = folder / "key.json"

    @classmethod
    def of(cls, home: Home) -> "EmbeddedIssuer":
        """Return the issuer of a home. Raises Unreachable when there is no such home."""
        if not home.directory.is_dir():
            raise Unreachable(
                f"{home.directory} is no home of dinkop: start it with `dinkop up`, or name another with --home or"
                " DINKOP_HOME."
            )
        home.prepare()
        return cls(home.issuer)

    def ensure(self) -> None:
        """Make the first key, if there is none yet."""
        with self._held():
            self._make()

    def rotate(self, *, forget: bool = False) -> str:
        """Sign with a new key from now on; return its id.

        Tokens signed before stay good until they expire, unless they are to be forgotten: then none is good any more.
        """
        with self._held():
            return self._replace(forget=forget)

    def mint(self, roles: Sequence[str], sub: str, ttl: int, kecamatan_code: str | None = None) -> str:
        """Return a token of these roles, good for `ttl` seconds. Raises Misused for what no service would take."""
        if not 0 < ttl <= LONGEST_TTL:
            raise Misused(f"A token is good for 1 second to {LONGEST_TTL // 86_400} days: choose another --ttl.")
        # Loaded late, for most commands never come here.
        from joserfc import jwt
        from joserfc.jwk import ECKey

        from chassis.http.identity import LONGEST_NAME

        if not (0 < len(sub) <= LONGEST_NAME and sub.isprintable()):
            raise Misused(f"{sub!r} is no name for a bearer: --sub takes 1 to {LONGEST_NAME} printable characters.")
        with self._held():
            self._make()
            key = ECKey.import_key(_read(self._key))
        now = int(clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": sub,
            "iat": now,
            "exp": now + ttl,
            "jti": secrets.token_hex(8),
            "roles": list(roles),
        }
        if kecamatan_code is not None:
            claims["kecamatan_code"] = kecamatan_code
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])

    def shown(self) -> list[str]:
        """Return the ids of the keys by which services check tokens, the signing one first; made if there is none."""
        with self._held():
            self._make()
            return [str(each["kid"]) for each in self._shown()]

    def _make(self) -> None:
        if not (self._key.exists() and self.jwks.exists()):
            self._replace(forget=False)

    def _replace(self, *, forget: bool) -> str:
        from joserfc.jwk import ECKey

        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM, "kid": secrets.token_hex(8)})
        now = int(clock.now().timestamp())
        before = [] if forget else [{UNTIL: now + LONGEST_TTL + LEEWAY, **each} for each in self._shown()]
        good = [each for each in before if each[UNTIL] > now]
        # Shown before it signs, so that whoever meets a token of it finds its key; a crash leaves one too many.
        self._write(self.jwks, {"keys": [key.as_dict(private=False), *good]})
        self._write(self._key, key.as_dict(private=True))
        assert key.kid is not None
        return key.kid

    def _shown(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = _read(self.jwks)["keys"] if self.jwks.exists() else []
        return shown

    def _write(self, path: Path, content: Any) -> None:
        part = path.with_suffix(".new")
        write_private(part, json.dumps(content, indent=2).encode())
        part.replace(path)
        sync_folder(path.parent)

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def environment_of(home: Home) -> dict[str, str]:
    """Return what services are told of the issuer of a home."""
    return {
        "DINKOP_OIDC_ISSUER": ISSUER,
        "DINKOP_OIDC_AUDIENCE": AUDIENCE,
        "DINKOP_OIDC_JWKS": str(EmbeddedIssuer(home.issuer).jwks),
        "DINKOP_OIDC_ROLES_CLAIM": "roles",
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        raise Failed(f"{path} can't be read: `dinkop issuer rotate --now` makes new keys.") from None
    return found


def seconds_of(text: str) -> int:
    """Return how long 90s, 30m, 8h or 30d are. Raises Misused."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip().lower())
    if found is None:
        raise Misused(f"{text!r} is no time to live: say 90s, 30m, 8h or 30d.")
    return int(found[1]) * _UNITS[found[2]]
