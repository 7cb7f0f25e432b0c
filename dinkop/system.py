"""The running system, as every command but `up` meets it: found through its home, asked over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dinkop.home import Home, Running


class Unreachable(Exception):
    """Something a command needs can't be reached; the text says what, and what to do."""


class Failed(Exception):
    """A check failed, or a service refused; the text says why."""


class Misused(Exception):
    """The command line asks for something there is not; the text lists what there is."""


@dataclass(frozen=True, slots=True)
class System:
    """A running system."""

    home: Home
    running: Running

    @classmethod
    def find(cls, home: Path | None) -> "System":
        """Return the system that runs on a home. Raises Unreachable when none does."""
        chosen = Home.choose(home)
        running = chosen.running()
        if running is None:
            raise Unreachable(
                f"dinkop is not running on {chosen.directory}. Start it with `dinkop up`, or name its home with"
                " --home or DINKOP_HOME."
            )
        return cls(chosen, running)

    @asynccontextmanager
    async def client(self, timeout: float = 30.0) -> AsyncIterator[httpx.AsyncClient]:
        """Open an HTTP client whose connection errors come out as Unreachable."""
        async with httpx.AsyncClient(timeout=timeout) as client:
            try:
                yield client
            except httpx.TransportError as error:
                url = error.request.url if error._request else "the system"
                raise Unreachable(f"{url} does not answer ({error!r}): see `dinkop doctor`.") from error

    async def status(self) -> dict[str, Any]:
        """Return services, stream and projections; a service that does not answer is shown as such."""
        services: list[dict[str, Any]] = []
        projections: list[dict[str, Any]] = []
        async with httpx.AsyncClient(timeout=5.0) as client:
            for name, url in self.running.services.items():
                try:
                    answer = (await client.get(f"{url}/v1/projections")).raise_for_status().json()
                except httpx.HTTPError as error:
                    services.append({"name": name, "url": url, "ready": False, "error": repr(error)})
                    continue
                projections.extend(answer["items"])
                services.append(
                    {"name": name, "url": url, "ready": True, "store": answer["store"], "relay": answer["relay"]}
                )
            try:
                page = (await client.get(f"{self.running.monitoring_url}/jsz")).raise_for_status().json()
                stream = {"messages": page.get("messages"), "bytes": page.get("bytes"), "reachable": True}
            except httpx.HTTPError as error:
                stream = {"reachable": False, "error": repr(error)}
        return {"services": services, "stream": stream, "projections": projections}


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
