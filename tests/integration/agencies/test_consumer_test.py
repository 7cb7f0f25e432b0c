"""`dinkop consumer-test` finds nothing wrong with a right handler, and each mistake of a wrong one."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from handler import Handler
from typer.testing import CliRunner

from contracts import releases
from dinkop.cli import app
from dinkop.consumer_handlers import started
from dinkop.consumer_trial import Result, Trial, released_events

HANDLER = Path(__file__).with_name("handler.py")


async def tried(*words: str | Path, everything: bool = True, patience: float = 20.0) -> list[Result]:
    async with started([str(word) for word in words], patience) as handler:
        return [result async for result in Trial(handler, everything=everything).run()]


class Within:
    """The same handler without a process of its own, which takes a second to start."""

    def __init__(self, state: Path, mistake: str) -> None:
        self.state, self.mistake = state, mistake
        self.handler = Handler(state, mistake)

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.handler.answer(question)
        return answer

    async def kill(self) -> bool:
        self.handler = Handler(self.state, self.mistake)
        return True


async def tried_within(state: Path, mistake: str = "", *, everything: bool = True) -> list[Result]:
    return [result async for result in Trial(Within(state, mistake), everything=everything).run()]


async def test_a_right_handler_passes_every_stage(tmp_path: Path) -> None:
    results = await tried(sys.executable, HANDLER, tmp_path / "state.json")
    assert [result.problem for result in results] == [""] * 9
    assert sum(result.deliveries for result in results) > 3 * len(released_events())


def test_every_event_that_was_ever_released_is_delivered() -> None:
    delivered = {event.headers["ce-dataschema"] for event in released_events()}
    assert delivered == {name for promised in releases.released().values() for name in promised}


@pytest.mark.parametrize(
    ("mistake", "stage", "words"),
    [
        ("counts duplicates", "everything again", "has something else than it was given"),
        ("refuses duplicates", "everything again", "a duplicate must be acknowledged, or it comes for ever"),
        ("loses one", "every event once", "events up to"),
        ("wants one order of time", "everything again", "did not acknowledge"),
        ("refuses unknown types", "types, versions", "did not acknowledge rat:9 (RATStreamed.v1)"),
        ("drops unknown types", "types, versions", "has something else than it was given"),
        ("refuses unknown fields", "types, versions", "did not acknowledge"),
        ("writes data anew", "types, versions", "but others, or with other content"),
        ("passes over gaps", "comes late", "a loss would go unseen"),
        ("forgets", "kill -9", "did not acknowledge"),
        ("answers something else", "every event once", 'due is {"ack": true} or {"ack": false}'),
        ("has no manifest", "an empty beginning", "did not answer with a manifest"),
    ],
)
async def test_a_wrong_handler_is_told_its_mistake(tmp_path: Path, mistake: str, stage: str, words: str) -> None:
    *before, last = await tried_within(tmp_path / "state.json", mistake)
    assert [result.problem for result in before] == [""] * len(before)
    assert stage in last.stage
    assert words in last.problem


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("dies at what it does not know", "ended, with exit code 1 when rat:9 (RATStreamed.v1) came"),
        ("answers words", "answered '\"thanks\"', which is no JSON object"),
    ],
)
async def test_a_command_that_dies_or_talks_is_told_so(tmp_path: Path, mistake: str, words: str) -> None:
    *_, last = await tried(sys.executable, HANDLER, tmp_path / "state.json", mistake)
    assert words in last.problem


async def test_a_handler_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    # It has a while for the first answer: an interpreter starts slowly on a crowded machine.
    *_, last = await tried(sys.executable, HANDLER, tmp_path / "state.json", "says nothing", patience=3.0)
    assert "gave no answer within 3 s" in last.problem


async def test_a_state_that_is_not_empty_is_told_from_a_mistake(tmp_path: Path) -> None:
    await tried_within(tmp_path / "state.json")
    [only] = await tried_within(tmp_path / "state.json")
    assert only.stage == "an empty beginning"
    assert "where the stream has 0" in only.problem


async def test_a_handler_of_some_kecamatan_need_not_see_gaps(tmp_path: Path) -> None:
    results = await tried_within(tmp_path / "state.json", "passes over gaps", everything=False)
    assert [result.problem for result in results] == [""] * 8


@contextmanager
def listening(handler: Handler) -> Iterator[str]:
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(handler.answer(asked)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/events"
        server.shutdown()


async def test_an_endpoint_is_tried_as_a_command_is_but_never_killed(tmp_path: Path) -> None:
    with listening(Handler(tmp_path / "right.json", "")) as url:
        results = await tried(url)
        assert [result.problem for result in results] == [""] * 8
        assert not any("kill" in result.stage for result in results)
    with listening(Handler(tmp_path / "wrong.json", "loses one")) as url:
        assert (await tried(url))[-1].problem


class TestTheCommand:
    """What the shell is told."""

    def run(self, *words: str | Path) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["consumer-test", *map(str, words)])
        return done.exit_code, done.output

    def test_a_right_handler(self, tmp_path: Path) -> None:
        code, told = self.run("--json", sys.executable, HANDLER, tmp_path / "state.json")
        assert (code, json.loads(told)["fine"]) == (0, True)

    def test_a_wrong_handler(self, tmp_path: Path) -> None:
        code, told = self.run(sys.executable, HANDLER, tmp_path / "state.json", "refuses duplicates")
        assert code == 1
        assert "WRONG  It did not acknowledge" in told

    @pytest.mark.parametrize(
        ("words", "code"),
        [(("/no/such/handler",), 2), ((), 2), (("http://127.0.0.1:9/x", "more"), 2), (("http://127.0.0.1:9/x",), 3)],
    )
    def test_nothing_to_try(self, words: tuple[str, ...], code: int) -> None:
        assert self.run(*words)[0] == code
