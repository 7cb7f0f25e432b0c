"""The story of Wagir: a small cooperative that had all but stopped asks for help by letter, and meets again."""

from collections.abc import Iterator
from datetime import date

from dinkop.demonstration.calls import Call
from dinkop.demonstration.histories import LATEST_BOOK_YEAR
from dinkop.demonstration.meetings import held as meeting_held
from dinkop.demonstration.meetings import verified
from dinkop.demonstration.mentoring import Petition, accepted, asked, completed, held, taken
from dinkop.demonstration.regency import WAGIR_NIK, Regency
from dinkop.demonstration.register import ASLEEP, AT_WORK, traced
from dinkop.demonstration.reminders import FIRST_WARNING, planned, warned

LETTER = Petition(
    WAGIR_NIK,
    "rat",
    "letter",
    "2024-07-18",
    "Koperasi kami berdiri sejak 2010 dan terakhir kali RAT pada awal 2020. Sejak pandemi iuran berhenti, sekretaris"
    " pindah, dan buku kas tidak lagi diisi. Anggota masih 31 orang, pupuk masih dibeli bersama, tetapi kami tidak tahu"
    " bagaimana menyusun laporan untuk tahun-tahun yang terlewat. Setelah menerima surat teguran, kami memohon"
    " pendampingan agar RAT Tahun Buku 2023 dapat dilaksanakan.",
    letter_on="2024-07-15",
    roles=("ketua", "bendahara", "anggota"),
)


def wagir_meets_again(regency: Regency) -> Iterator[Call]:
    """It meets half a year late for the first time in four years, with the team attending."""
    cooperative, request = regency.wagir, asked(regency, LETTER)
    notes = "Papan nama kusam di rumah ketua; tidak ada kegiatan selain pembelian pupuk bersama."
    yield traced(cooperative, date(2024, 2, 20), ASLEEP, notes, letter=61)
    yield warned(cooperative, 1, 901, FIRST_WARNING)

    yield request
    yield taken(request, accepted("2024-07-22", visit_on="2024-07-25"))
    findings = "Buku kas terakhir 2021; nota pupuk lengkap. Disepakati rencana kerja delapan minggu."
    yield taken(request, held("visit", "2024-07-25", 8, findings))
    lesson = "Bimtek pembukuan: neraca 2023 disusun dari nota dan buku anggota. Sekretaris baru ditunjuk."
    yield taken(request, held("training", "2024-08-08", 14, lesson))
    progress = "Buku kas terisi sampai Agustus; LPJ pengurus selesai separuh."
    yield taken(request, held("monitoring", "2024-08-22", 6, progress))
    yield planned(cooperative, LATEST_BOOK_YEAR, date(2024, 9, 21))
    ready = "LPJ pengurus dan pengawas lengkap; undangan dan materi sudah dibagikan."
    yield taken(request, held("evaluation", "2024-09-12", 7, ready))

    meeting = {"mode": "in_person", "members_present": 24, "second_meeting": False, "reported_on": "2024-09-26"}
    yield meeting_held(cooperative, **meeting, net_surplus=1_850_000)
    attended = "Tim menghadiri RAT di balai desa; LPJ diterima dan pengurus baru dipilih."
    yield taken(request, held("rat_attendance", "2024-09-21", 24, attended))
    yield traced(cooperative, date(2024, 9, 24), AT_WORK, "Papan nama baru; kios pupuk buka dan buku kas terisi.")
    yield verified(cooperative, date(2024, 10, 3))
    closing = "RAT Tahun Buku 2023 terlaksana. Pengurus menyusun sendiri laporan triwulan ketiga."
    yield taken(request, completed("2024-10-08", "rat_held", closing))

    yield planned(cooperative, LATEST_BOOK_YEAR + 1, date(2025, 2, 22))
