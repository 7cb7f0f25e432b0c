"""What breaks containers does break them: they die and come back, are cut off, and lose what they had not synced."""

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nats
import pytest
from eventually import eventually

from schedules import disk, engine
from schedules.engine import Container, Link, Volume

IMAGE = "nats:2.15-alpine"
"""One that docker-compose.yml names, with a server and a shell."""
REPOSITORY = Path(__file__).parents[3]
PORT, MONITORING = 4222, 8222


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

    def talks(port: int, seconds: int = 1) -> bool:
        """Tell whether the server answers there within so long: each of its ports answers a line it can't read."""
        words = f"echo hello | timeout {seconds} nc server {port} | grep -q ."
        return engine.docker("exec", client.name, "sh", "-c", words).returncode == 0

    def connected() -> bool:
        sockets = Path(f"/proc/{client.pid()}/net/tcp").read_text()
        return f":{MONITORING:04X} 01 " in sockets

    await eventually(lambda: talks(MONITORING))
    link = Link(client, MONITORING)
    await eventually(lambda: not connected())
    # Nobody says anything on it, so that nothing but the cut itself can end it.
    with subprocess.Popen(
        ["docker", "exec", "--interactive", client.name, "nc", "server", str(MONITORING)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as idle:
        await eventually(connected)
        link.cut()
        assert not connected()
        assert idle.wait(5) is not None
    begun = time.monotonic()
    assert not talks(MONITORING, seconds=5)
    assert time.monotonic() - begun < 4, "it is refused, and not left waiting"
    assert talks(PORT), "another port is no matter of this link"
    link.mend()
    assert talks(MONITORING)
    link.hold()
    begun = time.monotonic()
    assert not talks(MONITORING, seconds=2)
    assert time.monotonic() - begun >= 2, "nobody is told"
    assert talks(PORT)
    link.mend()
    assert talks(MONITORING)


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


type Attach = Callable[[int], tuple[Volume, str]]


@pytest.fixture
def attach(run: Run, tmp_path: Path) -> Iterator[Attach]:
    """Make a volume of so many megabytes, and the name by which the engine mounts it."""
    disk.apart()
    made: list[tuple[Volume, str]] = []

    def attached(megabytes: int) -> tuple[Volume, str]:
        volume = Volume(tmp_path / f"{len(made)}.img", tmp_path / f"disk{len(made)}", megabytes)
        made.append((volume, f"dinkop-engine-{secrets.token_hex(4)}"))
        options = [f"--opt={key}={value}" for key, value in volume.options.items()]
        engine.done("volume", "create", *options, made[-1][1])
        return made[-1]

    yield attached
    for volume, name in made:
        users = engine.done("ps", "--all", "--quiet", "--filter", f"volume={name}").split()
        engine.done("rm", "--force", *users)
        engine.done("volume", "rm", name)
        volume.discard()


needs_disk = pytest.mark.skipif(disk.missing() is not None, reason=str(disk.missing()))


@needs_disk
async def test_a_volume_loses_what_was_not_synced_with_its_power_and_nothing_else(run: Run, attach: Attach) -> None:
    volume, name = attach(32)
    writes = "echo kept > /disk/synced; sync /disk/synced; echo lost > /disk/unsynced"
    unless_back = f"[ -e /disk/synced ] || {{ {writes}; }}; exec sleep 600"
    container = run("sh", "-c", unless_back, options=("--volume", f"{name}:/disk"))
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


@needs_disk
async def test_nats_is_ended_by_its_health_check_while_its_disk_is_full_and_then_keeps_messages_again(
    run: Run, attach: Attach, tmp_path: Path
) -> None:
    volume, name = attach(64)
    check = ("--health-cmd", "sh /healthy", "--health-interval", "1s", "--health-timeout", "3s")
    written = (REPOSITORY / "deploy/nats/nats.conf").read_text().splitlines()
    (tmp_path / "nats.conf").write_text("\n".join(line for line in written if "include" not in line))
    own = {name: "/nats", REPOSITORY / "deploy/nats/healthy": "/healthy:ro", tmp_path / "nats.conf": "/nats.conf:ro"}
    mounted = [f"--volume={here}:{there}" for here, there in own.items()]
    server = run("--config", "/nats.conf", options=(*check, *mounted))

    def told(form: str) -> str:
        return engine.done("inspect", "--format", form, server.name)

    def health() -> str:
        return told("{{.State.Health.Status}} {{.RestartCount}}")

    address = told("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    async def keeps() -> bool:
        client = await nats.connect(f"nats://{address}:{PORT}", allow_reconnect=False, connect_timeout=1)
        try:
            return (await client.jetstream(timeout=1).publish("kept", bytes(4096))).seq > 0
        finally:
            await client.close()

    await eventually(lambda: health() == "healthy 0")
    client = await nats.connect(f"nats://{address}:{PORT}", allow_reconnect=False)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"while there was room")
    volume.fill()
    for _ in range(1_000):
        await client.publish("kept", bytes(4096))
    await client.flush()
    await client.close()

    async def began_anew() -> bool:
        assert not health().endswith(" 0")
        await (await nats.connect(f"nats://{address}:{PORT}", allow_reconnect=False, connect_timeout=1)).close()
        return True

    await eventually(began_anew, 30)  # on the full disk
    volume.spare()
    await eventually(keeps, 30)
