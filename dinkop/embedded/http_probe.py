"""A look at a loopback page, for readiness: an HTTP library would double the time the command takes to load."""

import asyncio
import http.client
from urllib.parse import urlsplit


async def page(url: str, seconds: float = 2.0) -> tuple[int, bytes]:
    """Return status and body of `url`, asked directly, never through a proxy; (0, the reason) without an answer."""
    return await asyncio.to_thread(_get, url, seconds)


def _get(url: str, seconds: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()
