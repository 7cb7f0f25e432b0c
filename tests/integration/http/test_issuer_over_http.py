"""An OpenID Connect provider as services meet it: found, followed as it rotates its keys, away, and back."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import issuing
import pytest
from joserfc.jwk import ECKey, Key

from chassis.http import issuer_keys
from chassis.http.identity import Identity, InvalidToken
from chassis.http.issuer_keys import IdentityUnavailable
from chassis.settings import Settings
from contracts.roles import OFFICER

NEXT = ECKey.generate_key("P-256", {"kid": "next"})


class Provider:
    """A provider on a port of its own, which goes away and comes back."""

    def __init__(self) -> None:
        self.keys: list[Key] = [issuing.KEY]
        self.asked: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self._port}/realms/malang"
        self.calls_itself = self.url

    def start(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                page = provider.page(self.path)
                self.send_response(404 if page is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(page).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def page(self, path: str) -> Any:
        return {
            "/realms/malang/.well-known/openid-configuration": {
                "issuer": self.calls_itself,
                "jwks_uri": f"{self.url}/certs",
            },
            "/realms/malang/certs": {"keys": [key.as_dict(private=False) for key in self.keys]},
        }.get(path)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider that is there; asked again without delay, as seconds later."""
    monkeypatch.setattr(issuer_keys, "ASK_AGAIN_SECONDS", 0.0)
    provider = Provider()
    yield provider
    provider.stop()


def identity(provider: Provider, **more: Any) -> Identity:
    """Return what a service that is told of this provider believes."""
    return Identity.of(Settings(database_url="", oidc_issuer=provider.url, **more))


@pytest.mark.parametrize(("issuer", "named"), [(None, "DINKOP_OIDC_ISSUER"), ("urn:office", "DINKOP_OIDC_JWKS")])
def test_a_service_that_is_not_told_whom_to_believe_does_not_start_and_says_what_to_set(
    issuer: str | None, named: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DINKOP_")}
    environment |= {"DINKOP_DATABASE_URL": "postgresql://nowhere"} | ({"DINKOP_OIDC_ISSUER": issuer} if issuer else {})
    words = [sys.executable, "-m", "services.registry"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{named}: needed")


async def test_a_providers_keys_are_found_from_its_name_alone(provider: Provider) -> None:
    caller = await identity(provider).caller(issuing.token(OFFICER, iss=provider.url))
    assert (caller.actor, caller.roles) == (issuing.ACTOR, {OFFICER})
    assert [path.rpartition("/")[2] for path in provider.asked] == ["openid-configuration", "certs"]


async def test_told_where_the_keys_are_the_provider_is_not_asked(provider: Provider) -> None:
    believing = identity(provider, oidc_jwks=f"{provider.url}/certs")
    for _ in range(3):
        assert await believing.caller(issuing.token(OFFICER, iss=provider.url))
    assert provider.asked == ["/realms/malang/certs"]


async def test_new_keys_are_believed_and_the_old_as_long_as_they_are_shown(provider: Provider) -> None:
    believing = identity(provider)
    old, new = (issuing.token(OFFICER, iss=provider.url, key=key) for key in (issuing.KEY, NEXT))
    assert await believing.caller(old)
    with pytest.raises(InvalidToken):
        await believing.caller(new)
    provider.keys.append(NEXT)
    assert await believing.caller(new)
    assert await believing.caller(old)
    provider.keys.remove(issuing.KEY)
    with pytest.raises(InvalidToken):  # which makes it look again
        await believing.caller(issuing.token(OFFICER, iss=provider.url, key=ECKey.generate_key("P-256", {"kid": "x"})))
    with pytest.raises(InvalidToken):
        await believing.caller(old)


async def test_while_the_provider_is_away_its_keys_stay_good(provider: Provider) -> None:
    believing = identity(provider)
    token = issuing.token(OFFICER, iss=provider.url)
    assert await believing.caller(token)
    provider.stop()
    with pytest.raises(InvalidToken):
        await believing.caller(issuing.token(OFFICER, iss=provider.url, key=NEXT))
    assert await believing.caller(token)


async def test_a_provider_that_comes_late_is_waited_for(provider: Provider) -> None:
    provider.stop()
    believing = identity(provider)
    token = issuing.token(OFFICER, iss=provider.url)
    for _ in range(2):
        with pytest.raises(IdentityUnavailable):
            await believing.caller(token)
    provider.start()
    assert await believing.caller(token)


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(provider: Provider) -> None:
    provider.calls_itself = "https://somebody-else.example"
    with pytest.raises(IdentityUnavailable):
        await identity(provider).caller(issuing.token(OFFICER, iss=provider.url))
    assert provider.asked == ["/realms/malang/.well-known/openid-configuration"]
