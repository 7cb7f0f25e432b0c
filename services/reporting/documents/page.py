"""A camat report in words, ready to be laid out: what is printed and what a browser shows are this same text."""

from collections.abc import Iterator
from dataclasses import dataclass

from services.reporting.documents import wording
from services.reporting.documents.wording import count, day, moment, percent, points
from services.reporting.domain.camat_report import Line, Report, Standing
from services.reporting.domain.camat_report_asks import Ask

CONFIRMED_ON_FIRST_PAGE = 6
"""Of more cooperatives to be confirmed than this, all are in the annex, so that a village ticks in one place only."""
NAMED = 3
"""How many cooperatives an ask names; all of them are in the annex."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the summary; `sign` stands before it and makes a row of tiles a sum."""

    sign: str
    number: str
    label: str
    share: str
    kind: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing the camat is asked for, and until when."""

    number: str
    what: str
    whom: str
    by: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """A cooperative whose existence is to be confirmed."""

    number: str
    name: str
    nik: str
    village: str
    doubt: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: what heads it, and its other cells."""

    head: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the heads of its columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A cooperative of the annex."""

    number: str
    village: str
    name: str
    nik: str
    years: tuple[str, ...]
    status: str
    kind: str
    finding: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything a reader sees, in the order of reading."""

    office: str
    title: str
    place: str
    standing: str
    issue: str
    obliged: tuple[Tile, ...]
    healthy: tuple[Tile, ...]
    summary: str
    comparison: Table
    asks_title: str
    asks: tuple[Asked, ...]
    no_asks: str
    mentoring_title: str
    mentoring: str
    confirm_title: str
    confirm_note: str
    confirm_how: str
    confirm_sign: str
    confirm: tuple[Confirm, ...]
    confirm_in_annex: bool
    ticks: tuple[str, ...]
    notes_title: str
    notes: tuple[str, ...]
    annex_title: str
    annex_note: str
    years: tuple[str, ...]
    cooperatives: tuple[Listed, ...]
    legend: str


def page(report: Report) -> Page:
    """Return a report in words."""
    confirm = tuple(_confirm(report))
    in_annex = len(confirm) > CONFIRMED_ON_FIRST_PAGE
    return Page(
        office="Pemerintah Kabupaten Malang · Dinas Koperasi dan Usaha Mikro",
        title=f"Laporan Koperasi untuk Camat {report.name}",
        place=f"Kecamatan {report.name} ({report.kecamatan_code})",
        standing=f"Keadaan per {day(report.as_of)}",
        issue=_issue(report),
        obliged=(
            _tile("", report.registered, "terdaftar", ""),
            _tile("=", report.not_yet_due, "belum wajib RAT", ""),
            _tile("+", report.obliged, "wajib RAT", ""),
        ),
        healthy=(
            _tile("", report.obliged, "wajib RAT", "", "100% dari yang wajib" if report.obliged else ""),
            *(
                _tile("=" if kind == "healthy" else "+", getattr(report, kind), wording.NUMBER[kind], kind, share)
                for kind in ("healthy", "on_track", "inconsistent", "lapsed")
                for share in (_of_those_obliged(getattr(report.shares, kind)),)
            ),
        ),
        summary=_summary(report),
        comparison=_comparison(report),
        asks_title="Yang kami mohon dari Camat",
        asks=tuple(_asked(number, ask, report) for number, ask in enumerate(report.asks, 1)),
        no_asks="Tidak ada permohonan khusus: terima kasih atas pembinaan yang sudah berjalan.",
        mentoring_title="PUAS di kecamatan ini",
        mentoring=_mentoring(report),
        confirm_title="Mohon dikonfirmasi keberadaannya",
        confirm_note=_confirm_note(len(confirm), in_annex),
        confirm_how=(
            "Mohon dicentang yang sesuai, bila perlu dengan surat keterangan desa/kelurahan,"
            " lalu dikembalikan ke dinas."
        ),
        confirm_sign="Diperiksa tanggal ……………………   Nama, jabatan dan tanda tangan ……………………………………………",
        confirm=confirm,
        confirm_in_annex=in_annex,
        ticks=wording.TICKS,
        notes_title="Catatan data",
        notes=tuple(_notes(report)),
        annex_title=f"Lampiran: koperasi di Kecamatan {report.name}",
        annex_note=f"{count(report.registered)} koperasi terdaftar per {day(report.as_of)}, urut desa/kelurahan.",
        years=tuple(f"TB {year}" for year in report.book_years),
        cooperatives=tuple(_listed(number, line, report) for number, line in enumerate(report.cooperatives, 1)),
        legend=wording.legend(report.rule),
    )


def _tile(sign: str, number: int, label: str, kind: str, share: str = "") -> Tile:
    return Tile(sign, count(number), label, share, kind)


def _of_those_obliged(share: float | None) -> str:
    return "" if share is None else percent(share)


def _issue(report: Report) -> str:
    if report.issued_on and report.period and report.report_id:
        return f"{wording.period(report.period)} · diterbitkan {day(report.issued_on)} · laporan {report.report_id}"
    return "Tampilan sementara, bukan laporan yang diterbitkan"


def _summary(report: Report) -> str:
    if not report.obliged:
        return "Belum ada koperasi yang wajib RAT di kecamatan ini."
    return (
        f"{count(report.held_latest)} dari {count(report.obliged)} koperasi wajib RAT"
        f" ({percent(report.shares.held_latest)}) sudah melaksanakan RAT tahun buku terakhir yang jatuh tempo."
        f" Tidak ditemukan saat penelusuran: {count(report.not_found)};"
        f" diusulkan penghapusan: {count(report.removal_proposed)}."
    )


