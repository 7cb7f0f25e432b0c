"""Personal data leaves no readable trace: not in the database's files, not on the stream, not in a log."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import asyncpg
import httpx
import issuing
import pytest
from eventually import eventually
from mentoring_service import serving
from nats.aio.client import Client
from servers import CONTAINERS, Nats, Postgres, free_ports

from chassis.replaying import Order, replays
from chassis.settings import Settings
from services.mentoring.service import service as mentoring

REPOSITORY = Path(__file__).parents[3]
WORDS = {
    "a name": "Xqwortini Vbekalung",
    "a role": "pengawas-zjuqk",
    "a phone": "0899-7715-3346",
    "a complaint": "kaskosong-wvyxqh sejak dua tahun",
    "an address": "Gang Pjxomba 77",
    "a cooperative's name": "KSP Qyzzanthia",
    "a letter's number": "QX-9913/ZZ/2024",
}
FINDABLE = "findable-7c1f0a92"
"""Stands in every event's metadata: a search that does not find it would find nothing else either."""
REQUEST = {
    "cooperative_id": None,
    "cooperative_name": WORDS["a cooperative's name"],
    "location": {"kecamatan_code": "35.07.21", "address": WORDS["an address"]},
    "people": [{"name": WORDS["a name"], "role": WORDS["a role"], "phone": WORDS["a phone"]}],
    "complaint": WORDS["a complaint"],
    "category": "bookkeeping",
    "channel": "letter",
    "letter_number": WORDS["a letter's number"],
}


@pytest.fixture
async def service(settings: Settings, public_stream: Client, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The service in a process of its own, as it runs in earnest: its URL and its log."""
    [port] = free_ports(1)
    log = tmp_path / "mentoring.log"
    assert settings.master_key is not None
    environment = os.environ | {
        "DINKOP_DATABASE_URL": settings.database_url,
        "DINKOP_NATS_URL": settings.nats_url,
        "DINKOP_NATS_MONITORING_URL": settings.nats_monitoring_url,
        "DINKOP_PORT": str(port),
        "DINKOP_TODAY": "2024-11-14",
        "DINKOP_LOG_LEVEL": "debug",
        "DINKOP_MASTER_KEY": settings.master_key.get_secret_value(),
        "DINKOP_KEYS": str(settings.keys),
        **issuing.ENVIRONMENT,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.mentoring"],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return (await client.get(f"{url}/readyz")).status_code == 200

        await eventually(ready, 60)
    yield url, log
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(process.wait, 10)
    finally:
        process.kill()


@pytest.mark.skipif(CONTAINERS, reason="the files of containers can't be read from here")
async def test_names_and_words_are_in_no_file_of_the_database_or_the_stream_and_in_no_log(
    service: tuple[str, Path], postgres: Postgres, nats: Nats
) -> None:
    url, log = service
    async with httpx.AsyncClient(
        base_url=url, headers={"X-Correlation-Id": FINDABLE, **issuing.everything()}, trust_env=False
    ) as client:
        answer = await client.post("/v1/requests", json=REQUEST, headers={"Idempotency-Key": "key-1"})
        assert answer.status_code == 201, answer.text
        request_id = answer.json()["request_id"]
        # Read, listed, refused and misunderstood: whatever is logged about it is logged now.
        item = await client.get(f"/v1/requests/{request_id}")
        people = await client.get(f"/v1/requests/{request_id}/people")
        listed = await client.get("/v1/requests?at_least=mentoring:1", timeout=15)
        history = await client.get(f"/v1/requests/{request_id}/history")
        refused = await client.post("/v1/requests", json=REQUEST | {"received_on": "2024-11-15"})
        misshapen = await client.post("/v1/requests", json=REQUEST | {"complaint": [WORDS["a complaint"]]})
        metrics = await client.get("/metrics")
        assert [refused.status_code, misshapen.status_code] == [422, 422]

    shown = item.text + people.text
    assert all(word in shown for word in WORDS.values())
    for answer in (listed, history, refused, misshapen, metrics):
        assert not [what for what, word in WORDS.items() if word in answer.text], answer.url

    data, stream = await data_directory(postgres), await store_directory(nats)
    assert found_in(data, [FINDABLE]), "the search does not read what the database wrote"
    assert found_in(stream, [FINDABLE]), "the search does not read what the stream wrote"
    assert found_in(log.parent, [FINDABLE]), "the search does not read the log"
    for place in (data, stream, log.parent):
        assert found_in(place, WORDS.values()) == set(), place


async def test_a_service_that_only_rebuilt_something_yet_starts_without_any_key(
    settings: Settings, public_stream: Client
) -> None:
    async with serving(settings), replays(mentoring, settings.database_url, settings.nats_url) as open_:
        await open_.carry_out(mentoring.projections[0], Order())
    async with serving(settings) as client:
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("missing", ["DINKOP_MASTER_KEY", "DINKOP_KEYS"])
async def test_without_what_personal_data_needs_the_service_says_what_is_missing(
    settings: Settings, missing: str
) -> None:
    assert settings.master_key is not None
    given = {"DINKOP_MASTER_KEY": settings.master_key.get_secret_value(), "DINKOP_KEYS": str(settings.keys)}
    environment = {name: value for name, value in (os.environ | given).items() if name != missing}
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.mentoring"],
        cwd=REPOSITORY,
        env=environment | {"DINKOP_DATABASE_URL": settings.database_url, **issuing.ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"{missing}: needed")


async def data_directory(postgres: Postgres) -> Path:
    """Return where the server keeps tables and write-ahead log, with everything in it written down."""
    connection = await asyncpg.connect(postgres.url("postgres"))
    try:
        await connection.execute("CHECKPOINT")
        return Path(await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


async def store_directory(nats: Nats) -> Path:
    """Return where the server keeps its streams."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{nats.monitoring_url}/jsz?config=true")
    return Path(answer.json()["config"]["store_dir"])


def found_in(folder: Path, words: Iterable[str]) -> set[str]:
    """Return those of `words` that stand, as they are, in any file below `folder`."""
    wanted = {word: word.encode() for word in words}
    return {
        word
        for path in folder.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        for word, raw in wanted.items()
        if raw in content
    }
