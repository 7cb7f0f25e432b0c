"""A camat report as PDF: tagged for screen readers (PDF/UA) and fit for archives (PDF/A), by typst."""

import json
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from services.reporting.documents.page import Page

if TYPE_CHECKING:  # 70 MB that only whoever makes a PDF needs: a command that reads a manifest doesn't
    import typst

TEMPLATE = Path(__file__).with_name("camat_report.typ")

# Only the stub knows the type.
_STANDARDS: "list[typst.PDFStandard]" = ["a-2a", "ua-1"]
_UNBROKEN = re.compile(r"\S{24}(?=\S)")
_BREAK_HERE = "\u200b"
_compiling = Lock()
"""One compiler is kept, for what it remembers makes every report but the first many times cheaper."""


def as_pdf(page: Page, *, made_at: int) -> bytes:
    """Return the page as PDF; `made_at` (seconds since 1970 UTC) goes into its metadata. Blocks meanwhile."""
    import typst

    inputs = {"page": json.dumps(_breakable(asdict(page)), ensure_ascii=False)}
    with _compiling:
        try:
            return _compiled(inputs, made_at, _STANDARDS)
        except typst.TypstError:
            # Both standards forbid characters that no font has, and a name may hold any.
            return _compiled(inputs, made_at, [])


def _compiled(inputs: dict[str, str], made_at: int, standards: "list[typst.PDFStandard]") -> bytes:
    pdf = _compiler().compile(
        TEMPLATE.read_bytes(), format="pdf", sys_inputs=inputs, pdf_standards=standards, timestamp=made_at
    )
    assert isinstance(pdf, bytes)
    return pdf


@cache
def _compiler() -> "typst.Compiler":
    import typst

    # Only the fonts within typst itself, so that every machine makes the same bytes.
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)


def _breakable(value: Any) -> Any:
    """Let words that are longer than a column break."""
    match value:
        case str():
            return _UNBROKEN.sub(lambda found: found[0] + _BREAK_HERE, value)
        case dict():
            return {name: _breakable(each) for name, each in value.items()}
        case list() | tuple():
            return [_breakable(each) for each in value]
        case _:
            return value
