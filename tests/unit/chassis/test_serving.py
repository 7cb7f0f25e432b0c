"""How a service's connections are kept."""

import httpx
from fastapi import FastAPI

from chassis.http.serving import Server
from chassis.settings import Settings

LOAD_BALANCERS = 60
"""Seconds for which nginx, and the balancers of the large clouds, keep a connection without a call by default."""


def test_a_connection_is_kept_longer_than_its_callers_keep_it() -> None:
    server = Server(FastAPI(), Settings(database_url="postgresql://nowhere/none"))
    assert server.config.timeout_keep_alive > max(httpx.Limits().keepalive_expiry or 0, LOAD_BALANCERS)
