"""The JetStream stream DINKOP: its configuration, and proof that what it acknowledges is on disk."""

import asyncio
from typing import TYPE_CHECKING

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from contracts.envelope import STREAM, SUBJECT_ROOT

if TYPE_CHECKING:
    import httpx


class NotDurable(Exception):
    """The NATS server acknowledges messages before they are on disk: set `sync_interval: always`."""


def configuration(replicas: int) -> StreamConfig:
    """Return the stream's configuration: everything kept for ever, nothing deletable, atomic batches allowed."""
    return StreamConfig(
        name=STREAM,
        description="Public events of the cooperative office, one gapless ce-sequence per service",
        subjects=[f"{SUBJECT_ROOT}.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        num_replicas=replicas,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
        allow_atomic=True,
    )


async def ensure(jetstream: JetStreamContext, replicas: int = 1) -> StreamInfo:
    """Return the stream, made if absent. Four services may call this at the same moment."""
    try:
        return await jetstream.stream_info(STREAM)
    except NotFoundError:
        return await jetstream.add_stream(configuration(replicas))


async def present(jetstream: JetStreamContext) -> bool:
    """Tell whether there is a stream."""
    try:
        await jetstream.stream_info(STREAM)
    except NotFoundError:
        return False
    return True


async def remove(jetstream: JetStreamContext) -> None:
    """Delete the stream, with every durable consumer on it; the relays make and fill it anew."""
    try:
        await jetstream.delete_stream(STREAM)
    except NotFoundError:
        pass


async def assert_durable(monitoring_urls: str) -> None:
    """Raise NotDurable unless every file write of the servers is synced before it is acknowledged.

    With the default, JetStream acknowledges first and syncs every two minutes; a power loss then takes
    back what it acknowledged. Of a cluster all servers are named, separated by commas: most of them must answer, for
    that many keep every message, and one that is down must not keep the others from going on. Raises the failure of one
    that doesn't answer when too few do.
    """
    import httpx  # late, for it brings a terminal's worth of libraries that a start need not wait for

    urls = [url.strip().rstrip("/") for url in monitoring_urls.split(",")]
    async with httpx.AsyncClient(timeout=5) as client:
        answers = await asyncio.gather(*(_syncs(client, url) for url in urls), return_exceptions=True)
    if lax := [url for url, answer in zip(urls, answers, strict=True) if answer is False]:
        raise NotDurable(
            f"JetStream of {', '.join(lax)} does not sync before it acknowledges: set `sync_interval: always` in the"
            " jetstream block of the NATS server's configuration and restart it. Nothing is published until then."
        )
    silent = [answer for answer in answers if isinstance(answer, BaseException)]
    if 2 * (len(urls) - len(silent)) <= len(urls):
        raise silent[0]


async def _syncs(client: "httpx.AsyncClient", url: str) -> bool:
    answer = await client.get(f"{url}/jsz")
    answer.raise_for_status()
    told = answer.json()
    if told.get("disabled"):
        raise ConnectionError(f"the NATS server at {url} runs without JetStream: was its disk full? Restart it")
    return bool(told.get("config", {}).get("sync_always"))
