"""What happened, in a sentence that an officer or a camat reads."""

from collections.abc import Iterable

from contracts import mentoring, rat, registry, reporting
from contracts.envelope import PublicEvent
from contracts.regions import kecamatan
from services.reporting.documents import wording

_FIELDS = {
    "name": "nama",
    "legal_entity_number": "nomor badan hukum",
    "legal_entity_date": "tanggal badan hukum",
    "nik": "NIK",
    "tier": "bentuk",
    "scope": "wilayah keanggotaan",
    "type": "jenis",
    "group": "kelompok",
    "sector": "sektor usaha",
    "address": "alamat",
    "kecamatan_code": "kecamatan",
    "village_code": "desa/kelurahan",
    "kecamatan_text": "tulisan kecamatan",
    "members_total": "jumlah anggota",
    "nik_grade": "grade NIK",
    "held_on": "tanggal RAT",
    "reported_on": "tanggal laporan",
    "verified_on": "tanggal verifikasi",
    "mode": "cara rapat",
    "members_present": "jumlah yang hadir",
    "second_meeting": "rapat kedua",
    "minutes_number": "nomor berita acara",
    "accountability_accepted": "penerimaan LPJ",
    "own_capital": "modal sendiri",
    "outside_capital": "modal luar",
    "total_assets": "aset",
    "turnover": "volume usaha",
    "net_surplus": "SHU",
}
_SOURCES = {"ods": "dari data ODS Kementerian", "office": "dari data dinas", "manual": "oleh petugas dinas"}
_LISTS = {"ods": "Kementerian (ODS)", "office": "dinas"}
_FINDINGS = {
    "found": "koperasi ditemukan dan beroperasi",
    "moved": "koperasi pindah alamat",
    "dormant": "koperasi ada, tetapi tidak beroperasi",
    "not_found": "koperasi tidak ditemukan",
}
_CHANNELS = {"letter": "surat", "phone": "telepon", "web": "web", "visit": "kunjungan", "camat": "camat"}
_CATEGORIES = {
    "rat": "RAT",
    "bookkeeping": "pembukuan",
    "vacant_board": "kepengurusan yang kosong",
    "dispute": "sengketa anggota",
    "legality": "legalitas",
    "business": "usaha",
    "bad_loans": "kredit macet",
    "other": "hal lain",
}
_ACTIVITIES = {
    "visit": "Tim pendamping berkunjung",
    "training": "Bimbingan teknis (bimtek) dilaksanakan",
    "monitoring": "Monitoring dilaksanakan",
    "evaluation": "Evaluasi dilaksanakan",
    "rat_attendance": "Tim pendamping menghadiri RAT",
}
_OUTCOMES = {
    "rat_held": "RAT dilaksanakan",
    "active_again": "koperasi aktif kembali",
    "merged": "koperasi bergabung dengan koperasi lain",
    "dissolution_path": "koperasi menuju pembubaran",
    "unreachable": "koperasi tidak dapat dihubungi",
    "withdrawn": "permohonan ditarik kembali",
}


