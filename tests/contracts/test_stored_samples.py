"""Old stored events stay readable: every approved sample decodes, upcasts and can be published."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from samples import SAMPLES, SERVICES, path, stored_events

from chassis.bootstrap import Service
from chassis.definitions.decider import Decider, Event
from chassis.engine.codec import Codec
from chassis.engine.ports import StoredEvent, Stream
from contracts.envelope import PublicEvent

CASES = [
    pytest.param(service, stream, event, version, id=f"{service.name}.{event.__name__}.v{version}")
    for service, stream, event in stored_events()
    for version in range(1, event.schema_version + 1)
]


def decider_of(service: Service, stream: str) -> Decider[object, object, Event]:
    return next(decider for decider in service.every_decider if decider.stream == stream)


@pytest.mark.parametrize(("service", "stream", "event", "version"), CASES)
def test_a_stored_event_of_any_version_can_be_read_and_published(
    service: Service, stream: str, event: type[Event], version: int
) -> None:
    place = path(service, stream, event, version)
    assert place.exists(), f"run `make samples`: it adds {place.name}, which then stays for ever"
    text = place.read_text("utf-8")
    stored = StoredEvent(
        1, UUID(int=1), Stream(stream, UUID(int=2)), 1, event.__name__, version, text, {}, datetime.now(UTC)
    )
    decider = decider_of(service, stream)
    decoded = Codec(decider, lambda: UUID(int=1)).decode(stored)
    assert type(decoded) is event
    if version == event.schema_version:
        # Nothing of what was stored is lost on the way: a field that is not read any more would be.
        assert json.loads(decoded.model_dump_json()).items() >= json.loads(text).items()
    assert isinstance(service.public_event(Stream(stream, UUID(int=2)), decoded), PublicEvent)


def test_no_sample_belongs_to_an_event_that_the_code_forgot() -> None:
    known = {
        path(service, stream, event, version)
        for service, stream, event in stored_events()
        for version in range(1, event.schema_version + 1)
    }
    assert set(SAMPLES.rglob("*.json")) <= known


def test_every_service_has_its_samples() -> None:
    assert {place.name for place in SAMPLES.iterdir()} == {service.name for service in SERVICES}
