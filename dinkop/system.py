"""The running system, as every command but `up` meets it: found through its home or as told, asked over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from contracts.roles import OPERATOR
from dinkop import elsewhere, nats_accounts
from dinkop.doors import Doors
from dinkop.home import Home, Running
from dinkop.tokens import OwnToken

if TYPE_CHECKING:
    from chassis.messaging.address import Address

PATIENCE = 5.0
"""Seconds that a service has to say where it stands."""


class Unreachable(Exception):
    """Something a command needs can't be reached; the text says what, and what to do."""


class Failed(Exception):
    """A check failed, or a service refused; the text says why."""


class Misused(Exception):
    """The command line asks for something there is not; the text lists what there is."""


@dataclass(frozen=True, slots=True)
class System:
    """A running system; `here` is whether on this machine and by this home, or on servers of its own."""

    home: Home
    running: Running
    here: bool = True

    @classmethod
    def find(cls, home: Path | None) -> "System":
        """Return the system that DINKOP_SERVICES names, or that runs on a home.

        Raises Unreachable when none does, Misused when the variables can't be right.
        """
        chosen = Home.choose(home)
        try:
            if told := elsewhere.told():
                return cls(chosen, told, here=False)
        except elsewhere.NotTold as wrong:
            raise Misused(str(wrong)) from None
        running = chosen.running()
        if running is None:
            raise Unreachable(
                f"dinkop is not running on {chosen.directory}. Start it with `dinkop up`, or name its home with"
                " --home or DINKOP_HOME."
            )
        return cls(chosen, running)

    def must_be_here(self, instead: str) -> None:
        """Raise Misused, saying what to do `instead`, for what only `dinkop up` makes possible."""
        if not self.here:
            raise Misused(f"This system runs on servers of its own ({elsewhere.VARIABLE} is set). {instead}")

    def database_url(self, service: str) -> str:
        """Return where a service's store is, for commands that read it themselves. Raises Unreachable."""
        url = self.running.databases.get(service)
        if url is None:
            raise Unreachable(
                f"Nothing says where the database of {service} is: give this command the secret"
                f" dinkop_{service}_database_url, or run it where the system runs."
            )
        return url

    def token(self, role: str) -> httpx.Auth:
        """Return what makes a request that of this account, in a role: for the services, and nobody else."""
        return OwnToken(self.home, [role])

    @property
    def nats(self) -> "Address":
        """Return where NATS is, and how dinkop's own commands sign in."""
        from chassis.messaging.address import Address  # late: most commands have no use for it

        if not self.here:
            if not self.running.nats_url:
                raise Unreachable(f"Nothing says where NATS is: set {elsewhere.NATS}, or give the secret of that name.")
            return Address.parse(self.running.nats_url, **elsewhere.tls())
        return Address.parse(Doors(self.home.doors).url(nats_accounts.OPERATOR, self.running.nats_url))

    @asynccontextmanager
    async def client(self, role: str | None, timeout: float = 30.0) -> AsyncIterator[httpx.AsyncClient]:
        """Open an HTTP client, of the services in a role, whose connection errors come out as Unreachable."""
        async with httpx.AsyncClient(auth=self.token(role) if role else None, timeout=timeout) as client:
            try:
                yield client
            except httpx.TransportError as error:
                url = error.request.url if error._request else "the system"
                raise Unreachable(f"{url} does not answer ({error!r}): see `dinkop doctor`.") from error

    async def status(self) -> dict[str, Any]:
        """Return services, stream and projections; what does not answer is shown as such."""
        async with (
            httpx.AsyncClient(auth=self.token(OPERATOR), timeout=PATIENCE) as client,
            httpx.AsyncClient(timeout=PATIENCE) as without_token,
        ):
            told, stream = await asyncio.gather(
                asyncio.gather(*(self._service(client, name, url) for name, url in self.running.services.items())),
                _stream(without_token, self.running.monitoring_urls),
            )
        projections = [item for _, items in told for item in items]
        return {"services": [service for service, _ in told], "stream": stream, "projections": projections}

    async def _service(
        self, client: httpx.AsyncClient, name: str, url: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what a service tells of itself; of several replicas, what the one tells that leads."""
        if self.here:
            return await _service(client, name, url)
        told = await asyncio.gather(*(_service(client, name, url, at) for at in await _replicas(url)))
        return max(told, key=lambda each: (each[0]["ready"], each[0].get("leading", False)))

    async def rebuilds(self) -> list[dict[str, Any]]:
        """Return what was last rebuilt, checked and put back, latest first. Raises Unreachable or Failed."""
        found: list[dict[str, Any]] = []
        async with self.client(OPERATOR) as client:
            for name, url in self.running.services.items():
                answer = explained(await client.get(f"{url}/v1/operations/rebuilds"))
                found += [{**item, "projection": f"{name}.{item['projection']}"} for item in answer["items"]]
        return sorted(found, key=lambda item: str(item["begun_at"]), reverse=True)

    async def switch(self, service: str, projection: str, action: str) -> dict[str, Any]:
        """Pause or resume (`action`) a projection. Raises Unreachable or Failed."""
        url = f"{self.running.services[service]}/v1/operations/projections/{projection}/{action}"
        async with self.client(OPERATOR) as client:
            return explained(await client.post(url))


_PARTS = ("leading", "store", "relay", "writes", "reconciled", "parked_reactions")


async def _replicas(url: str) -> list[str]:
    """Return the URL at each address that its host has: a name of several replicas has as many."""
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return [url]
    hosts = {f"[{host}]" if ":" in str(host) else str(host) for *_, (host, *_) in found}
    if parts.scheme != "http" or len(hosts) < 2:  # a certificate is for a name
        return [url]
    return [parts._replace(netloc=f"{host}:{parts.port or 80}").geturl() for host in sorted(hosts)]


async def _service(
    client: httpx.AsyncClient, name: str, url: str, at: str = ""
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what one service, or its replica `at` another URL, tells of itself, and its projections."""
    try:
        answer = explained(await client.get(f"{at or url}/v1/projections"))
    except httpx.TimeoutException:
        problem = f"no answer within {PATIENCE:.0f} s"
    except (httpx.HTTPError, Failed) as error:
        problem = str(error) or repr(error)
    else:
        told = {part: answer[part] for part in _PARTS}
        return {"name": name, "url": url, "ready": True, **told}, answer["items"]
    return {"name": name, "url": url, "ready": False, "error": problem}, []


async def _stream(client: httpx.AsyncClient, monitoring_urls: Sequence[str]) -> dict[str, Any]:
    """Return how much the stream holds, as the server says that has most, and which servers don't answer."""
    silent: list[str] = []

    async def ask(url: str) -> Any:
        try:
            return (await client.get(f"{url}/jsz")).raise_for_status().json()
        except httpx.HTTPError as error:
            silent.append(f"{url} does not answer: {error!r}")
            return None

    pages = [page for page in await asyncio.gather(*map(ask, monitoring_urls)) if page is not None]
    told: dict[str, Any] = {"error": "; ".join(sorted(silent))} if silent else {}
    if not pages:
        return {"reachable": False, **told}
    page = max(pages, key=lambda page: page.get("messages") or 0)
    return {"messages": page.get("messages"), "bytes": page.get("bytes"), "reachable": True, **told}


def explained(answer: httpx.Response) -> dict[str, Any]:
    """Return a service's answer. Raises Failed with the problem's own words."""
    if answer.is_success:
        body: dict[str, Any] = answer.json()
        return body
    try:
        problem = answer.json()
        detail = f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:500]
    raise Failed(f"{answer.request.method} {answer.request.url.path} was refused ({answer.status_code}). {detail}")
