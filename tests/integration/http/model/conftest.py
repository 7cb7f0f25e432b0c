"""Clients that wait for their answers, since hypothesis does; and assertions that say what differs."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import issuing
import pytest
from system import System

pytest.register_assert_rewrite("questions", "the_office")


@pytest.fixture
def clients(system: System) -> Iterator[dict[str, httpx.Client]]:
    """A client of each service."""
    with ExitStack() as opened:
        yield {
            service: opened.enter_context(
                httpx.Client(base_url=url, headers=issuing.everything(), timeout=60, trust_env=False)
            )
            for service, url in system.urls.items()
        }
