"""The consumers that agencies start from: complete whatever happens, and loud when something is missing."""

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from agency_trial import PYTHON, Consumer, Proxy, credentials, durable, events, hard_day, lines, rows
from filling import fill
from nats.aio.client import Client

from contracts.generate import CONTRACTS
from dinkop.completeness import manifest
from dinkop.consumer_handlers import started
from dinkop.consumer_trial import Trial
from dinkop.public_events import export
from dinkop.system import System


def quiet(done: int, total: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture(scope="session")
def javascript(pytestconfig: pytest.Config) -> tuple[str, ...]:
    """The consumer in JavaScript, what it needs installed once."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no node here")
    folder: Path = pytestconfig.cache.mkdir("javascript")  # type: ignore[union-attr]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "consumer.mjs"):
            shutil.copy(CONTRACTS / "consumers" / "javascript" / name, folder)
        if not (folder / "node_modules" / "@nats-io" / "jetstream").exists():
            words = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode:
                pytest.skip(f"nothing can be installed here: {done.stderr[-300:]}")
    return ("node", str(folder / "consumer.mjs"))


@pytest.fixture
def in_python(tmp_path: Path) -> Consumer:
    return Consumer(PYTHON, tmp_path, rows)


@pytest.fixture
def in_javascript(javascript: tuple[str, ...], tmp_path: Path) -> Consumer:
    return Consumer(javascript, tmp_path, lines)


@pytest.fixture(params=["in_python", "in_javascript"])
def consumer(request: pytest.FixtureRequest) -> Consumer:
    found: Consumer = request.getfixturevalue(request.param)
    return found


async def test_it_is_complete_after_a_hard_day(system: System, public_stream: Client, consumer: Consumer) -> None:
    # A hundred thousand are in tests/benchmarks.
    await hard_day(system, public_stream, consumer, 4_000)


async def test_it_begins_anew_when_its_connection_ends_while_it_waits_for_an_answer(
    system: System, public_stream: Client, consumer: Consumer
) -> None:
    published = list(events(200))
    await fill(public_stream, published[:100])
    await durable(public_stream)
    async with Proxy(system.running.nats_url).listening() as proxy:
        credentials(consumer.folder, proxy.url)
        await consumer.start()
        await consumer.has(100)
        proxy.silence()
        await asyncio.sleep(2.0)  # a fetch ends within one second, and the question after it has no answer
        proxy.cut()
        await fill(public_stream, published[100:])
        await consumer.has(200)
        await consumer.kill()


async def test_it_stops_at_a_gap_that_does_not_close(system: System, public_stream: Client, consumer: Consumer) -> None:
    published = list(events(100))
    await fill(public_stream, published[:40] + published[41:])
    await durable(public_stream)
    credentials(consumer.folder, system.running.nats_url)
    await consumer.start("--once")
    assert await consumer.ended() == 1
    _, told = await consumer.says("--manifest")
    assert json.loads(told)["events"] == 100 - 12  # the registry's from its ninth on


async def test_it_goes_on_from_a_snapshot_without_a_gap(
    system: System, public_stream: Client, consumer: Consumer
) -> None:
    published = list(events(500))
    await fill(public_stream, published[:300])
    file = consumer.folder / "events.jsonl"
    stamp = await export(system, file, (), quiet)
    await fill(public_stream, published[300:])
    await durable(public_stream, after=stamp["log_sequence"])
    credentials(consumer.folder, system.running.nats_url)
    await consumer.start("--snapshot", str(file), "--once")
    assert await consumer.ended() == 0
    due = await manifest(system, (), None, quiet)
    _, told = await consumer.says("--manifest")
    assert json.loads(told)["digest"] == due["digest"]


async def test_a_cut_off_snapshot_is_not_begun_with(system: System, public_stream: Client, in_python: Consumer) -> None:
    await fill(public_stream, list(events(50)))
    await durable(public_stream)
    file = in_python.folder / "events.jsonl"
    await export(system, file, (), quiet)
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    credentials(in_python.folder, system.running.nats_url)
    await in_python.start("--snapshot", str(file), "--once")
    assert await in_python.ended() == 1


async def test_one_of_some_kecamatan_counts_what_it_gets(
    system: System, public_stream: Client, consumer: Consumer
) -> None:
    await fill(public_stream, list(events(500)))
    mine = ["dinkop.v1.*.*.350721", "dinkop.v1.*.*.350714"]
    await durable(public_stream, *mine)
    credentials(consumer.folder, system.running.nats_url, mine)
    await consumer.start("--once")
    assert await consumer.ended() == 0
    due = await manifest(system, ["Wagir", "Bululawang"], None, quiet)
    (consumer.folder / "due.json").write_text(json.dumps(due))
    assert await consumer.says("--check", str(consumer.folder / "due.json")) == (0, "Complete.\n")
    whole = await manifest(system, (), None, quiet)
    (consumer.folder / "due.json").write_text(json.dumps(whole))
    assert (await consumer.says("--check", str(consumer.folder / "due.json")))[0] == 1


async def test_it_takes_the_consumer_test(consumer: Consumer) -> None:
    async with started([*consumer.words, "--test", "--state", str(consumer.state)], 20.0) as handler:
        results = [result async for result in Trial(handler, everything=True).run()]
    assert [result.problem for result in results] == [""] * 9
