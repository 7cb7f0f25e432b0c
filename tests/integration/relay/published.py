"""What stands on the stream, read back with nats-py alone."""

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from chassis.engine.ports import EventStore
from contracts.envelope import STREAM


async def on_stream(client: Client) -> list[Msg]:
    """Return all messages of the stream, first to last."""
    jetstream = client.jetstream()
    last = (await jetstream.stream_info(STREAM)).state.last_seq
    subscription = await jetstream.pull_subscribe(
        "dinkop.v1.>", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
    )
    messages: list[Msg] = []
    while not messages or messages[-1].metadata.sequence.stream < last:
        if not last:
            break
        messages += await subscription.fetch(1000, timeout=5)
    await subscription.unsubscribe()
    return messages


async def published(client: Client) -> int:
    """Return the number of messages on the stream."""
    return int((await client.jetstream().stream_info(STREAM)).state.messages)


async def assert_everything_is_published_once(client: Client, store: EventStore) -> None:
    """The stream holds every event of the store, once, in order, and nothing else."""
    events, messages = await store.read(0, 1_000_000), await on_stream(client)
    assert [int((m.headers or {})["ce-sequence"]) for m in messages] == list(range(1, len(events) + 1))
    assert [(m.headers or {})["ce-id"] for m in messages] == [str(event.id) for event in events]
    assert len(messages) == await published(client)
