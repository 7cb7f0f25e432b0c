"""Before a replay reads everything, it looks at an event of every type and version there is."""

from collections.abc import Iterator

from filling import Publication, fill, publication
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client

from chassis.messaging import stream
from chassis.messaging.samples import samples

SCHEMA = "urn:dinkop:rat:RATHeld:v"


def of_versions(versions: list[int]) -> Iterator[Publication]:
    """Yield RATHeld of these versions, between events of other types."""
    for number, version in enumerate(versions, 1):
        subject, headers, payload = publication(number)
        yield subject, headers | {"ce-dataschema": f"{SCHEMA}{version}"}, payload
        if number % 3 == 0:
            yield publication(number, service="registry", type_="CooperativeRegistered")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(1, 9), max_size=5))
async def test_every_version_is_met_and_the_last_event_too(public_stream: Client, counts: list[int]) -> None:
    await stream.remove(public_stream.jetstream())
    await stream.ensure(public_stream.jetstream())
    versions = [version for version, count in enumerate(counts, 1) for _ in range(count)]
    await fill(public_stream, of_versions(versions))
    met = [message async for message in samples(public_stream, [("rat", "RATHeld"), ("rat", "RATVerified")])]
    assert [message.headers["ce-dataschema"] for message in met[:-1]] == [
        f"{SCHEMA}{version}" for version in range(1, len(counts) + 1)
    ]
    if counts:
        assert met[-1].headers["ce-sequence"] == f"{len(versions)}"
    assert {message.type for message in met} <= {"RATHeld"}


async def test_it_asks_for_few_of_many(public_stream: Client) -> None:
    await fill(public_stream, of_versions([1] * 1_000 + [2] + [3] * 1_000))
    before = public_stream.stats["out_msgs"]
    met = [message async for message in samples(public_stream, [("rat", "RATHeld")])]
    assert [message.headers["ce-dataschema"][-1] for message in met] == ["1", "2", "3", "3"]
    assert public_stream.stats["out_msgs"] - before < 120  # a look is four messages: a consumer and what it has