def sentence(event: PublicEvent) -> str:
    """Return what happened in Bahasa Indonesia. Raises LookupError for an event that has no sentence."""
    match event:
        case registry.CooperativeRegistered():
            return f"{event.name} tercatat dalam daftar koperasi {_SOURCES[event.source]}{_legal_entity(event)}."
        case registry.CooperativeCorrected():
            return f"Data koperasi diperbaiki ({_named(event.changes)}): {_quoted(event.reason)}."
        case registry.CooperativeRelocated():
            return f"Koperasi pindah ke {_quoted(event.address)}, {_place(event.kecamatan_code)}."
        case registry.CooperativeTraced():
            return f"Penelusuran lapangan: {_FINDINGS[event.finding]}; {_evidence(event)}."
        case registry.RemovalProposed():
            return f"Koperasi diusulkan dibubarkan dengan surat nomor {event.letter_number}: {_quoted(event.grounds)}."
        case registry.RemovalApproved():
            return (
                f"Usulan pembubaran disetujui {event.authority} dengan keputusan nomor {event.decree_number};"
                " koperasi tidak lagi dihitung."
            )
        case registry.RemovalRejected():
            return (
                f"Usulan pembubaran ditolak {event.authority} dengan keputusan nomor {event.decree_number};"
                " temuan lapangan terakhir berlaku kembali."
            )
        case registry.MinistryRecordChanged():
            return f"Daftar {_LISTS[event.source]} memuat data yang berubah ({_named(event.changes)})."
        case rat.RATHeld():
            return f"RAT Tahun Buku {event.book_year} dilaksanakan{_attendance(event)}."
        case rat.RATVerified():
            return f"Catatan RAT Tahun Buku {event.book_year} diverifikasi dinas."
        case rat.RATCorrected():
            return (
                f"Catatan RAT Tahun Buku {event.book_year} diperbaiki ({_named(event.changes)}):"
                f" {_quoted(event.reason)}."
            )
        case rat.RATAnnulled():
            return f"Catatan RAT Tahun Buku {event.book_year} dinyatakan tidak berlaku: {_quoted(event.reason)}."
        case rat.RATAttested():
            return (
                f"RAT Tahun Buku {event.book_year} dianggap dilaksanakan berdasarkan grade NIK;"
                " tanggalnya tidak diketahui."
            )
        case rat.RATPlanned():
            return (
                f"RAT Tahun Buku {event.book_year} direncanakan pada {wording.day(event.planned_on)}"
                f" di {_quoted(event.venue)}."
            )
        case rat.WarningIssued():
            return (
                f"Surat teguran ke-{event.level} nomor {event.letter_number}:"
                f" belum melaksanakan RAT Tahun Buku {event.book_year}."
            )
        case mentoring.MentoringRequested():
            return f"Permohonan pendampingan masuk melalui {_CHANNELS[event.channel]}: {_CATEGORIES[event.category]}."
        case mentoring.MentoringAccepted():
            return f"Permohonan pendampingan disetujui; tim akan berkunjung pada {wording.day(event.visit_on)}."
        case mentoring.MentoringDeclined():
            return "Permohonan pendampingan tidak dapat dipenuhi."
        case mentoring.MentoringRedirected():
            return "Permohonan pendampingan dialihkan ke pihak lain."
        case mentoring.MentoringActivityHeld():
            return f"{_ACTIVITIES[event.kind]} dalam rangka pendampingan."
        case mentoring.MentoringCompleted():
            return f"Pendampingan selesai: {_OUTCOMES[event.outcome]}."
        case mentoring.MentoringPeopleForgotten():
            return "Data pribadi pada permohonan pendampingan dihapus untuk selamanya."
        case reporting.HealthStatusChanged():
            return _health(event)
        case reporting.CamatFollowUpRecorded():
            return f"Tindak lanjut camat: {_quoted(event.action)}."
    raise LookupError(f"no sentence for {event.type_name()}")


def _legal_entity(event: registry.CooperativeRegistered) -> str:
    number = f" nomor {event.legal_entity_number}" if event.legal_entity_number else ""
    day = f" tanggal {wording.day(event.legal_entity_date)}" if event.legal_entity_date else ""
    return f", badan hukum{number}{day}" if number or day else ""


def _evidence(event: registry.CooperativeTraced) -> str:
    seen = (
        ("papan nama", event.signboard_found, "ditemukan"),
        ("kantor", event.office_found, "ditemukan"),
        ("anggota", event.members_reached, "dapat ditemui"),
    )
    return ", ".join(f"{what} {'' if so else 'tidak '}{how}" for what, so, how in seen)


def _attendance(event: rat.RATHeld) -> str:
    if event.members_present is None or event.members_total is None:
        return ""
    return f", dihadiri {event.members_present} dari {event.members_total} anggota"


def _health(event: reporting.HealthStatusChanged) -> str:
    if event.to is None:
        return "Koperasi tidak lagi dihitung."
    if event.from_ is None:
        return f"Status kesehatan koperasi: {wording.NUMBER[event.to]}."
    return f"Status kesehatan koperasi berubah dari {wording.NUMBER[event.from_]} menjadi {wording.NUMBER[event.to]}."


def _place(code: str) -> str:
    place = kecamatan(code)
    return f"Kecamatan {place.name}" if place else f"kecamatan {code}"


def _named(changes: Iterable[str]) -> str:
    return ", ".join(_FIELDS.get(name, name) for name in changes)


def _quoted(text: str) -> str:
    """Return what somebody wrote, ready to end a sentence or stand in one."""
    return text.strip().rstrip(".")
