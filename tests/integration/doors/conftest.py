"""One guarded server for all tests of a module."""

from collections.abc import Iterator

import pytest
from guarded import Guarded, guarded

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    """The server, the stream and its readers; a test leaves them as they were."""
    with guarded() as running:
        yield running
