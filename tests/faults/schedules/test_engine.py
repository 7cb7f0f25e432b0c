"""What breaks containers does break them: they die and come back, are cut off, and lose what they had not synced."""

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually

from schedules import disk, engine
from schedules.engine import Container, Link, Volume

IMAGE = "nats:2.15-alpine"
"""One that docker-compose.yml names, with a server and a shell."""
PORT = 4222


def absent() -> str | None:
    """Return why there can be no containers here. An image is not fetched for a test."""
    why = engine.missing()
    return why or (f"the engine has no {IMAGE}" if engine.docker("image", "inspect", IMAGE).returncode else None)


pytestmark = pytest.mark.skipif(absent() is not None, reason=str(absent()))

type Run = Callable[..., Container]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run containers on a network of the test's own; as in docker-compose.yml, the engine starts again what dies."""
    network = f"dinkop-engine-{secrets.token_hex(4)}"
    engine.done("network", "create", network)
    made: list[Container] = []

    def start(*words: str, options: tuple[str, ...] = ()) -> Container:
        run = ("run", "--detach", "--network", network, "--restart", "unless-stopped", "--cap-drop", "ALL")
        made.append(Container(engine.done(*run, *options, IMAGE, *words)))
        return made[-1]

    yield start
    for each in made:
        engine.docker("rm", "--force", "--volumes", each.name)
    engine.done("network", "rm", network)


async def test_what_is_killed_is_started_again_and_what_is_put_down_stays_down(run: Run) -> None:
    container = run("sleep", "600")
    first = container.pid()
    assert first
    assert container.kill()
    assert await eventually(lambda: container.pid() not in (None, first) and container.pid()) != first
    container.put_down()
    await engine.ended([container])
    time.sleep(1)
    assert container.state()["Status"] == "exited"
    assert not container.kill()
    engine.done("start", container.name)
    assert container.pid()


async def test_a_container_that_is_silenced_does_nothing_more(run: Run) -> None:
    container = run("sh", "-c", "while :; do date +%s%N > /tmp/now; done")

    def now() -> str:
        return Path(f"/proc/{container.pid()}/root/tmp/now").read_text()

    def counts() -> bool:
        return now() != now()

    await eventually(counts)
    container.silence()
    assert now() == now()


@pytest.mark.skipif(engine.unwired() is not None, reason=str(engine.unwired()))
async def test_a_link_cuts_a_container_off_from_one_port_and_holds_back_what_is_sent(run: Run) -> None:
    run(options=("--network-alias", "server"))
    client = run("sleep", "600")

    def talks(port: int = PORT, seconds: int = 1) -> bool:
        """Tell whether a server answers there: each of its ports has something to say to a line it can't read."""
        words = f"echo hello | timeout {seconds} nc server {port} | grep -q ."
        return engine.docker("exec", client.name, "sh", "-c", words).returncode == 0

    def reaches(port: int) -> bool:
        return talks(port)

    await eventually(lambda: reaches(PORT))
    await eventually(lambda: reaches(8222))
    link = Link(client, PORT)
    words = ["docker", "exec", client.name, "nc", "server", str(PORT)]
    with subprocess.Popen([*words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as open_:
        assert open_.stdout
        assert open_.stdout.readline().startswith(b"INFO")
        begun = time.monotonic()
        link.cut()
        assert open_.stdout.read() == b"", "a connection that was open is reset"
        assert time.monotonic() - begun < 2
    begun = time.monotonic()
    assert not talks(seconds=5)
    assert time.monotonic() - begun < 2, "it is refused, and not left waiting"
    assert talks(8222), "another port is no matter of this link"
    link.mend()
    assert talks()
    link.hold()
    begun = time.monotonic()
    assert not talks(seconds=2)
    assert time.monotonic() - begun >= 2, "nobody is told"
    assert talks(8222)
    link.mend()
    assert talks()


@pytest.mark.skipif(engine.unwired() is not None, reason=str(engine.unwired()))
async def test_a_cut_is_forgotten_with_the_network_of_a_container_that_died(run: Run) -> None:
    container = run("sleep", "600")
    link = Link(container, PORT)
    link.cut()
    first = container.pid()
    container.kill()
    await eventually(lambda: container.pid() not in (None, first))
    link.mend()
    container.put_down()
    link.hold()
    link.mend()


@pytest.mark.skipif(disk.missing() is not None, reason=str(disk.missing()))
async def test_a_volume_loses_what_was_not_synced_with_its_power_and_nothing_else(run: Run, tmp_path: Path) -> None:
    disk.apart()
    volume = Volume(tmp_path / "disk.img", tmp_path / "disk", 32)
    name = f"dinkop-engine-{secrets.token_hex(4)}"
    options = [f"--opt={key}={value}" for key, value in volume.options.items()]
    engine.done("volume", "create", *options, name)
    try:
        writes = "echo kept > /disk/synced; sync /disk/synced; echo lost > /disk/unsynced; exec sleep 600"
        mounted = ("--volume", f"{name}:/disk")
        container = run("sh", "-c", f"[ -e /disk/synced ] || {{ {writes}; }}; exec sleep 600", options=mounted)
        await eventually((volume.place / "unsynced").exists)
        container.silence()
        volume.lose_power()
        container.put_down()
        await engine.ended([container])
        volume.come_back()
        engine.done("start", container.name)
        assert engine.done("exec", container.name, "ls", "/disk") == "synced"
        assert engine.done("exec", container.name, "cat", "/disk/synced") == "kept"
        engine.done("exec", container.name, "sh", "-c", "echo again > /disk/synced")
        engine.done("rm", "--force", container.name)
    finally:
        engine.done("volume", "rm", "--force", name)
        volume.discard()
