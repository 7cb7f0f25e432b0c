"""Legal entity numbers are compared without blanks and case."""

import pytest

from contracts.identity import legal_entity_key


@pytest.mark.parametrize(
    "written",
    ["901/BH/XVI.14/XII/2014", "901/BH/XVI.14/ XII /2014", " 901/bh/xvi.14/xii/2014\n", "901/BH/\u00a0XVI.14/XII/2014"],
)
def test_blanks_and_case_do_not_make_another_number(written: str) -> None:
    assert legal_entity_key(written) == "901/BH/XVI.14/XII/2014"


def test_punctuation_makes_another_number() -> None:
    assert legal_entity_key("901/BH/XVI-14") != legal_entity_key("901/BH/XVI.14")
