"""Many cooperatives' histories, as registry and rat publish them: for benchmarks and tests of rebuilds."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from filling import Publication

from contracts import rat, registry
from contracts.envelope import Envelope, PublicEvent, nats_subject

SHARE = 0.13
"""Cooperatives for each event."""
_START = datetime(2020, 1, 6, 1, 0, tzinfo=UTC)
_OPENED, _FIRST_YEAR, _YEARS = date(1998, 5, 4), 2012, 12


def cooperatives_in(events: int) -> int:
    """Return the number of cooperatives that so many events are about."""
    return max(1, round(events * SHARE))


def histories(events: int, seed: int = 1) -> Iterator[Publication]:
    """Return events in the order of the stream, each service's densely numbered from 1.

    The registrations come mixed with everything else in the first half, each before all else about its cooperative.
    """
    chance = random.Random(seed)
    total, sequences = cooperatives_in(events), {"registry": 0, "rat": 0}
    cooperatives: list[tuple[UUID, str]] = []
    versions: dict[tuple[str, UUID], int] = {}
    for number in range(events):
        due = len(cooperatives) * events // 2 <= number * total
        if due and len(cooperatives) < total:
            about = _id(chance)
            code = f"35.07.{chance.randint(1, 33):02d}"
            cooperatives.append((about, code))
            event = _registered(chance, about, code, len(cooperatives))
        else:
            about, code = chance.choice(cooperatives)
            event = _later(chance, about, code)
        sequences[event.service] += 1
        versions[event.service, about] = versions.get((event.service, about), 0) + 1
        envelope = Envelope(
            id=_id(chance),
            service=event.service,
            type=event.type_name(),
            schema_version=1,
            subject=about,
            time=_START + timedelta(seconds=97 * number, microseconds=number * 7919 % 1_000_000),
            sequence=sequences[event.service],
            stream_version=versions[event.service, about],
            correlation_id=str(_id(chance)),
        )
        subject = nats_subject(event.service, event.type_name(), event.kecamatan_of_subject)
        yield subject, envelope.headers(), event.model_dump_json(by_alias=True).encode()


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def _registered(chance: random.Random, about: UUID, code: str, number: int) -> PublicEvent:
    return registry.CooperativeRegistered(
        cooperative_id=about,
        kecamatan_code=code,
        name=f"Koperasi Serba Usaha Maju Bersama {number}",
        legal_entity_number=f"{number}/BH/XVI.14/2009",
        legal_entity_date=_OPENED + timedelta(days=chance.randint(0, 8_000)),
        nik=f"3507{number:09d}",
        scope="regency",
        type="consumer",
        address=f"Jl. Raya Sumberejo No. {number}",
        village_code=f"{code}.{chance.randint(2001, 2019)}",
        members_total=chance.randint(20, 900),
        nik_grade="B",
        source="ods",
    )


def _later(chance: random.Random, about: UUID, code: str) -> PublicEvent:
    year = _FIRST_YEAR + chance.randrange(_YEARS)
    of: dict[str, Any] = {"cooperative_id": about, "kecamatan_code": code}
    held_on = date(year + 1, 1, 2) + timedelta(days=chance.randint(0, 170))
    match chance.choices(range(8), (62, 14, 5, 4, 4, 5, 4, 2))[0]:
        case 0:
            total = chance.randint(30, 800)
            return rat.RATHeld(
                **of,
                book_year=year,
                held_on=held_on,
                reported_on=held_on + timedelta(days=12),
                mode="in_person",
                members_total=total,
                members_present=total * 2 // 3,
                minutes_number=f"{total}/RAT/{year}",
                accountability_accepted=True,
                own_capital=chance.randint(10**7, 10**9),
                total_assets=chance.randint(10**8, 10**10),
                net_surplus=chance.randint(-(10**6), 10**8),
                source="office",
            )
        case 1:
            return rat.RATVerified(**of, book_year=year, verified_on=held_on + timedelta(days=20))
        case 2:
            changes: dict[str, Any] = {"held_on": str(held_on), "turnover": chance.randint(1, 10**9)}
            return rat.RATCorrected(**of, book_year=year, changes=changes, reason="salah tulis")
        case 3:
            return rat.RATAttested(**of, book_year=year)
        case 4:
            return rat.RATPlanned(**of, book_year=year, planned_on=held_on, venue="Balai Desa")
        case 5:
            changes = {"name": f"Koperasi Wanita {year}"} if chance.random() < 0.5 else {"address": "Jl. Baru 1"}
            return registry.CooperativeCorrected(**of, changes=changes, reason="salah tulis")
        case 6:
            return registry.CooperativeTraced(
                **of,
                traced_on=held_on,
                signboard_found=True,
                office_found=True,
                members_reached=True,
                operating=True,
                finding="found",
            )
        case _:
            return registry.CooperativeRelocated(
                **of, address="Jl. Pindah 2", effective_on=held_on, village_code=f"{code}.2001"
            )
