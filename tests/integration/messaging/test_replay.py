"""The fast replay reads the same as the live feed, whatever stands on the stream and whatever happens."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import nats as nats_py
import pytest
from eventually import eventually
from filling import Publication, fill, publication, publications
from nats.aio.client import Client
from nats.js.api import ConsumerConfig
from servers import Nats, free_ports

from chassis.engine.ports import LogReplaced, Replayed
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.replay import LogUnreadable, replay, written_out
from contracts.envelope import STREAM, Envelope, MalformedEnvelope
from dinkop.embedded.nats import find_server
from dinkop.processes import end, spawn

FAR = 10**9


async def replayed(nats: Nats, *services: str, after: int = 0, until: int = FAR) -> list[Replayed]:
    return [event async for batch in replay(nats.url, STREAM, services, after, until) for event in batch]


async def followed(client: Client, *services: str, after: int = 0, until: int) -> list[Replayed]:
    """What the live feed delivers, in the replay's form, up to the log sequence `until` or until it is idle."""
    events: list[Replayed] = []
    async with aclosing(JetStreamFeed(client).follow(services, after)) as batches:
        async for batch in batches:
            if not batch:
                break
            for message in batch:
                if message.log_sequence > until:
                    return events
                envelope = Envelope.from_headers(message.headers)
                kind = f"{message.service}.{message.type}".encode()
                events.append(written_out(message.log_sequence, kind, envelope, message.data))
    return events


def odd(number: int) -> Publication:
    """An event that says the same in other words."""
    subject, headers, payload = publication(number)
    match number % 10:
        case 0:
            headers = dict(reversed(headers.items()))
        case 1:
            headers = {"X-Before": "HMSG", **headers, "X-After": "ce-sequence: 7"}
        case 2:
            headers["ce-id"] = headers["ce-id"].upper()
        case 3:
            headers["ce-time"] = "2024-11-14T10:00:00.1+07:00"
        case 4:
            headers["CE-Sequence"] = "999999"
            headers["ce-unheardof"] = "ß"
        case 5:
            payload = b'\r\nHMSG dinkop.v1.rat.RATHeld.350701 2 $JS.ACK.D.c.1.1.1.1.1 12 12\r\nNATS/1.0\r\n\r\n"\xff'
        case 6:
            payload = b"{" + b" " * 300_000 + b"}"
        case 7:
            headers["ce-type"] = headers["ce-type"].replace(".v1", ".v2")
        case 8:
            headers["ce-sequence"] = "00" + headers["ce-sequence"]
            headers["ce-subject"] = headers["ce-subject"].upper()
        case _:
            payload = b""
            headers["ce-sequence "] = "77"
    return subject, headers, payload


async def test_it_reads_the_same_as_the_live_feed(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(12_345))
    events = await replayed(nats)
    assert [int(event[0]) for event in events] == list(range(1, 12_346))
    assert events == await followed(public_stream, until=12_345)


async def test_it_reads_headers_in_any_order_and_manner_as_the_live_feed_does(
    nats: Nats, public_stream: Client
) -> None:
    # All of one subject, each odd one after a usual one: what the usual ones look like is expected of all.
    events_in_turn = [odd(number) if number % 2 else publication(number) for number in range(1, 121)]
    events_in_turn += [publication(number * 11) if number % 3 else odd(number * 11) for number in range(11, 41)]
    await fill(public_stream, [("dinkop.v1.rat.RATHeld.350721", *event[1:]) for event in events_in_turn])
    events = await replayed(nats)
    assert len(events) == 150
    assert events == await followed(public_stream, until=150)


@pytest.mark.parametrize("services", [("rat",), ("registry", "rat"), ("mentoring",), ("nobody",), ("rat", "nobody")])
async def test_services_that_are_not_wanted_are_passed_over(
    nats: Nats, public_stream: Client, services: tuple[str, ...]
) -> None:
    await fill(public_stream, publications(3_000))
    events = await replayed(nats, *services)
    assert {event[1].partition(b".")[0].decode() for event in events} == {*services} - {"nobody"}
    assert events == await followed(public_stream, *services, until=3_000)


@pytest.mark.parametrize(
    ("after", "until"), [(0, 2_500), (1_234, 2_345), (1_234, 1_235), (2_999, FAR), (3_000, FAR), (7, 7)]
)
async def test_it_begins_and_ends_where_it_is_told(nats: Nats, public_stream: Client, after: int, until: int) -> None:
    await fill(public_stream, publications(3_000))
    places = [int(event[0]) for event in await replayed(nats, after=after, until=until)]
    assert places == list(range(after + 1, min(until, 3_000) + 1))


async def test_an_empty_stream_is_read_at_once(nats: Nats, public_stream: Client) -> None:
    assert await replayed(nats) == []


async def test_a_server_killed_in_the_middle_costs_no_event_and_repeats_none(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(30_000))
    places: list[int] = []
    async with aclosing(replay(nats.url, STREAM, (), 0, FAR)) as batches:
        async for batch in batches:
            if not places:
                await nats.kill()
                starting = asyncio.create_task(nats.start())
            places += [int(event[0]) for event in batch]
    await starting
    assert places == list(range(1, 30_001))


