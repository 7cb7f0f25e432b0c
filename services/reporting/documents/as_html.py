"""A camat report as one HTML page that needs nothing else: its style within it, no script, fit to be printed."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.reporting.documents.page import Page

HERE = Path(__file__).parent


def as_html(page: Page) -> bytes:
    """Return the page as HTML in UTF-8."""
    return _template().render(page=page).encode()


@cache
def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    environment.globals["css"] = (HERE / "camat_report.css").read_text("utf-8")
    return environment.get_template("camat_report.html.jinja")
