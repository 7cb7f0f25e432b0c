"""The system as its users have it: a command, and the URLs that it prints."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from getpass import getuser
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

DINKOP = Path(sys.executable).with_name("dinkop")
REPOSITORY = Path(__file__).parents[2]
PATIENCE = 180.0  # seconds; a crowded machine is no failure
SERVICES = ("registry", "rat", "mentoring", "reporting")


class Installation:
    """A home and six ports, on which `dinkop up` or `dinkop demo` can run again and again."""

    account = f"local:{getuser()}"
    """Who a command of this account is, in histories."""

    def __init__(self, home: Path, base: int, **environment: str) -> None:
        self.home = home
        self.base = base
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DINKOP_")}
        self.environment = inherited | {"DINKOP_HOME": str(home), "COLUMNS": "200"} | environment
        self.output = ""
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client(auth=Bearer(self), timeout=httpx.Timeout(PATIENCE), trust_env=False)

    # ------------------------------------------------------------ the command

    def dinkop(self, *words: str | Path, code: int = 0) -> str:
        """Run a command to its end, which must be with this exit code; return what it printed."""
        done = self.tried(*words)
        assert done.returncode == code, f"dinkop {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def tried(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [DINKOP, *words], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """Run a command with `--json`, and return what it printed."""
        done = self.tried(*words, "--json")
        assert done.returncode == code, f"dinkop {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def start(self, command: str = "up") -> None:
        """Run `dinkop up` (or `demo`) until it says ready."""
        self.process = subprocess.Popen(
            [DINKOP, command, "--port-base", str(self.base)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = self.process.stdout
        assert output is not None
        self.output, ready = "", threading.Event()

        def read() -> None:
            with output:
                for line in output:
                    self.output += line
                    if line.strip() == "ready":
                        ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(PATIENCE), f"`dinkop {command}` is not ready: {self.output}"
        assert "\nready\n" in self.output, f"`dinkop {command}` ended without being ready:\n{self.output}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Tell it to stop; return the seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == 0
        return time.monotonic() - begun

    def close(self) -> None:
        """End it for certain."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.http.close()
        left = self.processes()
        for process in left:
            process.kill()
        assert not left, f"left behind: {left}"

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this home."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            words = " ".join(process.cmdline())
            return str(self.home) in words or process.environ().get("DINKOP_HOME") == str(self.home)
        except psutil.Error:
            return False

    def pid_of(self, part: str) -> int:
        """Return the present process of a part, as the home's record has it."""
        record = json.loads((self.home / "run.json").read_text())
        pid: int = (record["supervisor"] if part == "supervisor" else record["processes"][part])["pid"]
        return pid

    def log(self, service: str) -> str:
        """Return what a service has logged."""
        return (self.home / "logs" / f"{service}.log").read_text("utf-8")

    def read(self, file: Path) -> str:
        """Return what a command wrote into a file that is for its account alone."""
        assert file.stat().st_mode & 0o777 == 0o600
        return file.read_text("utf-8")

    def by_hand(self, service: str, statement: str) -> None:
        """Change a service's database behind its back."""
        url = json.loads((self.home / "run.json").read_text())["databases"][service]

        async def execute() -> None:
            connection = await asyncpg.connect(url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(execute())

    # ------------------------------------------------------------ HTTP

    def url(self, service: str, path: str = "") -> str:
        """Return a URL of a service, by the port it must have."""
        return f"http://127.0.0.1:{self.base + 1 + SERVICES.index(service)}{path}"

    def shown_url(self, service: str) -> str:
        """Return the URL that commands show for a service."""
        return self.url(service)

    def get(self, service: str, path: str, **params: Any) -> Any:
        """Return the answer of a read that must succeed; one that waits for other positions is asked again."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.http.get(self.url(service, path), params=params or None)  # none keep the query of the path
            if answer.status_code != 504 or time.monotonic() > until:
                assert answer.status_code == 200, answer.text
                return answer.json()

    def items(self, service: str, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return the items of all pages."""
        page = self.get(service, path, limit=500, **params)
        found: list[dict[str, Any]] = page["items"]
        while page["next_cursor"]:
            page = self.get(service, path, limit=500, cursor=page["next_cursor"], **params)
            found += page["items"]
        return found

    def post(self, service: str, path: str, body: dict[str, Any], **params: Any) -> tuple[dict[str, Any], str]:
        """Return the answer of a command that must be accepted, and its Dinkop-Position."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.http.post(self.url(service, path), json=body, params=params)
            if answer.status_code != 504 or time.monotonic() > until:
                assert answer.status_code in (200, 201), answer.text
                return answer.json(), answer.headers["Dinkop-Position"]

    # ------------------------------------------------------------ what tests say often

    def register(self, name: str, founded_on: str = "2022-05-02", **more: Any) -> tuple[str, str]:
        """Register a cooperative in Wagir; return its id and the position."""
        number = re.sub(r"\W", "", name).upper()
        body = {
            "name": name,
            "legal_entity_number": number,
            "legal_entity_date": founded_on,
            "kecamatan_code": "35.07.21",
            **more,
        }
        answer, position = self.post("registry", "/v1/cooperatives", body)
        return answer["cooperative_id"], position

    def still(self, seconds: float = 2.0) -> None:
        """Wait until nothing has been stored anywhere for a while: reporting announces what follows a little later."""
        before: dict[str, int] = {}
        since = time.monotonic()
        while time.monotonic() - since < seconds:
            now = {name: self.get(name, "/v1/projections")["store"]["position"] for name in SERVICES}
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(0.1)

    def live(self) -> dict[str, dict[str, Any]]:
        """Return what `dinkop projections` says of the live generation of each projection, by name."""
        items = self.json("projections")["items"]
        return {item["name"]: item for item in items if item["status"] == "live"}

    def exported(self, file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Export the stream to a file; return its stamp and its events."""
        self.dinkop("events", "export", file)
        stamp, *events = (json.loads(line) for line in file.read_text("utf-8").splitlines())
        return stamp, events


class Bearer(httpx.Auth):
    """Comes as who may do it: with tokens that `dinkop token` prints, made anew when they are no longer good."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._tokens: dict[str, str] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a token, and once more a new one if it is refused, as after a new beginning on another home."""
        answer = yield self._with_token(request)
        if answer.status_code == 401:
            self._tokens.clear()
            yield self._with_token(request)

    def _with_token(self, request: httpx.Request) -> httpx.Request:
        operates = request.url.path.startswith(("/v1/projections", "/v1/operations"))
        role = "operator" if operates else "head"
        if role not in self._tokens:
            self._tokens[role] = self._installation.dinkop("token", "--role", role).strip()
        request.headers["Authorization"] = f"Bearer {self._tokens[role]}"
        return request


type Install = Callable[..., Installation]
"""(name, **environment) -> an installation that isn't started yet."""


def dense(events: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many events each service has; every one must be there once, in order."""
    counted: dict[str, int] = {}
    for event in events:
        service = event["source"].rpartition("/")[2]
        counted[service] = counted.get(service, 0) + 1
        assert int(event["sequence"]) == counted[service], f"{service}:{event['sequence']} is not next"
    assert len({event["id"] for event in events}) == len(events)
    return counted
