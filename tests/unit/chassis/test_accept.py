"""Which format a caller likes best."""

import pytest

from chassis.http.accept import preferred
from services.reporting.documents.formats import FORMATS

OFFERED = {name: rendering.media_type for name, rendering in FORMATS.items()}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("", "json"),
        (BROWSER, "html"),
        ("application/pdf", "pdf"),
        ("TEXT/CSV; q=0.5, application/pdf;q=0.4", "csv"),
        ("text/*", "html"),
        ("text/*, text/html;q=0", "csv"),
        ("application/json;q=0, */*;q=0.1", "html"),
        ("image/png", None),
        ("application/pdf;q=nonsense", None),
        ("application/pdf;q=0", None),
    ],
)
def test_the_best_of_what_is_offered_is_taken(accept: str | None, format_: str | None) -> None:
    assert preferred(accept, OFFERED) == format_
