"""The supervisor with the real servers and fake services, as a process that can be killed."""

import asyncio
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest
from eventually import eventually

from chassis.messaging.address import Address
from dinkop import supervisor
from dinkop.home import Home, Running
from dinkop.issuer import environment_of
from dinkop.processes import ProcessRecord

FAKE_SYSTEM = Path(__file__).with_name("fake_system.py")
SOURCES = Path(__file__).parents[3]
PARTS = ("postgres", "nats", "registry", "rat", "mentoring", "reporting")


class Up:
    """A supervisor as a process, ended with its test."""

    def __init__(self, home: Path, base: int, python: list[str], environment: dict[str, str]) -> None:
        self.home = Home(home)
        self.process = subprocess.Popen(
            [*python, str(FAKE_SYSTEM), str(home), str(base)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCES)} | environment,
        )
        self.output = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def ready(self, seconds: float = 40) -> Running:
        """Wait until it says ready."""
        while (line := self._lines.get(timeout=seconds)) is not None:
            self.output += line
            if line.startswith("ready"):
                running = self.home.running()
                assert running is not None
                assert running.ready
                return running
        raise AssertionError(f"ended without being ready: {self.output}")

    def refused(self, seconds: float = 40) -> str:
        """Wait until it has given up, with the status for that, and return what it said."""
        assert self.process.wait(seconds) == 3
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.output += line
        return self.output

    def stopped_by(self, number: signal.Signals) -> float:
        """Tell it to stop and return the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(30) == 0
        return time.monotonic() - begun

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


type Start = Callable[..., Up]


@pytest.fixture
def start(kept_folder: Path, port_base: int) -> Iterator[Start]:
    """Start supervisors on one home and one set of ports, unless told otherwise."""
    begun: list[Up] = []

    def start(
        home: Path = kept_folder / "home",
        base: int = port_base,
        python: tuple[str, ...] = (sys.executable,),
        **environment: str,
    ) -> Up:
        begun.append(Up(home, base, list(python), environment))
        return begun[-1]

    yield start
    for up in begun:
        up.close()
    assert not [process for process in psutil.process_iter() for up in begun if _belongs_to(process, up.home)]


def _belongs_to(process: psutil.Process, home: Home) -> bool:
    try:
        return str(home.directory) in f"{process.cmdline()} {process.cwd()}"
    except psutil.Error:
        return False


def alive(running: Running) -> set[str]:
    return {name for name, record in running.processes.items() if record.process()}


async def answers(url: str) -> dict[str, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer: dict[str, str] = (await client.get(url)).json()
        return answer


async def test_up_runs_every_part_and_leaves_nothing_when_terminated(start: Start, port_base: int) -> None:
    up = start(DINKOP_TODAY="2024-11-14", PGPORT="5999", DINKOP_TOKEN="somebody's", DINKOP_OIDC_ROLES_CLAIM="else")
    running = up.ready()
    assert alive(running) == set(PARTS)
    environment = await answers(running.services["rat"])
    assert running.services["rat"] == f"http://127.0.0.1:{port_base + 2}"
    assert environment["DINKOP_TODAY"] == "2024-11-14"
    assert environment["DINKOP_DATABASE_URL"] == running.databases["rat"]
    assert running.nats_url == f"nats://127.0.0.1:{port_base + 5}"
    # Each signs in as himself; what other commands and people see has no password in it.
    address = Address.parse(environment["DINKOP_NATS_URL"])
    assert (*address.servers, address.user) == (running.nats_url, "rat")
    assert len(address.password) == 43
    assert environment["DINKOP_NATS_MONITORING_URL"] == running.monitoring_url == f"http://127.0.0.1:{port_base + 6}"
    assert (environment["DINKOP_HOST"], environment["DINKOP_PORT"]) == ("127.0.0.1", str(port_base + 2))
    assert not {"PGPORT", "DINKOP_TOKEN"} & environment.keys()
    told = environment_of(up.home)
    assert {name: environment[name] for name in told} == told
    assert Path(environment["DINKOP_OIDC_JWKS"]).is_file()

    assert up.stopped_by(signal.SIGTERM) < 10
    assert alive(running) == set()
    assert up.home.running() is None
    journal = up.home.log("supervisor").read_text()
    assert journal.rstrip().endswith("stopped")
    assert "database system is shut down" in up.home.log("postgres").read_text()


async def test_a_part_that_is_killed_is_back_within_five_seconds_and_the_log_says_so(start: Start) -> None:
    up = start()
    first = up.ready()
    for part in ("registry", "nats", "postgres", "registry"):
        killed = (up.home.recorded() or first).processes[part]
        os.kill(killed.pid, signal.SIGKILL)
        begun = time.monotonic()

        def replaced(part: str = part, killed: ProcessRecord = killed) -> bool:
            record = (up.home.recorded() or first).processes[part]
            return record != killed and record.process() is not None

        await eventually(replaced)
        assert time.monotonic() - begun < 5
        assert f"{part} (process {killed.pid}) ended with signal SIGKILL" in up.home.log("supervisor").read_text()
    assert await eventually(lambda: answers(first.services["registry"]))
    running = up.home.running()
    assert running is not None
    assert alive(running) == set(PARTS)
    assert up.stopped_by(signal.SIGINT) < 10


async def test_a_killed_supervisors_leftovers_are_ended_by_the_next(start: Start) -> None:
    first = start()
    left = first.ready()
    first.process.kill()
    first.process.wait()
    assert first.home.running() is None
    assert alive(left) == set(PARTS)

    second = start()
    running = second.ready()
    assert alive(left) == set()
    assert alive(running) == set(PARTS)


async def test_a_service_nobody_wrote_down_is_ended_too_but_never_a_recycled_id(start: Start) -> None:
    up = start()
    left = up.ready()
    up.process.kill()
    up.process.wait()
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        recycled = ProcessRecord(bystander.pid, psutil.Process(bystander.pid).create_time() - 100)
        forged = Running(
            supervisor=left.supervisor,
            ready=True,
            services=left.services,
            nats_url=left.nats_url,
            monitoring_url=left.monitoring_url,
            databases=left.databases,
            processes=left.processes | {"rat": recycled},
        )
        up.home.record(forged)
        start().ready()
        assert alive(left) == set()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_second_up_on_the_same_home_is_refused_naming_the_first(start: Start, port_base: int) -> None:
    first = start()
    first.ready()
    said = start(base=port_base + 7).refused()
    assert f"already running on {first.home.directory} (process {first.process.pid})" in said
    assert "choose another --home" in said
    assert first.process.poll() is None


def test_a_taken_port_is_refused_naming_it_and_the_part_that_wants_it(
    start: Start, folder: Path, port_base: int
) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", port_base + 3))
        taken.listen()
        up = start(home=folder / "home")
        said = up.refused()
    assert f"port {port_base + 3}, wanted by mentoring, is taken by " in said
    assert f"(process {os.getpid()})" in said
    assert "--port-base" in said
    assert not (up.home.postgres / "data").exists()


def test_a_migration_that_fails_is_reported(start: Start) -> None:
    said = start(FAKE="migration_fails").refused()
    assert "doesn't start" in said
    assert "no such column: tier" in said


def test_a_service_that_never_gets_going_is_reported_with_the_end_of_its_log(start: Start) -> None:
    said = start(FAKE="dies").refused()
    assert "ended with exit status 1" in said
    assert "no settings" in said


def test_services_that_ignore_the_signal_are_stopped_in_time_all_the_same(start: Start) -> None:
    up = start(FAKE="stubborn")
    running = up.ready()
    assert up.stopped_by(signal.SIGTERM) < 10
    assert alive(running) == set()


async def test_it_stops_while_starting(start: Start, folder: Path) -> None:
    up = start(home=folder)
    await eventually(up.home.log("postgres").exists)
    assert up.stopped_by(signal.SIGINT) < 10
    assert up.home.recorded() is None


def test_it_runs_as_an_ordinary_user(start: Start, folder: Path, as_ordinary_user: Callable[[Path], list[str]]) -> None:
    up = start(home=folder, python=tuple(as_ordinary_user(folder)), HOME=str(folder))
    running = up.ready()
    assert {psutil.Process(record.pid).username() for record in running.processes.values()} == {"nobody"}
    assert up.stopped_by(signal.SIGTERM) < 10


async def test_the_operators_own_issuer_goes_before_the_embedded_one(start: Start) -> None:
    own = {"DINKOP_OIDC_ISSUER": "https://sso.example", "DINKOP_OIDC_AUDIENCE": "office"}
    environment = await answers(start(**own).ready().services["rat"])
    assert {name: value for name, value in environment.items() if name.startswith("DINKOP_OIDC_")} == own


class Refusing:
    """A server of streams that says of itself, look by look, whether it has given up."""

    def __init__(self, *says: bool) -> None:
        self._says = iter(says)
        self.process = subprocess.Popen(["sleep", "60"], start_new_session=True)

    async def gave_up(self) -> bool:
        return next(self._says, False)


@pytest.mark.parametrize(
    ("says", "ended"), [([True, True, True], True), ([True, True, False, True, True], False)], ids=["thrice", "twice"]
)
async def test_a_server_of_streams_that_says_three_times_in_a_row_that_it_gave_up_is_ended(
    says: list[bool], ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "NATS_SECONDS", 0.01)
    server = Refusing(*says)
    keeping = asyncio.create_task(supervisor.Supervisor._keep_streams(SimpleNamespace(nats=server)))  # type: ignore[arg-type]
    try:
        if ended:
            await eventually(lambda: server.process.poll() is not None, 5)
        else:
            await asyncio.sleep(0.3)  # nothing tells of what doesn't happen
            assert server.process.poll() is None
    finally:
        keeping.cancel()
        server.process.kill()
        server.process.wait()
