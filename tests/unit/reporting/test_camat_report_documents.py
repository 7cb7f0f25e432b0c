"""A report as a document: the same bytes every time, the right words, nothing that runs."""

import csv
import io
import json
import re
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from html.parser import HTMLParser
from uuid import UUID

import pytest
import typst
from python_calamine import CalamineWorkbook
from regency_of_verdicts import AS_OF, called, healthy, reported, steady
from story import Story

from services.reporting.documents import as_pdf, wording
from services.reporting.documents.formats import FORMATS
from services.reporting.documents.page import CONFIRMED_ON_FIRST_PAGE, page
from services.reporting.domain.camat_report import Issue, Report, RuleInForce, previous
from services.reporting.domain.camat_report_changes import Changes
from services.reporting.domain.camat_report_issue import Format
from services.reporting.domain.camat_report_numbers import Numbers

LONG = "KOPERASI SIMPAN PINJAM DAN PEMBIAYAAN SYARIAH " + "BAITUL MAAL WAT TAMWIL " * 6
NASTY = '=HYPERLINK("http://x") <b>&amp; #[evil] $x$ \\ 合作社 🙂'


def of(*names: str, lapsed: int = 0) -> Report:
    """Return a report on cooperatives of these names, and on some that lapsed."""
    regency = [called(name, steady((2021, 2022)), number) for number, name in enumerate(names)]
    regency += [called(f"Koperasi Lesu {n}", Story().registered(), 100 + n) for n in range(lapsed)]
    return reported(regency)


def pages(report: Report) -> int:
    """Return how many pages the PDF has, counted on what is drawn."""
    compiler = typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False), ignore_system_fonts=True)
    words = {"page": json.dumps(as_pdf._breakable(asdict(page(report))))}
    drawn = compiler.compile(as_pdf.TEMPLATE.read_bytes(), format="png", ppi=10, sys_inputs=words)
    return len(drawn) if isinstance(drawn, list) else 1


