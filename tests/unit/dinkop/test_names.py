"""Which projections a name on the command line means."""

import pytest

from dinkop.names import meant
from dinkop.system import Misused

EVERY = [("registry", "cooperatives"), ("rat", "cooperatives"), ("rat", "plans")]


def test_a_name_is_that_of_one_projection_short_where_only_one_has_it_or_all() -> None:
    assert meant("rat.plans", EVERY) == meant("plans", EVERY) == [("rat", "plans")]
    assert meant("rat.cooperatives", EVERY) == [("rat", "cooperatives")]
    assert meant("all", EVERY) == EVERY


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "weather",
            "weather names no projection. There are: registry.cooperatives, rat.cooperatives, rat.plans, or all.",
        ),
        (
            "cooperatives",
            "cooperatives names several projections. There are: registry.cooperatives, rat.cooperatives, or all.",
        ),
    ],
)
def test_another_one_is_refused_with_those_there_are(name: str, words: str) -> None:
    with pytest.raises(Misused) as refused:
        meant(name, EVERY)
    assert str(refused.value) == words
