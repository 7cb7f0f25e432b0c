"""Cells of imported spreadsheets."""

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.definitions.cells import COMMA_THOUSANDS, DOT_THOUSANDS, BadCell, NumberFormat, compact, day, text


@pytest.mark.parametrize("blank", ["", " ", "-", " - ", "00/01/1900", "\u00a0"])
def test_a_blank_a_dash_and_the_excel_zero_say_nothing(blank: str) -> None:
    assert text(blank) is None
    assert day(blank) is None
    assert COMMA_THOUSANDS.whole(blank) is None


def test_a_date_is_read_day_first() -> None:
    assert day(" 09/03/2019 ") == date(2019, 3, 9)
    assert day("9/3/2019") == date(2019, 3, 9)


@pytest.mark.parametrize(
    "broken", ["24//1/2026", "31/02/2020", "2020-01-01", "09/03/19", "13/13/2020", "01/01/1899", "01/01/0000", "soon"]
)
def test_a_broken_date_is_refused(broken: str) -> None:
    with pytest.raises(BadCell):
        day(broken)


@pytest.mark.parametrize(
    ("numbers", "cell", "value"),
    [
        (COMMA_THOUSANDS, "3,824", 3824),
        (COMMA_THOUSANDS, "12,345,678", 12345678),
        (COMMA_THOUSANDS, "0", 0),
        (DOT_THOUSANDS, "3.350", 3350),
        (DOT_THOUSANDS, "-1.000", -1000),
    ],
)
def test_thousands_are_separated_as_the_source_does(numbers: NumberFormat, cell: str, value: int) -> None:
    assert numbers.whole(cell) == value


@pytest.mark.parametrize(
    ("numbers", "cell"),
    [
        (COMMA_THOUSANDS, "3.824"),
        (DOT_THOUSANDS, "3,824"),
        (COMMA_THOUSANDS, "38,24"),
        (COMMA_THOUSANDS, "3,82"),
        (COMMA_THOUSANDS, ",824"),
        (COMMA_THOUSANDS, "1e3"),
        (COMMA_THOUSANDS, "٣"),
        (COMMA_THOUSANDS, "9" * 5000),
        (COMMA_THOUSANDS, "12 orang"),
    ],
)
def test_a_separator_is_never_guessed(numbers: NumberFormat, cell: str) -> None:
    with pytest.raises(BadCell):
        numbers.whole(cell)


@pytest.mark.parametrize(
    ("cell", "value"), [("(11.845.222)", -11845222), (" ( 950 ) ", -950), (" - ", 0), ("", None), ("00/01/1900", None)]
)
def test_a_ledger_puts_negative_numbers_in_brackets_and_a_dash_for_zero(cell: str, value: int | None) -> None:
    assert DOT_THOUSANDS.whole(cell) == value


@pytest.mark.parametrize("cell", ["(3,824)", "(-5)", "()", "(12", "((12))", "(00/01/1900)"])
def test_brackets_around_anything_else_are_refused(cell: str) -> None:
    with pytest.raises(BadCell):
        DOT_THOUSANDS.whole(cell)


def test_a_source_that_does_not_write_as_ledgers_do_may_not_use_brackets() -> None:
    with pytest.raises(BadCell):
        COMMA_THOUSANDS.whole("(3,824)")


@given(st.text())
def test_any_text_is_read_or_refused(cell: str) -> None:
    for parse in (day, COMMA_THOUSANDS.whole, DOT_THOUSANDS.whole):
        with contextlib.suppress(BadCell):
            parse(cell)
    text(cell)
    assert compact(compact(cell)) == compact(cell)


@given(st.integers(-(10**12), 10**12))
def test_a_number_a_workbook_holds_is_written_so_that_its_source_reads_it(number: int) -> None:
    for numbers in (COMMA_THOUSANDS, DOT_THOUSANDS):
        assert numbers.whole(numbers.written(float(number))) == number


def test_a_fraction_never_reads_as_thousands() -> None:
    assert DOT_THOUSANDS.written(1.234) == "1,234"
    with pytest.raises(BadCell):
        DOT_THOUSANDS.whole(DOT_THOUSANDS.written(1.234))
