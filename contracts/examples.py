"""One invented, realistic example of every public event, as a whole message."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from contracts.envelope import Envelope, PublicEvent, nats_subject
from contracts.mentoring import (
    MentoringAccepted,
    MentoringActivityHeld,
    MentoringCompleted,
    MentoringDeclined,
    MentoringPeopleForgotten,
    MentoringRedirected,
    MentoringRequested,
)
from contracts.operations import REBUILT
from contracts.rat import (
    RATAnnulled,
    RATAttested,
    RATCorrected,
    RATHeld,
    RATPlanned,
    RATVerified,
    WarningIssued,
)
from contracts.registry import (
    CooperativeCorrected,
    CooperativeRegistered,
    CooperativeRelocated,
    CooperativeTraced,
    MinistryRecordChanged,
    RemovalApproved,
    RemovalProposed,
    RemovalRejected,
)
from contracts.reporting import (
    CamatFollowUpRecorded,
    CamatReportAcknowledged,
    CamatReportIssued,
    CamatReportNumbers,
    HealthStatusChanged,
)

WEAVERS = UUID("018fd5a0-6c00-7a10-8000-000000000001")
"""A small cooperative in Wagir that starts to hold its meetings again."""
TRADERS = UUID("018fd5a0-6c00-7a10-8000-000000000002")
"""One in Bululawang that exists on paper only, and is removed."""
FARMERS = UUID("018fd5a0-6c00-7a10-8000-000000000003")
"""One in Dampit whose removal the Ministry refuses."""
REQUEST = UUID("018fd5a0-6c00-7a10-8000-000000000009")
DECLINED = UUID("018fd5a0-6c00-7a10-8000-00000000000a")
REDIRECTED = UUID("018fd5a0-6c00-7a10-8000-00000000000b")
REPORT = UUID("018fd5a0-6c00-5a10-8000-00000000000c")

WAGIR, BULULAWANG, DAMPIT, PAKISAJI = "35.07.21", "35.07.14", "35.07.05", "35.07.19"


@dataclass(frozen=True, slots=True)
class Example:
    """A public event in its envelope."""

    envelope: Envelope
    event: PublicEvent

    def message(self) -> dict[str, Any]:
        """Return the message as a consumer gets it: NATS subject, headers, data."""
        code = self.event.kecamatan_of_subject
        return {
            "subject": nats_subject(self.envelope.service, self.envelope.type, code),
            "headers": self.envelope.headers(),
            "data": self.event.model_dump(mode="json"),
        }


_HISTORY: tuple[tuple[str, PublicEvent], ...] = (
    (
        "2024-06-03T02:14:07.120345",
        CooperativeRegistered(
            cooperative_id=WEAVERS,
            kecamatan_code=WAGIR,
            name="Koperasi Wanita Tenun Lestari Contoh",
            legal_entity_number="901/BH/XVI.14/ VIII /2015",
            legal_entity_date=date(2015, 8, 18),
            nik="3507999990001",
            tier="primary",
            scope="regency",
            type="consumer",
            group="Kop. Wanita",
            sector="Industri Pengolahan",
            address="Jl. Contoh No. 7",
            village_code="35.07.21.2003",
            members_total=42,
            nik_grade="B",
            source="ods",
        ),
    ),
    (
        "2024-06-04T03:00:41.004112",
        CooperativeCorrected(
            cooperative_id=WEAVERS,
            kecamatan_code=WAGIR,
            changes={"legal_entity_date": "2015-08-19", "sector": None},
            reason="As in the deed of establishment",
        ),
    ),
    (
        "2024-07-01T01:30:00.550000",
        MinistryRecordChanged(
            cooperative_id=WEAVERS, kecamatan_code=WAGIR, changes={"members_total": 45, "nik_grade": "A"}, source="ods"
        ),
    ),
    (
        "2024-08-12T04:05:16.730001",
        CooperativeRelocated(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            village_code="35.07.19.2005",
            address="Jl. Contoh Baru No. 12",
            effective_on=date(2024, 8, 1),
        ),
    ),
    (
        "2024-09-02T06:11:09.000512",
        CooperativeTraced(
            cooperative_id=TRADERS,
            kecamatan_code=BULULAWANG,
            traced_on=date(2024, 8, 30),
            signboard_found=False,
            office_found=False,
            members_reached=False,
            operating=False,
            village_letter_number="470/118/35.07.14.2004/2024",
            finding="not_found",
        ),
    ),
    (
        "2024-10-07T02:20:33.916000",
        RemovalProposed(
            cooperative_id=TRADERS,
            kecamatan_code=BULULAWANG,
            letter_number="518/901/35.07.110/2024",
            letter_date=date(2024, 10, 7),
            grounds="Not found at two visits; the village confirms that it no longer exists",
        ),
    ),
    (
        "2025-03-11T07:45:00.010203",
        RemovalApproved(
            cooperative_id=TRADERS,
            kecamatan_code=BULULAWANG,
            decree_number="901/KEP/M.KOP/III/2025",
            decided_on=date(2025, 3, 4),
            authority="Kementerian Koperasi",
        ),
    ),
    (
        "2025-03-11T07:52:48.200300",
        RemovalRejected(
            cooperative_id=FARMERS,
            kecamatan_code=DAMPIT,
            decree_number="902/M.KOP/III/2025",
            decided_on=date(2025, 3, 4),
            authority="Kementerian Koperasi",
        ),
    ),
    (
        "2025-02-24T03:10:54.330021",
        RATHeld(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            book_year=2024,
            held_on=date(2025, 2, 22),
            reported_on=date(2025, 2, 24),
            mode="in_person",
            members_total=45,
            members_present=31,
            second_meeting=False,
            minutes_number="01/BA-RAT/II/2025",
            accountability_accepted=True,
            own_capital=118_500_000,
            outside_capital=40_000_000,
            total_assets=158_500_000,
            turnover=96_750_000,
            net_surplus=-2_150_000,
            source="office",
        ),
    ),
    (
        "2025-03-03T02:00:19.482200",
        RATVerified(cooperative_id=WEAVERS, kecamatan_code=PAKISAJI, book_year=2024, verified_on=date(2025, 3, 3)),
    ),
    (
        "2025-03-05T08:31:27.101010",
        RATCorrected(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            book_year=2024,
            changes={"members_present": 29, "reported_on": "2025-02-25"},
            reason="Two guests had been counted as members",
        ),
    ),
    (
        "2025-03-06T02:15:00.000001",
        RATAnnulled(
            cooperative_id=FARMERS,
            kecamatan_code=DAMPIT,
            book_year=2023,
            reason="The attendance list belongs to another cooperative",
        ),
    ),
    (
        "2025-03-10T01:00:12.650000",
        RATAttested(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            book_year=2022,
            source="nik_grade",
            last_held_on=date(2024, 3, 9),
        ),
    ),
    (
        "2025-07-07T02:02:02.020202",
        WarningIssued(
            cooperative_id=FARMERS,
            kecamatan_code=DAMPIT,
            book_year=2024,
            level=1,
            letter_number="518/902/35.07.110/2025",
            letter_date=date(2025, 7, 7),
        ),
    ),
    (
        "2025-11-18T04:40:05.777000",
        RATPlanned(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            book_year=2025,
            planned_on=date(2026, 2, 21),
            venue="Balai Desa",
        ),
    ),
    (
        "2024-11-04T06:55:38.400000",
        MentoringRequested(
            request_id=REQUEST,
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            village_code="35.07.19.2005",
            category="rat",
            channel="letter",
            letter_date=date(2024, 10, 31),
            received_on=date(2024, 11, 4),
        ),
    ),
    (
        "2025-02-24T03:10:54.951100",
        HealthStatusChanged(
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            from_="inconsistent",
            to="healthy",
            as_of=date(2025, 2, 24),
            policy="rat-3y-2024",
        ),
    ),
    (
        "2024-11-06T01:20:11.050000",
        MentoringAccepted(
            request_id=REQUEST,
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            accepted_on=date(2024, 11, 6),
            visit_on=date(2024, 11, 12),
        ),
    ),
    (
        "2024-11-06T01:31:40.700100",
        MentoringDeclined(
            request_id=DECLINED, cooperative_id=TRADERS, kecamatan_code=BULULAWANG, declined_on=date(2024, 11, 6)
        ),
    ),
    (
        "2024-11-06T01:36:02.111000",
        MentoringRedirected(
            request_id=REDIRECTED, cooperative_id=None, kecamatan_code=DAMPIT, redirected_on=date(2024, 11, 6)
        ),
    ),
    (
        "2024-11-12T08:12:30.000900",
        MentoringActivityHeld(
            request_id=REQUEST,
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            kind="visit",
            held_on=date(2024, 11, 12),
        ),
    ),
    (
        "2025-02-24T04:00:00.303030",
        MentoringCompleted(
            request_id=REQUEST,
            cooperative_id=WEAVERS,
            kecamatan_code=PAKISAJI,
            outcome="rat_held",
            completed_on=date(2025, 2, 24),
        ),
    ),
    (
        "2027-01-04T02:45:09.640000",
        MentoringPeopleForgotten(
            request_id=REQUEST, cooperative_id=WEAVERS, kecamatan_code=PAKISAJI, forgotten_on=date(2027, 1, 4)
        ),
    ),
    (
        "2025-04-07T02:11:32.480000",
        CamatReportIssued(
            report_id=REPORT,
            kecamatan_code=PAKISAJI,
            period="2025-Q1",
            issued_on=date(2025, 4, 7),
            as_of=date(2025, 3, 31),
            known_at=datetime(2025, 4, 7, 2, 11, 31, 200000, tzinfo=UTC),
            positions={"mentoring": 7, "rat": 8, "registry": 8},
            policy="rat-3y-2024",
            numbers=CamatReportNumbers(
                registered=41,
                not_yet_due=1,
                obliged=40,
                healthy=29,
                on_track=2,
                inconsistent=5,
                lapsed=4,
                held_latest=33,
                not_found=1,
                removal_proposed=0,
                mentoring_open=2,
            ),
            sha256="8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
        ),
    ),
    (
        "2025-04-09T03:05:00.010000",
        CamatReportAcknowledged(report_id=REPORT, kecamatan_code=PAKISAJI, acknowledged_on=date(2025, 4, 9)),
    ),
    (
        "2025-04-24T07:40:18.006000",
        CamatFollowUpRecorded(
            report_id=REPORT,
            kecamatan_code=PAKISAJI,
            cooperative_id=WEAVERS,
            action="Kunjungan bersama kepala desa",
            done_on=date(2025, 4, 22),
        ),
    ),
    *(
        (
            at,
            rebuilt(
                projection_id=uuid5(NAMESPACE_URL, f"/dinkop/{service}/projections/{projection}"),
                projection=projection,
                generation=2,
                version=1,
                code="1e27ae6a6b41bd7a2ee0b7f6c6a2e0b9fd1f3c4fd5ab6dd5b24d52b4d5a0f7a1",
                positions=positions,
                rows=3,
                digest="5c0c4ecf1a1d3f7e5b8f0f6f9df5c2c7a1f0f1b1b3c4a5d6e7f8091a2b3c4d5e",
                added=0,
                changed=0,
                removed=0,
            ),
        )
        for (service, rebuilt), (at, projection, positions) in zip(
            REBUILT.items(),
            (
                ("2025-03-12T09:04:31.000207", "cooperatives", {"registry": 8}),
                ("2025-11-19T09:05:31.000207", "plans", {"registry": 8, "rat": 7}),
                ("2027-01-05T09:06:31.000207", "requests", {"mentoring": 7}),
                ("2025-05-06T09:07:31.000207", "health_status", {"registry": 8, "rat": 7, "mentoring": 7}),
            ),
            strict=True,
        )
    ),
)


def _in_envelopes() -> Iterator[Example]:
    """Number the history: one gapless sequence a service, one version a stream."""
    sequences: Counter[str] = Counter()
    versions: Counter[tuple[str, UUID]] = Counter()
    for number, (recorded, event) in enumerate(_HISTORY, start=1):
        subject = next(
            getattr(event, name)
            for name in ("report_id", "request_id", "cooperative_id", "projection_id")
            if hasattr(event, name)
        )
        sequences[event.service] += 1
        versions[event.service, subject] += 1
        yield Example(
            Envelope(
                id=UUID(f"018fd5a0-6c00-7e00-8000-{number:012}"),
                service=event.service,
                type=event.type_name(),
                schema_version=event.schema_version,
                subject=subject,
                time=datetime.fromisoformat(recorded).replace(tzinfo=UTC),
                sequence=sequences[event.service],
                stream_version=versions[event.service, subject],
                correlation_id=f"018fd5a0-6c00-7c00-8000-{number:012}",
            ),
            event,
        )


EXAMPLES: tuple[Example, ...] = tuple(_in_envelopes())