class Text(HTMLParser):
    """Collects what an HTML page shows, and which tags it has."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.shown: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.shown.append(data.strip())


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_report_always_comes_to_the_same_bytes(format_: Format) -> None:
    make = FORMATS[format_].make
    first = make(of(LONG, NASTY, lapsed=3))
    other = make(of("Koperasi Melati"))
    assert sha256(make(of(LONG, NASTY, lapsed=3))).digest() == sha256(first).digest()
    assert first != other


def test_the_pdf_needs_no_font_of_the_machine_and_keeps_to_the_archives_standard() -> None:
    pdf = FORMATS["pdf"].make(of("Koperasi Melati"))
    assert pdf.startswith(b"%PDF-")
    assert b"pdfaid:part>2<" in pdf
    assert b"pdfuaid:part>1<" in pdf
    assert set(re.findall(rb"/FontName/[A-Z]{6}\+([A-Za-z]+)", pdf)) == {b"LibertinusSerif"}


def test_a_name_that_no_font_can_write_spoils_no_report() -> None:
    assert FORMATS["pdf"].make(of(NASTY)).startswith(b"%PDF-")


@pytest.mark.parametrize("lapsed", [0, CONFIRMED_ON_FIRST_PAGE])
def test_a_report_is_one_page_and_an_annex(lapsed: int) -> None:
    assert pages(of("Koperasi Melati", LONG, lapsed=lapsed)) == 2


def test_of_many_to_confirm_all_stand_on_a_sheet_of_their_own() -> None:
    many = of("Koperasi Melati", lapsed=CONFIRMED_ON_FIRST_PAGE + 1)
    assert page(many).confirm_in_annex
    assert pages(many) == 3


def test_the_largest_kecamatan_fits_with_every_name_as_long_as_can_be() -> None:
    assert pages(of(*[f"{n:02} {'X' * 197}" for n in range(60)], lapsed=60)) > 5


def test_html_shows_names_as_they_are_written_and_runs_nothing() -> None:
    text = Text(FORMATS["html"].make(of(NASTY)))
    assert NASTY in text.shown
    assert not {"script", "link", "img", "iframe", "b" + "ase"} & set(text.tags)
    assert text.tags.count("h1") == 1
    assert text.tags.count("main") == 1


def test_html_says_in_words_what_the_report_says() -> None:
    report = of("Koperasi Melati", lapsed=2)
    shown = " ".join(Text(FORMATS["html"].make(report)).shown)
    for words in (
        "Laporan Koperasi untuk Camat Wagir",
        "Keadaan per 14 November 2024",
        "14 November 2024 pukul 09.30.05 WIB",
        "registry 3",
        "rat-3y-2024",
        "66,7%",
        "Meminta desa/kelurahan memastikan keberadaan 2 koperasi",
        "Mengingatkan 1 koperasi yang tidak rutin agar melaksanakan RAT Tahun Buku 2023",
        "14 Desember 2024",
        "Belum ada laporan yang diterbitkan sebelumnya",
    ):
        assert words in shown, words


def test_csv_has_a_row_for_each_cooperative_and_no_formula() -> None:
    report = of(NASTY, "Koperasi Melati", "+62 Bersama", "-", "@home")
    header, *rows = csv.reader(io.StringIO(FORMATS["csv"].make(report).decode()))
    assert len(rows) == report.registered
    by_name = {row[header.index("nama_koperasi")]: dict(zip(header, row, strict=True)) for row in rows}
    assert set(by_name) == {f"'{NASTY}", "Koperasi Melati", "'+62 Bersama", "'-", "'@home"}
    melati = by_name["Koperasi Melati"]
    assert (melati["rat_tb_2022"], melati["tanggal_rat_tb_2022"]) == ("tepat waktu", "2023-02-15")
    assert (melati["rat_tb_2023"], melati["tanggal_rat_tb_2023"]) == ("belum", "")
    assert melati["keadaan_per"] == AS_OF.isoformat()
    assert melati["tercatat_sampai"] == "2024-11-14T02:30:05.250000Z"
    assert melati["peristiwa_terakhir"] == "rat:7 registry:3"


def test_xlsx_has_numbers_dates_and_text_and_no_formula() -> None:
    report = of(NASTY, lapsed=1)
    content = FORMATS["xlsx"].make(report)
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names == ["Ringkasan", "Permohonan", "Konfirmasi", "Koperasi"]
    rows = book.get_sheet_by_name("Koperasi").to_python()
    (row,) = [row for row in rows if row[2] == NASTY]
    assert row[5] == date(2023, 2, 15)
    assert row[6] == "belum"
    summary = book.get_sheet_by_name("Ringkasan").to_python()
    assert ["terdaftar", 2.0, 2.0] in [line[:3] for line in summary]
    assert b"<f>" not in content


def test_a_report_with_nothing_in_it_is_still_one() -> None:
    for rendering in FORMATS.values():
        assert rendering.make(reported())
    assert page(reported()).summary == "Belum ada koperasi yang wajib RAT di kecamatan ini."
    assert pages(reported()) == 2


def test_an_issued_report_says_so_and_compares_itself_with_the_last() -> None:
    numbers = Numbers(
        **dict.fromkeys(Numbers.model_fields, 0) | {"registered": 4, "obliged": 4, "healthy": 1, "lapsed": 3}
    )
    before = previous(
        numbers,
        report_id=UUID(int=3),
        period="2024-Q3",
        as_of=date(2024, 9, 30),
        changes=Changes(numbers=(), cooperatives=()),
    )
    issue = Issue(UUID(int=4), "2024-Q4", AS_OF)
    words = page(reported([called("Melati", healthy(), 1)], previous=before, issue=issue))
    assert words.issue.startswith("Triwulan IV 2024 · diterbitkan 14 November 2024")
    last, change = words.comparison.rows[-2:]
    assert (last.head, last.cells[0]) == ("Laporan terakhir, per 30 September 2024", "25,0%")
    assert change.cells == ("+75,0", "±0,0", "±0,0", "−75,0", "+100,0")
    assert (
        words.notes[-1]
        == "Laporan Triwulan III 2024 (per 30 September 2024) tidak berubah oleh data yang tercatat kemudian."
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("2026-Q3", "Triwulan III 2026"), ("2026-S1", "Semester I 2026"), ("2026-08", "Agustus 2026")],
)
def test_a_period_in_words(name: str, words: str) -> None:
    assert wording.period(name) == words


def test_numbers_are_written_as_in_indonesia() -> None:
    assert wording.count(1387) == "1.387"
    assert wording.percent(76.4) == "76,4%"
    assert wording.percent(None) == "–"
    assert wording.points(76.4, 77.5) == "−1,1"
    assert wording.listed(["A", "B"], 2) == "A dan B"
    assert wording.listed(["A", "B", "C"], 5) == "A, B, C dan 2 lainnya"


def test_another_policy_is_told_as_it_is() -> None:
    rule = RuleInForce(
        window=2, due_on=date(2024, 5, 31), primary_deadline=date(2024, 4, 30), secondary_deadline=date(2024, 4, 30)
    )
    words = page(reported().model_copy(update={"rule": rule, "policy": "rat-2y-2030"}))
    assert any("rat-2y-2030: RAT dua tahun buku" in note and "31 Mei" in note for note in words.notes)
    assert "(30 April)" in words.legend


def test_how_a_year_stands_in_a_few_words() -> None:
    story = Story().registered("2021-05-01").held(2021, "2022-08-01").attested(2022)
    (line,) = reported([called("A", story, 1)]).cooperatives
    assert [wording.held(line, year) for year in (2020, 2021, 2022, 2023)] == ["–", "01-08-2022 *", "diakui", "belum"]
    (line,) = reported([called("A", story, 1)], as_of=date(2024, 3, 1)).cooperatives
    assert wording.held(line, 2023) == "menunggu"
