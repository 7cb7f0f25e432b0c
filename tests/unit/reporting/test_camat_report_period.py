"""The periods that reports are issued for."""

from datetime import date

import pytest

from services.reporting.domain.camat_report_period import period


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q3", date(2026, 7, 1), date(2026, 9, 30)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026-S1", date(2026, 1, 1), date(2026, 6, 30)),
        ("2026-S2", date(2026, 7, 1), date(2026, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
    ],
)
def test_a_period_has_a_first_and_a_last_day(name: str, first: date, last: date) -> None:
    read = period(name)
    assert (read.name, read.first, read.last) == (name, first, last)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "2026",
        "2026-Q0",
        "2026-Q5",
        "2026-S3",
        "2026-00",
        "2026-13",
        "2026-q3",
        "Q3-2026",
        "2026-Q3 ",
        "٢٠٢٦-Q3",
        "1899-Q1",
        "2200-Q1",
        "26-Q3",
        "2026-Q31",
    ],
)
def test_anything_else_is_no_period(name: str) -> None:
    with pytest.raises(ValueError, match="2026-Q3"):
        period(name)
