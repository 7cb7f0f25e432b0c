"""`dinkop status`: what an operator reads at a glance. The services are played."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from dinkop.cli import app
from dinkop.home import Home, Running
from dinkop.processes import ProcessRecord
from dinkop.system import System, Unreachable

LIVE: dict[str, Any] = {
    "name": "rat.plans",
    "version": 1,
    "code_version": 1,
    "generation": 3,
    "status": "live",
    "others": [],
    "positions": {"rat": 10, "registry": 7},
    "head": {"rat": 10, "registry": 7},
    "lag_events": 0,
    "lag_seconds": 0.0,
    "trend": "steady",
    "stalled": False,
    "paused": False,
    "paused_by": None,
    "paused_since": None,
    "parked": 0,
    "last_error": None,
}
SERVICE: dict[str, Any] = {
    "leading": True,
    "store": {"position": 10},
    "relay": {"published": 10, "backlog": 0, "last_error": None},
    "writes": {"accepted": True, "reason": None},
    "reconciled": None,
    "parked_reactions": {},
}


class Service:
    """The one service of a system that runs; what it says of itself and of its projection is changed by tests."""

    def __init__(self) -> None:
        self.says = dict(SERVICE)
        self.item = dict(LIVE)
        self.down = False
        self.problem: dict[str, str] | None = None

    def handle(self, request: httpx.Request) -> httpx.Response:
        # The token is for the services, and nobody else.
        assert ("Authorization" in request.headers) == (request.url.host == "rat")
        if request.url.path == "/jsz":
            return httpx.Response(200, json={"messages": 17, "bytes": 9_000})
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        if self.problem:
            return httpx.Response(503, json=self.problem)
        previous = self.item | {"generation": 2, "status": "previous"}
        return httpx.Response(200, json=self.says | {"items": [self.item, previous]})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    played = Service()
    running = Running(
        supervisor=ProcessRecord(1, 1.0),
        ready=True,
        services={"rat": "http://rat"},
        nats_url="",
        monitoring_url="http://nats",
        databases={},
        processes={},
    )
    monkeypatch.setattr(System, "find", lambda home: System(Home(tmp_path), running))
    client = partial(httpx.AsyncClient, transport=httpx.MockTransport(played.handle))
    monkeypatch.setattr("dinkop.system.httpx.AsyncClient", client)
    return played


def status(*words: str) -> Result:
    return CliRunner().invoke(app, ["status", *words])


def row(result: Result, first: str) -> str:
    """Return the one line that begins with a word, without the spaces of its columns."""
    [line] = [line for line in result.stdout.splitlines() if line.split()[:1] == [first]]
    return " ".join(line.split())


def test_a_quiet_system_is_two_tables_of_what_is_fine(service: Service) -> None:
    done = status()
    assert done.exit_code == 0, done.output
    assert row(done, "rat") == "rat http://rat 10 10 0 never fine"
    assert row(done, "rat.plans") == "rat.plans 3 rat:10, registry:7 0 0.0 steady 0 live"
    assert "stream: 17 messages, 9000 bytes" in done.stdout


NOW = "2026-11-23T03:55:31.147414Z"
STATES = [
    ({"paused": True, "paused_by": "siti", "paused_since": NOW}, "paused by siti since 2026-11-23 03:55:31Z"),
    ({"paused": True}, "paused"),
    ({"stalled": True}, "STALLED"),
    ({"last_error": "events 3 to 4 [of rat] are missing"}, "events 3 to 4 [of rat] are missing"),
    ({"stalled": True, "last_error": "no"}, "STALLED; no"),
    ({"code_version": 2}, "of version 1, the code is of version 2: rebuild it"),
    ({"others": [{"generation": 4, "status": "building"}]}, "generation 4 building"),
]


@pytest.mark.parametrize(("different", "state"), STATES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_an_operator_has_to_know_of_a_projection_stands_in_its_row(
    service: Service, different: dict[str, Any], state: str
) -> None:
    service.item |= different
    assert row(status(), "rat.plans").endswith(f" steady 0 {state}")


def test_a_position_that_lags_says_of_how_much_and_what_is_not_known_is_a_question_mark(service: Service) -> None:
    service.item |= {"head": {"rat": 25, "registry": 7}, "lag_events": 15, "lag_seconds": 3.21, "trend": "growing"}
    assert "rat:10 of 25, registry:7 15 3.2 growing" in row(status(), "rat.plans")
    service.item |= {"head": {}, "lag_events": None, "lag_seconds": None, "trend": None}
    assert "rat:10, registry:7 ? ? ? 0 live" in row(status(), "rat.plans")


SERVICES = [
    ({"relay": {"published": 4, "backlog": 6, "last_error": "NATS is away"}}, "10 4 6 never NATS is away"),
    ({"relay": {"published": None, "backlog": None, "last_error": None}}, "10 ? ? never fine"),
    ({"writes": {"accepted": False, "reason": "an old dump"}}, "10 10 0 never refuses commands: an old dump"),
    ({"parked_reactions": {"reaction:visit": 2}}, "10 10 0 never 2 parked by reaction:visit"),
    ({"reconciled": {"age_seconds": 90.0, "fine": True}}, "10 10 0 2 min ago fine"),
    ({"reconciled": {"age_seconds": 200_000.0, "fine": False}}, "10 10 0 2 d ago, NOT fine fine"),
]


@pytest.mark.parametrize(("different", "told"), SERVICES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_an_operator_has_to_know_of_a_service_stands_in_its_row(
    service: Service, different: dict[str, Any], told: str
) -> None:
    service.says |= different
    assert row(status(), "rat") == f"rat http://rat {told}"


def test_a_service_that_is_down_is_a_row_that_says_so(service: Service) -> None:
    service.down = True
    done = status()
    assert done.exit_code == 0
    assert row(done, "rat") == "rat http://rat ? ? ? ? down: refused"
    assert json.loads(status("--json").stdout)["services"] == [
        {"name": "rat", "url": "http://rat", "ready": False, "error": "refused"}
    ]


def test_a_service_that_cannot_say_where_it_stands_says_why(service: Service) -> None:
    service.problem = {"title": "Unavailable", "detail": "The database can't be reached right now."}
    assert row(status(), "rat").endswith("(503). Unavailable: The database can't be reached right now.")


@pytest.fixture
def _three_looks(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system end after three looks, without waiting between them."""
    system, looks = System.find(None), iter(range(4))

    def find(home: Path | None) -> System:
        if next(looks) == 3:
            raise Unreachable("dinkop is not running on /home.")
        return system

    async def at_once(seconds: float) -> None:
        assert seconds == 1

    monkeypatch.setattr(System, "find", find)
    monkeypatch.setattr(asyncio, "sleep", at_once)


@pytest.mark.usefixtures("_three_looks")
def test_a_watch_looks_every_second_and_ends_when_nothing_runs_any_more() -> None:
    done = status("--watch")
    assert done.exit_code == 3
    assert done.stdout.count("rat.plans") == 2
    assert "dinkop is not running on /home." in done.stderr


@pytest.mark.usefixtures("_three_looks")
def test_a_watch_with_json_prints_one_line_a_look() -> None:
    lines = status("--watch", "--json").stdout.splitlines()
    assert [json.loads(line)["projections"][0]["name"] for line in lines] == ["rat.plans"] * 2
