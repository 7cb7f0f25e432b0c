"""`python -m services.<name> rebuild …`: what a service's own command line does, says, and ends with."""

import asyncio
from typing import Any

import asyncpg
import psutil
import pytest
from eventually import eventually
from nats.aio.client import Client
from servers import Nats, free_ports

from chassis import cli
from chassis import replaying as module
from chassis.messaging.pulling import Interrupted
from chassis.operations.children import Children, ReplayRefused
from chassis.settings import Settings
from chassis.storage.database import Database
from services.registry.service import service

GHOST = """INSERT INTO cooperatives_g1.cooperatives SELECT (jsonb_populate_record(NULL::cooperatives_g1.cooperatives,
           jsonb_object_agg(column_name, CASE WHEN data_type = 'uuid' THEN to_jsonb(gen_random_uuid())
               WHEN data_type ~ 'int' THEN '0' WHEN data_type = 'jsonb' THEN '[]' WHEN data_type = 'boolean' THEN 'true'
               WHEN data_type ~ 'date|time' THEN to_jsonb(now()) ELSE '"x"' END))).*
           FROM information_schema.columns WHERE table_schema = 'cooperatives_g1' AND table_name = 'cooperatives'"""


@pytest.fixture
def settings(database_url: str, nats: Nats, public_stream: Client) -> Settings:
    """The settings of a service with an empty database, beside an empty stream."""
    return Settings(database_url=database_url, nats_url=nats.url)


async def run(settings: Settings, *words: str) -> tuple[int, dict[str, Any]]:
    return await cli.replay(service, settings, cli.parser(service).parse_args(words))


async def test_it_tells_what_came_of_it_and_ends_with_0(settings: Settings) -> None:
    id_ = "0190b5a0-0000-7000-8000-000000000001"
    code, told = await run(settings, "rebuild", "cooperatives", "--reason", "in doubt", "--actor", "siti", "--id", id_)
    assert (code, told["id"], told["kind"], told["state"]) == (0, id_, "rebuild", "live")
    assert told["generation"] == 2
    connection = await asyncpg.connect(settings.database_url)
    [record] = await connection.fetch("SELECT actor, reason, state FROM rebuilds")
    await connection.close()
    assert tuple(record) == ("siti", "in doubt", "live")
    code, told = await run(settings, "rebuild", "cooperatives", "--dry-run")
    assert (code, told["kind"], told["state"]) == (0, "dry_run", "equal")
    code, told = await run(settings, "rollback", "cooperatives")
    assert (code, told["generation"]) == (0, 1)
    assert await run(settings, "retire", "cooperatives") == (0, {"retired": 2})


async def test_a_live_generation_that_is_not_what_its_events_make_ends_with_1_unless_that_was_the_question(
    settings: Settings, service_database: Database
) -> None:
    assert (await run(settings, "verify", "cooperatives"))[0] == 0
    await service_database.pool.execute(GHOST)
    code, told = await run(settings, "verify", "cooperatives")
    assert (code, told["compared"]["removed"]) == (1, 1)
    assert told["problem"] == "The live generation is not what its events make."
    assert (await run(settings, "rebuild", "cooperatives", "--dry-run"))[0] == 0
    code, told = await run(settings, "rebuild", "cooperatives")
    assert code == 1
    assert "Nothing is swapped" in told["problem"]
    assert (await run(settings, "rebuild", "cooperatives", "--accept"))[0] == 0


async def test_without_nats_nothing_is_waited_for_without_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.5)
    [nobody] = free_ports(1)
    with pytest.raises(Interrupted, match="does not answer"):
        async with module.replays(service, settings.database_url, f"nats://127.0.0.1:{nobody}"):
            pass


def test_words_that_mean_nothing_end_with_2(settings: Settings) -> None:
    for words in (["rebuild"], ["rebuild", "weather"], ["verify", "cooperatives", "--accept"]):
        with pytest.raises(SystemExit) as ended:
            cli.parser(service).parse_args(words)
        assert ended.value.code == 2


def replaying() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "services.registry" in child.cmdline()]


async def test_a_replay_ends_with_the_service_that_began_it(settings: Settings) -> None:
    nowhere = {"DINKOP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    children = Children("registry", settings.environment() | nowhere)

    async def never() -> bool:
        return False

    begun = asyncio.create_task(children.start(["rebuild", "cooperatives"], never))
    await eventually(lambda: replaying())  # and it waits for a database that will not come
    await children.stop()
    assert replaying() == []
    with pytest.raises(asyncio.CancelledError):
        await begun


async def test_what_a_replay_was_refused_for_is_told_to_who_began_it(settings: Settings) -> None:
    children = Children("registry", settings.environment())
    with pytest.raises(ReplayRefused) as refused:
        await children.finish(["rollback", "cooperatives"])
    assert refused.value.detail == "cooperatives has no generation before the live one."
