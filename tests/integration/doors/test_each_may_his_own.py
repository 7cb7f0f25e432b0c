"""What services and agencies are for, they can do through their doors: publish, follow, replay, consume."""

import asyncio

import pytest
from eventually import eventually
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.security import SASLPlaintext
from filling import publication
from guarded import PASSWORD, Guarded, agency

from chassis.engine.ports import LogMessage, PublicMessage
from chassis.messaging import connection
from chassis.messaging.ahead import Ahead
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.peeking import first_after
from chassis.messaging.public_log import JetStreamLog
from chassis.messaging.replay import LogUnreadable, replay
from chassis.messaging.samples import samples
from contracts.envelope import SERVICES, STREAM, Envelope
from dinkop.nats_accounts import DECLARED, Declared
from dinkop.replays import manifest

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize("service", SERVICES)
def test_the_doors_are_what_the_manifests_declare(service: str) -> None:
    declared = manifest(service)
    read = {source for projection in declared.projections for source in projection.services}
    reactions = {(f"{service}-{each.name}", each.event.service, each.event.type_name()) for each in declared.reactions}
    sources = {service, *read, *(source for _, source, _ in reactions)}
    assert DECLARED[service] == Declared(frozenset(sources), frozenset(reactions))


async def read(server: Guarded, user: str, *services: str, count: int) -> list[LogMessage]:
    seen: list[LogMessage] = []
    async with asyncio.timeout(10), connection.connect(server.address(user), "test") as broker:
        batches = JetStreamFeed(connection.client(broker)).follow(services, 0)
        async for batch in batches:
            seen += batch
            if len(seen) >= count:
                break
        await batches.aclose()
    return seen


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_follows_and_replays_what_it_declares(server: Guarded, service: str) -> None:
    sources = sorted(DECLARED[service].sources)
    followed = await read(server, service, *sources, count=10 * len(sources))
    assert {message.service for message in followed} == set(sources)
    address = server.address(service)
    replayed = [event async for batch in replay(address, STREAM, sources, 0, 10**9) for event in batch]
    assert [int(event[0]) for event in replayed] == [message.log_sequence for message in followed]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_looks_up_what_it_declares(server: Guarded, service: str) -> None:
    async with connection.connect(server.address(service), "test") as broker:
        client = connection.client(broker)
        sources = DECLARED[service].sources
        assert await Ahead(client).heads(sources) == dict.fromkeys(sources, 200)
        first = await first_after(client, 0, f"dinkop.v1.{service}.>")
        assert first is not None
        assert first.headers["ce-sequence"] == "20"
        found = [message.headers["ce-sequence"] async for message in samples(client, [(service, "Happened")])]
        assert found == ["20", "200"]
        assert await first_after(client, first.log_sequence + 9, f"dinkop.v1.{service}.>") is None


async def test_a_service_that_reads_one_cannot_replay_another(server: Guarded) -> None:
    with pytest.raises(LogUnreadable):
        async for _ in replay(server.address("registry"), STREAM, ("rat",), 0, 10**9, tries=1):
            pass


async def test_a_service_publishes_one_by_one_and_in_batches(server: Guarded) -> None:
    def message(number: int) -> PublicMessage:
        subject, headers, payload = publication(number, "registry", "Happened")
        return PublicMessage(subject, Envelope.from_headers(headers), payload, None)  # type: ignore[arg-type]

    async with connection.connect(server.address("registry"), "test") as broker:
        public_log = JetStreamLog(connection.client(broker))
        last = await public_log.last("registry")
        after_one = await public_log.publish("registry", [message(1001)], last)
        after_batch = await public_log.publish("registry", [message(n) for n in (1002, 1003, 1004)], after_one)
        assert await public_log.last("registry") == after_batch
        assert after_batch.log_sequence == after_one.log_sequence + 3
    assert (await read(server, "registry", "registry", count=14))[-1].headers.keys() >= {"ce-id", "ce-sequence"}


async def consumed(server: Guarded, name: str) -> list[str]:
    """Read an agency's events with nats-py alone, bound to its consumer; return their subjects."""
    async with server.signed_in(f"agency-{name}") as client:
        subscription = await client.jetstream().pull_subscribe_bind(agency(name).durable, STREAM)
        return [message.subject for message in await subscription.fetch(100, timeout=0.5)]


async def test_an_agency_reads_everything_or_its_kecamatan_with_nats_py(server: Guarded) -> None:
    async with server.signed_in("agency-kominfo") as client:
        everything = await client.jetstream().pull_subscribe("dinkop.v1.>", agency("kominfo").durable, STREAM)
        [first] = await everything.fetch(1, timeout=5)
        await first.ack_sync()
        assert (await everything.consumer_info()).ack_floor.stream_seq == 1
        messages = await everything.fetch(200, timeout=1)
        assert {message.subject.split(".")[2] for message in messages} == set(SERVICES)
        for message in messages:
            await message.nak()
    wagir = await consumed(server, "wagir")
    assert {subject.split(".")[4] for subject in wagir} == {"350721"} != set()


async def test_an_agency_reads_with_faststream_as_it_is(server: Guarded) -> None:
    security = SASLPlaintext("agency-kominfo", PASSWORD)
    broker = NatsBroker(server.server.url, security=security, inbox_prefix="_INBOX.agency-kominfo")
    seen: list[str] = []

    @broker.subscriber(
        "dinkop.v1.>",
        stream=JStream(STREAM, declare=False),
        durable=agency("kominfo").durable,
        pull_sub=PullSub(batch_size=10, timeout=1.0),
    )
    async def handle(body: dict[str, object], message: NatsMessage) -> None:
        seen.append(message.headers["ce-id"])

    async with broker:
        await broker.start()
        await eventually(lambda: len(seen) >= 20)
    assert len(set(seen)) == len(seen)
