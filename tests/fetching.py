"""A bare loop of nats-py's `fetch(1000)` over the stream: what whatever reads faster is measured against.

`python fetching.py <NATS URL> <messages>` prints how many it read a second, in a process of its own and on the loop
that asyncio brings, as a rebuild runs.
"""

import asyncio
import sys
import time

import nats as nats_py
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from contracts.envelope import STREAM


async def fetch_rate(client: Client, messages: int) -> float:
    """Return messages per second; reads at least so many, from the first on."""
    subscription = await client.jetstream().pull_subscribe(
        "dinkop.v1.>", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    )
    began, count = time.perf_counter(), 0
    while count < messages:
        count += len(await subscription.fetch(1_000))
    rate = count / (time.perf_counter() - began)
    await subscription.unsubscribe()
    return rate


async def main() -> None:
    """Read, and print the rate."""
    client = await nats_py.connect(sys.argv[1])
    print(await fetch_rate(client, int(sys.argv[2])))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
