"""Where NATS is and how to sign in there: servers, a user, and what TLS needs."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from chassis.settings import Settings

DEFAULT_PORT = 4222
_SCHEMES = ("nats", "tls")


@dataclass(frozen=True)
class Address:
    """One NATS server or the servers of one cluster, and who signs in. Printed, it tells nothing secret.

    `servers` carry no user and no password. `ca` are the authorities that may vouch for the servers, in place of the
    system's; `certificate` and `key` are the client's own, where the servers ask for them.
    """

    servers: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(
        cls, urls: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
    ) -> Self:
        """Read `nats://[user:password@]host[:port]`, or `tls://…`; several, separated by commas, have one user.

        What URLs can't hold in user and password is percent-encoded. Raises ValueError, which names no password.
        """
        servers: list[str] = []
        users: set[tuple[str, str]] = set()
        for url in urls.split(","):
            parts = urlsplit(url.strip())
            if parts.scheme not in _SCHEMES or not parts.hostname:
                raise ValueError(f"a NATS address is nats://host:port or tls://host:port, not {_shown(parts)!r}")
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            servers.append(f"{parts.scheme}://{host}:{parts.port or DEFAULT_PORT}")
            if parts.username:
                users.add((unquote(parts.username), unquote(parts.password or "")))
        if len(users) > 1:
            raise ValueError("all servers of a NATS cluster know the same user: give them one, or name it once")
        user, password = users.pop() if users else ("", "")
        return cls(tuple(servers), user, password, ca, certificate, key)

    @classmethod
    def of(cls, where: "Settings | Address | str") -> "Address":
        """Return the address that a service's settings name, or a URL."""
        if isinstance(where, Address):
            return where
        if isinstance(where, str):
            return cls.parse(where)
        return cls.parse(where.nats_url, ca=where.nats_ca, certificate=where.nats_certificate, key=where.nats_key)

    @property
    def owner(self) -> str:
        """Return whose consumers these are (messaging.pulling)."""
        return self.user or ANYBODY

    @property
    def inbox_prefix(self) -> str:
        """Return what the subjects begin with at which answers arrive: a user's own, so that nobody else hears them."""
        return f"_INBOX.{self.user}" if self.user else "_INBOX"

    @property
    def secure(self) -> bool:
        """Whether connections are encrypted, or not made."""
        return bool(self.ca or self.certificate) or any(server.startswith("tls:") for server in self.servers)

    def tls[C: ssl.SSLContext](self, kind: type[C] = ssl.SSLContext) -> C | None:  # type: ignore[assignment]
        """Return how to encrypt; None for plain connections. Raises OSError (ssl.SSLError) for unusable files."""
        if not self.secure:
            return None
        context = kind(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
        if self.ca:
            context.load_verify_locations(self.ca)
        else:
            context.load_default_certs()
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context

    def __str__(self) -> str:
        """Return the servers, without a user."""
        return ",".join(self.servers)


ANYBODY = "reader"
"""The owner of consumers where nobody signs in."""

type Where = Settings | Address | str


def _shown(parts: SplitResult) -> str:
    """Return a URL without user and password."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
