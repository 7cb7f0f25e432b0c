"""What happened is told in Bahasa Indonesia, as the office writes it."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from contracts import mentoring, rat, registry, reporting
from contracts.envelope import PublicEvent
from services.reporting.api.sentences import sentence

ABOUT: dict[str, Any] = {"cooperative_id": UUID(int=1), "kecamatan_code": "35.07.21"}
REQUEST: dict[str, Any] = {**ABOUT, "request_id": UUID(int=9)}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            registry.CooperativeRegistered(
                **ABOUT,
                name="KSP Melati",
                legal_entity_number="1/BH/2010",
                legal_entity_date=date(2010, 1, 5),
                source="ods",
            ),
            "KSP Melati tercatat dalam daftar koperasi dari data ODS Kementerian,"
            " badan hukum nomor 1/BH/2010 tanggal 5 Januari 2010.",
        ),
        (
            registry.CooperativeRegistered(
                **ABOUT, name="KSP Melati", legal_entity_number=None, legal_entity_date=None
            ),
            "KSP Melati tercatat dalam daftar koperasi oleh petugas dinas.",
        ),
        (
            registry.CooperativeRelocated(**ABOUT, address="Jl. Baru No. 12.", effective_on=date(2024, 8, 1)),
            "Koperasi pindah ke Jl. Baru No. 12, Kecamatan Wagir.",
        ),
        (
            registry.CooperativeTraced(
                **ABOUT,
                traced_on=date(2024, 8, 30),
                signboard_found=True,
                office_found=False,
                members_reached=False,
                operating=False,
                finding="not_found",
            ),
            "Penelusuran lapangan: koperasi tidak ditemukan;"
            " papan nama ditemukan, kantor tidak ditemukan, anggota tidak dapat ditemui.",
        ),
        (
            rat.RATHeld(
                **ABOUT,
                book_year=2023,
                held_on=date(2024, 3, 5),
                members_present=31,
                members_total=42,
                source="office",
            ),
            "RAT Tahun Buku 2023 dilaksanakan, dihadiri 31 dari 42 anggota.",
        ),
        (
            rat.RATCorrected(**ABOUT, book_year=2023, changes={"held_on": "2024-03-06"}, reason="Salah tulis"),
            "Catatan RAT Tahun Buku 2023 diperbaiki (tanggal RAT): Salah tulis.",
        ),
        (
            rat.RATPlanned(**ABOUT, book_year=2024, planned_on=date(2025, 2, 24), venue="Balai Desa"),
            "RAT Tahun Buku 2024 direncanakan pada 24 Februari 2025 di Balai Desa.",
        ),
        (
            mentoring.MentoringActivityHeld(**REQUEST, kind="training", held_on=date(2024, 9, 9)),
            "Bimbingan teknis (bimtek) dilaksanakan dalam rangka pendampingan.",
        ),
        (
            reporting.HealthStatusChanged(
                **ABOUT, from_="inconsistent", to="healthy", as_of=date(2025, 2, 24), policy="rat-3y-2024"
            ),
            "Status kesehatan koperasi berubah dari tidak rutin RAT menjadi sehat.",
        ),
        (
            reporting.HealthStatusChanged(
                **ABOUT, from_="lapsed", to=None, as_of=date(2025, 2, 24), policy="rat-3y-2024"
            ),
            "Koperasi tidak lagi dihitung.",
        ),
    ],
    ids=lambda value: value.type_name() if isinstance(value, PublicEvent) else "",
)
def test_an_event_is_told_in_one_sentence(event: PublicEvent, told: str) -> None:
    assert sentence(event) == told


def test_what_has_no_sentence_is_not_passed_over() -> None:
    class Unheard(PublicEvent):
        """Something new."""

    with pytest.raises(LookupError):
        sentence(Unheard())


def test_everything_that_can_be_corrected_has_a_name_an_officer_knows() -> None:
    fields = (registry.CooperativeRegistered.model_fields | rat.RATHeld.model_fields).keys()
    never = {"cooperative_id", "source", "book_year"}
    for field in fields - never:
        event = registry.CooperativeCorrected(**ABOUT, changes={field: None}, reason="x")
        assert f"({field})" not in sentence(event)
