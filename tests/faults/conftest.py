"""One process that forks, for all tests of a worker."""

from collections.abc import Iterator

import pytest
from forking import Forks, forks


@pytest.fixture(scope="session")
def children() -> Iterator[Forks]:
    """What forks."""
    with forks() as open_:
        yield open_