def _comparison(report: Report) -> Table:
    before = report.previous
    columns = ("Persen dari yang wajib RAT", "Sehat", "Menuju sehat", "Tidak rutin", "Tidak RAT", "RAT terakhir")
    rows = [
        Row(f"Kecamatan {report.name}", _shares(report)),
        Row("Kabupaten Malang", _shares(report.regency)),
    ]
    if before:
        rows.append(Row(f"Laporan terakhir, per {day(before.as_of)}", _shares(before)))
        rows.append(
            Row(
                "Naik atau turun sejak itu (poin persen)",
                tuple(points(now, then) for now, then in zip(_values(report), _values(before), strict=True)),
            )
        )
    return Table(columns, tuple(rows))


def _values(standing: Standing) -> tuple[float | None, ...]:
    of = standing.shares
    return of.healthy, of.on_track, of.inconsistent, of.lapsed, of.held_latest


def _shares(standing: Standing) -> tuple[str, ...]:
    return tuple(percent(value) for value in _values(standing))


def _asked(number: int, ask: Ask, report: Report) -> Asked:
    names = {line.cooperative_id: line.name for line in report.cooperatives}
    total = len(ask.cooperatives)
    whom = wording.listed([names[each] for each in ask.cooperatives[:NAMED]], total)
    return Asked(str(number), _action(ask, count(total)), whom, day(ask.by))


def _action(ask: Ask, total: str) -> str:
    match ask.kind:
        case "confirm_existence":
            return f"Meminta desa/kelurahan memastikan keberadaan {total} koperasi dan mengembalikan lembar konfirmasi"
        case "village_letter":
            return f"Membantu surat keterangan desa/kelurahan bagi {total} koperasi yang diusulkan penghapusannya"
        case "press_lapsed":
            return f"Mendorong {total} koperasi yang tidak RAT agar melaksanakan RAT Tahun Buku {ask.book_year}"
        case "remind_inconsistent":
            return f"Mengingatkan {total} koperasi yang tidak rutin agar melaksanakan RAT Tahun Buku {ask.book_year}"
        case "remind_due":
            return f"Mengingatkan {total} koperasi yang belum melaksanakan RAT Tahun Buku {ask.book_year}"


def _mentoring(report: Report) -> str:
    puas, year = report.mentoring, report.as_of.year
    closed = [f"{count(number)} {wording.CLOSED.get(how, how)}" for how, number in puas.closed_this_year.items()]
    return (
        f"{count(puas.open)} permohonan pendampingan (PUAS) sedang terbuka."
        f" Sejak awal {year}: {count(puas.received_this_year)} permohonan masuk,"
        f" {', '.join(closed) if closed else 'belum ada yang selesai'}."
        " Koperasi yang ingin didampingi dapat bersurat ke dinas, juga melalui kecamatan."
    )


def _confirm_note(number: int, in_annex: bool) -> str:
    if not number:
        return "Tidak ada."
    return (
        f"{count(number)} koperasi, pada lembar tersendiri di belakang." if in_annex else f"{count(number)} koperasi."
    )


def _confirm(report: Report) -> Iterator[Confirm]:
    lines = {line.cooperative_id: line for line in report.cooperatives}
    for number, each in enumerate(report.to_confirm, 1):
        line = lines[each.cooperative_id]
        yield Confirm(
            str(number),
            line.name,
            line.nik or wording.NOTHING,
            line.village or "desa/kelurahan tidak tercatat",
            wording.DOUBT[each.doubt],
        )


def _notes(report: Report) -> Iterator[str]:
    read = ", ".join(f"{service} {count(position)}" for service, position in report.positions.items())
    yield (
        f"Keadaan per {day(report.as_of)}, menurut data yang tercatat sampai {moment(report.known_at)}"
        f" (peristiwa terakhir yang dibaca: {read or 'belum ada'})."
    )
    window, due_on = wording.in_words(report.rule.window), wording.day_of_year(report.rule.due_on)
    yield (
        f"Kebijakan {report.policy}: RAT {window} tahun buku berturut-turut berarti sehat."
        f" RAT jatuh tempo {due_on} tahun berikutnya (UU 25/1992 pasal 26)."
        " Persentase dihitung dari koperasi yang wajib RAT."
    )
    if report.of_other_scope:
        yield (
            f"Termasuk {count(report.of_other_scope)} koperasi berskala provinsi atau nasional, yang pembinaannya"
            " bukan pada kabupaten dan tidak ikut dimohonkan."
        )
    yield from _corrections(report)


def _corrections(report: Report) -> Iterator[str]:
    before = report.previous
    if before is None:
        yield "Belum ada laporan yang diterbitkan sebelumnya untuk kecamatan ini."
        return
    named = f"Laporan {wording.period(before.period)} (per {day(before.as_of)})"
    if not before.changes.numbers and not before.changes.cooperatives:
        yield f"{named} tidak berubah oleh data yang tercatat kemudian."
        return
    numbers = "; ".join(
        f"{wording.NUMBER[each.number]} {count(each.was)} menjadi {count(each.now)}" for each in before.changes.numbers
    )
    lines = count(len(before.changes.cooperatives))
    yield (
        f"{named}, menurut data yang tercatat kemudian, kini terbaca lain pada {lines} koperasi"
        + (f": {numbers}." if numbers else ", tanpa mengubah jumlah.")
    )


def _listed(number: int, line: Line, report: Report) -> Listed:
    finding = wording.EXISTENCE[line.existence]
    return Listed(
        number=str(number),
        village=line.village or wording.NOTHING,
        name=line.name,
        nik=line.nik or wording.NOTHING,
        years=tuple(wording.held(line, year) for year in report.book_years),
        status=wording.STATUS[line.status],
        kind=line.status,
        finding=f"{finding}; PUAS terbuka" if line.mentoring_open else finding,
    )