async def test_a_consumer_that_the_server_forgets_is_made_anew(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(30_000))
    places: list[int] = []
    jetstream = public_stream.jetstream()
    async with aclosing(replay(nats.url, STREAM, (), 0, FAR)) as batches:
        async for batch in batches:
            if not places:
                [consumer] = await jetstream.consumers_info(STREAM)
                await jetstream.delete_consumer(STREAM, consumer.name)
            places += [int(event[0]) for event in batch]
    assert places == list(range(1, 30_001))


async def test_it_leaves_no_consumer_behind(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(20_000))
    await replayed(nats)
    async with aclosing(replay(nats.url, STREAM, (), 0, FAR)) as batches:
        async for _ in batches:
            break
    await eventually(lambda: _no_consumers(public_stream), 5)


async def _no_consumers(client: Client) -> bool:
    return await client.jetstream().consumers_info(STREAM) == []


async def test_a_server_that_stays_away_is_named_with_how_far_the_stream_was_read() -> None:
    [port] = free_ports(1)
    with pytest.raises(LogUnreadable, match=r"DINKOP was read up to 12 of 40; then 3 attempts failed.*Connect"):
        async for _ in replay(f"nats://127.0.0.1:{port}", STREAM, (), 12, 40, tries=3):
            pass


async def test_another_incarnation_of_the_stream_is_refused(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(10))
    with pytest.raises(LogReplaced):
        async for _ in replay(nats.url, STREAM, (), 0, FAR, identity="2020-01-01T00:00:00Z"):
            pass
    with pytest.raises(LogReplaced):
        await replayed(nats, after=11)


async def test_a_message_that_is_no_event_fails_the_replay_naming_its_place(nats: Nats, public_stream: Client) -> None:
    subject, headers, payload = publication(2)
    del headers["ce-subject"]
    await fill(public_stream, [publication(1), (subject, headers, payload), publication(3)])
    with pytest.raises(MalformedEnvelope, match=r"log sequence 2 \(rat.RATHeld\): .*ce-subject"):
        await replayed(nats)
    assert await replayed(nats, "registry") == []


@pytest.mark.parametrize(
    ("name", "ours", "another"),
    [("ce-type", "id.go", "id-go"), ("ce-subject", "-", "-x"), ("ce-time", "2024", "24"), ("ce-sequence", "3", "x")],
)
async def test_a_broken_header_after_usual_ones_is_seen(
    nats: Nats, public_stream: Client, name: str, ours: str, another: str
) -> None:
    _, headers, payload = publication(3)
    headers[name] = headers[name].replace(ours, another)
    broken = ("dinkop.v1.rat.RATHeld.350702", headers, payload)
    await fill(public_stream, [publication(1), publication(34), broken])
    with pytest.raises(MalformedEnvelope, match="log sequence 3"):
        await replayed(nats)


async def test_holes_in_the_stream_are_no_loss(nats: Nats, nats_client: Client) -> None:
    jetstream = nats_client.jetstream()
    await jetstream.add_stream(name=STREAM, subjects=["dinkop.v1.>"], allow_atomic=True)
    await fill(nats_client, publications(100))
    for place in (1, 2, 50, 77):
        await jetstream.delete_msg(STREAM, place)
    assert [int(event[0]) for event in await replayed(nats)] == [n for n in range(1, 101) if n not in (1, 2, 50, 77)]
    assert [int(event[0]) for event in await replayed(nats, until=50)] == list(range(3, 50))


async def test_it_signs_in_with_user_and_password(tmp_path: Path) -> None:
    [port] = free_ports(1)
    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{tmp_path}" }}\n'
        'authorization { user: "reader", password: "p@ss:word" }\n'
    )
    server = spawn([find_server(), "-c", configuration], log=tmp_path / "nats.log", directory=tmp_path)
    try:
        url = f"nats://reader:p%40ss%3Aword@127.0.0.1:{port}"

        async def connected() -> Client:
            return await nats_py.connect(
                f"nats://127.0.0.1:{port}", user="reader", password="p@ss:word", allow_reconnect=False
            )

        client = await eventually(connected)
        await client.jetstream().add_stream(name=STREAM, subjects=["dinkop.v1.>"], allow_atomic=True)
        await fill(client, publications(10))
        assert len([event async for batch in replay(url, STREAM, (), 0, FAR) for event in batch]) == 10
        with pytest.raises(LogUnreadable, match="Authorization Violation"):
            async for _ in replay(url.replace("word", "sword"), STREAM, (), 0, FAR, tries=1):
                pass
        await client.close()
    finally:
        await end(server)


async def test_it_asks_for_no_more_than_two_pulls(nats: Nats, public_stream: Client) -> None:
    await fill(public_stream, publications(30_000))
    async with aclosing(replay(nats.url, STREAM, (), 0, FAR)) as batches:
        async for _ in batches:
            [consumer] = await public_stream.jetstream().consumers_info(STREAM)
            assert isinstance(consumer.config, ConsumerConfig)
            assert consumer.num_pending is not None
            assert consumer.num_pending >= 20_000
            break
