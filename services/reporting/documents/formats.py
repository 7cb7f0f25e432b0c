"""The formats that a camat report comes in: how each is named, what it is served as, how it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.reporting.documents.as_csv import as_csv
from services.reporting.documents.as_html import as_html
from services.reporting.documents.as_pdf import as_pdf
from services.reporting.documents.as_xlsx import as_xlsx
from services.reporting.documents.page import page
from services.reporting.domain.camat_report import Report
from services.reporting.domain.camat_report_issue import Format


@dataclass(frozen=True, slots=True)
class Rendering:
    """One format: its media type, and what makes the bytes of a report; making them blocks."""

    media_type: str
    make: Callable[[Report], bytes]


FORMATS: Mapping[Format, Rendering] = {
    "json": Rendering("application/json", lambda report: report.model_dump_json().encode()),
    "html": Rendering("text/html; charset=utf-8", lambda report: as_html(page(report))),
    "csv": Rendering("text/csv; charset=utf-8; header=present", as_csv),
    "xlsx": Rendering(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        lambda report: as_xlsx(report, page(report)),
    ),
    "pdf": Rendering("application/pdf", lambda report: as_pdf(page(report), made_at=int(report.known_at.timestamp()))),
}
"""By extension, the preferred first."""
