"""TLS by the database's URL, through both drivers: `sslmode=verify-full` lets no other server in between."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
from servers import PASSWORD, ROLE, Postgres, name_of
from sqlalchemy import text
from tls_front import certificates, front

from chassis.storage import database
from chassis.storage.leadership import leadership
from chassis.storage.migrations.awaiting import NotLetIn, let_in, migrated
from chassis.storage.session import store_session

WHO = "SELECT current_user"


async def through_the_pool(url: str) -> None:
    pool = database.Pool(url, 1)
    try:
        assert await pool.fetchval(WHO) == ROLE
    finally:
        pool.terminate()


async def through_the_engine(url: str) -> None:
    engine = database.engine(url)
    try:
        async with engine.connect() as connection:
            assert (await connection.execute(text(WHO))).scalar_one() == ROLE
    finally:
        await engine.dispose()


async def through_a_session(url: str) -> None:
    async with store_session(url, lambda: None) as session:
        assert await session.event_at(1) is None


async def through_leadership(url: str) -> None:
    async with leadership(url, lambda: 0.0):
        pass


WAYS = (through_the_pool, through_the_engine, through_a_session, through_leadership)

type Way = Callable[[str], Awaitable[None]]


def at(port: int, database_url: str, **parameters: str) -> str:
    """Return the URL of a database at another port."""
    query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in parameters.items())
    return f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{name_of(database_url)}?{query}"


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_the_database_is_encrypted_and_checks_the_server(
    database_url: str, tmp_path: Path, way: Way
) -> None:
    own = certificates(tmp_path / "own")
    async with front(database_url, own.server) as server:
        await way(at(server.port, database_url, sslmode="verify-full", sslrootcert=str(own.authority)))
        assert (server.encrypted, server.plain) == (1, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_another_authority_certified_is_told_nothing(
    database_url: str, tmp_path: Path, way: Way
) -> None:
    own, another = certificates(tmp_path / "own"), certificates(tmp_path / "another")
    async with front(database_url, another.server) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await way(at(server.port, database_url, sslmode="verify-full", sslrootcert=str(own.authority)))
        assert (server.encrypted, server.plain) == (0, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_certificate_of_another_server_is_refused(database_url: str, tmp_path: Path, way: Way) -> None:
    own = certificates(tmp_path / "own", "192.0.2.1")
    async with front(database_url, own.server) as server:
        url = at(server.port, database_url, sslmode="verify-full", sslrootcert=str(own.authority))
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await way(url)


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_without_tls_is_not_spoken_to_in_the_clear(database_url: str, tmp_path: Path, way: Way) -> None:
    own = certificates(tmp_path / "own")
    async with front(database_url, None) as server:
        with pytest.raises(ConnectionError):
            await way(at(server.port, database_url, sslmode="verify-full", sslrootcert=str(own.authority)))
        assert (server.encrypted, server.plain) == (0, 0)


async def test_a_service_says_at_once_why_no_waiting_helps(database_url: str, tmp_path: Path) -> None:
    own, another = certificates(tmp_path / "own"), certificates(tmp_path / "another")
    async with front(database_url, another.server) as server:
        url = at(server.port, database_url, sslmode="verify-full", sslrootcert=str(own.authority))
        with pytest.raises(NotLetIn, match="certificate verify failed"):
            await let_in(url)
        with pytest.raises(ssl.SSLCertVerificationError):
            async with database.connect(url):
                pass


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://registry:{password}/@db/registry", "%2F"),
        ("mysql://registry:{password}@db/registry", "postgresql"),
        ("postgresql://registry:{password}@127.0.0.1:1/db?sslmode=verify", "sslmode"),
        ("postgresql://registry:{password}@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/nowhere", "/nowhere"),
    ],
)
async def test_an_address_that_can_not_be_right_is_refused_at_once_without_its_password(
    address: str, words: str
) -> None:
    with pytest.raises(NotLetIn, match=words) as refused:
        await let_in(address.format(password="verysecret"))
    assert "verysecret" not in f"{refused.value!r} {refused.value.__cause__!r}"


async def test_a_wrong_password_is_told_at_once(postgres: Postgres, database_url: str) -> None:
    url = urlsplit(database_url)
    with pytest.raises(NotLetIn, match="password authentication failed"):
        await migrated(url._replace(netloc=f"{ROLE}:wrong@{url.netloc.rpartition('@')[2]}").geturl())
    assert await (await asyncpg.connect(database_url)).fetchval(WHO) == ROLE
