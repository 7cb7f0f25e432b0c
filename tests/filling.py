"""Filling the public stream with many events, in atomic batches."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from nats.aio.client import Client

from contracts.envelope import Envelope, nats_subject

BATCH = 1_000
KINDS = (
    ("registry", "CooperativeRegistered"),
    ("rat", "RATHeld"),
    ("rat", "RATVerified"),
    ("mentoring", "MentoringRequested"),
    ("reporting", "HealthStatusChanged"),
)
START = datetime(2024, 11, 14, 3, 0, tzinfo=UTC)

type Publication = tuple[str, dict[str, str], bytes]
"""Subject, headers, payload."""


def publication(number: int, service: str = "rat", type_: str = "RATHeld", data: bytes | None = None) -> Publication:
    """Return an event as the relay publishes it; `number` is its ce-sequence and makes its ids."""
    envelope = Envelope(
        id=UUID(int=0xA << 124 | crc32(service.encode()) << 64 | number),
        service=service,
        type=type_,
        schema_version=1,
        subject=UUID(int=0xB << 124 | number % 1_387),
        time=START + timedelta(seconds=number),
        sequence=number,
        stream_version=number % 9 + 1,
        correlation_id=str(UUID(int=0xC << 124 | number)),
        causation_id=str(UUID(int=0xD << 124 | number)) if number % 3 == 0 else None,
        traceparent=f"00-{number:032x}-b7ad6b7169203331-01" if number % 2 else None,
    )
    payload = data or (
        b'{"cooperative_id":"%b","kecamatan_code":"35.07.21","book_year":2023,"held_on":"2024-03-04",'
        b'"members_present":120,"members":200,"net_surplus":"12345678.00","assets":"%d.00","note":"%b"}'
        % (str(envelope.subject).encode(), number, b"n" * 40)
    )
    return nats_subject(service, type_, f"35.07.{number % 33 + 1:02d}"), envelope.headers(), payload


def publications(count: int, after: int = 0) -> Iterator[Publication]:
    """Return events of all kinds in turn, densely numbered per service; the first `after` of them are left out."""
    sequences: dict[str, int] = {}
    for number in range(after + count):
        service, type_ = KINDS[number % len(KINDS)]
        sequences[service] = sequences.get(service, 0) + 1
        if number >= after:
            yield publication(sequences[service], service, type_)


async def fill(client: Client, events: Iterable[Publication]) -> None:
    """Publish events in order, in atomic batches of at most 1,000."""
    waiting = list(events)
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        for number, (subject, headers, payload) in enumerate(batch, 1):
            atomic = headers | {"Nats-Batch-Id": f"filling-{start}", "Nats-Batch-Sequence": str(number)}
            if number == len(batch):
                atomic["Nats-Batch-Commit"] = "1"
                answer = await client.request(subject, payload, headers=atomic, timeout=30)
                assert b'"error"' not in answer.data, answer.data
            else:
                await client.publish(subject, payload, headers=atomic)
        await asyncio.sleep(0)
