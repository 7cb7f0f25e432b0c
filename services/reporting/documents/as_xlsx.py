"""A camat report as a workbook: the summary, the asks, what is to be confirmed, and the list to sort and filter."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from services.reporting.documents import wording
from services.reporting.documents.page import Page
from services.reporting.domain.camat_report import Line, Report
from services.reporting.domain.camat_report_numbers import Numbers

LANDSCAPE_A4 = 9


@dataclass(frozen=True, slots=True)
class _Formats:
    title: Any
    head: Any
    text: Any
    date: Any
    share: Any


def as_xlsx(report: Report, page: Page) -> bytes:
    """Return the report as XLSX. Numbers are numbers and dates are dates; text is never taken for a formula."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.set_properties(
        {
            "title": page.title,
            "subject": page.standing,
            "author": page.office,
            # The only times in the file: taken from the report, so that it is always the same.
            "created": report.known_at.astimezone(UTC).replace(tzinfo=None),
        }
    )
    formats = _Formats(
        title=book.add_format({"bold": True, "font_size": 14}),
        head=book.add_format({"bold": True, "bg_color": "#EEF2F5", "border": 1, "text_wrap": True, "valign": "top"}),
        text=book.add_format({"text_wrap": True, "valign": "top"}),
        date=book.add_format({"num_format": "dd-mm-yyyy", "align": "left", "valign": "top"}),
        share=book.add_format({"num_format": '0.0"%"'}),
    )
    _summary(book, formats, report, page)
    _asks(book, formats, report, page)
    _confirm(book, formats, page)
    _cooperatives(book, formats, report, page)
    book.close()
    return file.getvalue()


def _sheet(book: Any, formats: _Formats, name: str, heads: Sequence[str], widths: Iterable[float], row: int = 0) -> Any:
    sheet = book.add_worksheet(name)
    sheet.set_landscape()
    sheet.set_paper(LANDSCAPE_A4)
    sheet.fit_to_pages(1, 0)
    sheet.write_row(row, 0, heads, formats.head)
    sheet.repeat_rows(row)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
    return sheet


def _summary(book: Any, formats: _Formats, report: Report, page: Page) -> None:
    before = report.previous
    heads = ["Jumlah", "Kecamatan", "Kabupaten", *(["Laporan terakhir"] if before else [])]
    sheet = _sheet(book, formats, "Ringkasan", heads, (40, 16, 16, 16), row=5)
    sheet.write_string(0, 0, page.title, formats.title)
    for row, text in enumerate((page.place, page.standing, page.issue), 1):
        sheet.write_string(row, 0, text)
    standings = (report, report.regency, *([before] if before else []))
    for row, number in enumerate(Numbers.model_fields, 6):
        sheet.write_string(row, 0, wording.NUMBER[number])
        for column, standing in enumerate(standings, 1):
            sheet.write_number(row, column, getattr(standing, number))
    first = 6 + len(Numbers.model_fields) + 1
    sheet.write_row(first, 0, ["Persen dari yang wajib RAT", *heads[1:]], formats.head)
    for row, share in enumerate(type(report.shares).model_fields, first + 1):
        sheet.write_string(row, 0, wording.NUMBER[share])
        for column, standing in enumerate(standings, 1):
            if (value := getattr(standing.shares, share)) is not None:
                sheet.write_number(row, column, value, formats.share)
    for row, note in enumerate((page.summary, page.mentoring, *page.notes), first + 8):
        sheet.write_string(row, 0, note)


def _asks(book: Any, formats: _Formats, report: Report, page: Page) -> None:
    names = {line.cooperative_id: line.name for line in report.cooperatives}
    sheet = _sheet(book, formats, "Permohonan", ["No", "Permohonan", "Paling lambat", "Koperasi"], (5, 60, 14, 90))
    for row, (ask, asked) in enumerate(zip(report.asks, page.asks, strict=True), 1):
        sheet.write_number(row, 0, row)
        sheet.write_string(row, 1, asked.what, formats.text)
        sheet.write_datetime(row, 2, _date(ask.by), formats.date)
        sheet.write_string(row, 3, "; ".join(names[each] for each in ask.cooperatives), formats.text)


def _confirm(book: Any, formats: _Formats, page: Page) -> None:
    heads = ["No", "Desa/Kelurahan", "Koperasi", "NIK", "Sebab", *page.ticks, "Keterangan"]
    sheet = _sheet(book, formats, "Konfirmasi", heads, (5, 20, 45, 16, 34, 10, 10, 10, 10, 30))
    for row, each in enumerate(page.confirm, 1):
        sheet.write_number(row, 0, row)
        for column, text in enumerate((each.village, each.name, each.nik, each.doubt), 1):
            sheet.write_string(row, column, text, formats.text)


def _cooperatives(book: Any, formats: _Formats, report: Report, page: Page) -> None:
    heads = ["No", "Desa/Kelurahan", "Koperasi", "NIK", *page.years, "Status", "Temuan lapangan"]
    widths = (5, 20, 45, 16, *(12 for _ in page.years), 18, 32)
    sheet = _sheet(book, formats, "Koperasi", heads, widths)
    sheet.freeze_panes(1, 3)
    for row, (line, listed) in enumerate(zip(report.cooperatives, page.cooperatives, strict=True), 1):
        sheet.write_number(row, 0, row)
        for column, text in enumerate((listed.village, listed.name, listed.nik), 1):
            sheet.write_string(row, column, text, formats.text)
        for column, (book_year, text) in enumerate(zip(report.book_years, listed.years, strict=True), 4):
            _held(sheet, row, column, line, book_year, text, formats)
        for column, text in enumerate((listed.status, listed.finding), 4 + len(page.years)):
            sheet.write_string(row, column, text, formats.text)
    if report.cooperatives:
        sheet.autofilter(0, 0, len(report.cooperatives), len(heads) - 1)
    sheet.write_string(len(report.cooperatives) + 2, 0, page.legend)


def _held(sheet: Any, row: int, column: int, line: Line, book_year: int, text: str, formats: _Formats) -> None:
    held_on = next((year.held_on for year in line.book_years if year.book_year == book_year), None)
    if held_on:
        sheet.write_datetime(row, column, _date(held_on), formats.date)
    else:
        sheet.write_string(row, column, text, formats.text)


def _date(value: Any) -> datetime:
    return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a calendar day, as a cell has it
