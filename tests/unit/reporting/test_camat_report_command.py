"""`dinkop report camat`: what it asks for, what it writes, what it says when it can't."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from dinkop.cli import app
from dinkop.home import Home, Running
from dinkop.processes import ProcessRecord
from dinkop.system import System

type Run = Callable[..., Result]


class Answers:
    """What the service was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[httpx.URL] = []
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if self.status != 200:
            return httpx.Response(self.status, json={"title": "Not so", "detail": "as_of: must be a date"})
        return httpx.Response(200, content=request.url.path.rpartition(".")[2].encode())


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answers:
    """A running system that is none."""
    answers = Answers()
    running = Running(
        supervisor=ProcessRecord(1, 0.0),
        ready=True,
        services={"reporting": "http://reporting"},
        nats_url="",
        monitoring_url="",
        databases={},
        processes={},
    )

    @asynccontextmanager
    async def client(self: System, role: str, **_: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as opened:
            yield opened

    monkeypatch.setattr(System, "find", lambda home: System(Home(tmp_path), running))
    monkeypatch.setattr(System, "client", client)
    return answers


@pytest.fixture
def run(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["report", "camat", *arguments])

    return run


def test_every_format_asked_for_is_written_and_all_are_of_one_moment(
    run: Run, answers: Answers, tmp_path: Path
) -> None:
    result = run("Wagir", "--pdf", "a.pdf", "--xlsx", "b.xlsx", "--html", "c.html", "--json", "d.json")
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.pdf": "pdf",
        "b.xlsx": "xlsx",
        "c.html": "html",
        "d.json": "json",
    }
    assert [url.path for url in answers.asked] == [
        f"/v1/camat-reports/35.07.21.{format_}" for format_ in ("pdf", "xlsx", "html", "json")
    ]
    assert len({url.params["known_at"] for url in answers.asked}) == 1
    assert "as_of" not in answers.asked[0].params


@pytest.mark.parametrize("place", ["35.07.21", "wagir", "Kec. Wagir", "WAGIR"])
def test_a_kecamatan_goes_by_code_or_name(run: Run, answers: Answers, place: str) -> None:
    assert run(place, "--pdf", "a.pdf").exit_code == 0
    assert answers.asked[0].path == "/v1/camat-reports/35.07.21.pdf"


def test_the_moment_is_passed_on(run: Run, answers: Answers) -> None:
    run("Wagir", "--as-of", "2024-09-30", "--known-at", "2024-10-01T00:00:00Z", "--html", "a.html")
    assert dict(answers.asked[0].params) == {"as_of": "2024-09-30", "known_at": "2024-10-01T00:00:00Z"}


def test_what_was_there_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("of last quarter, and longer")
    run("Wagir", "--pdf", "a.pdf")
    assert (tmp_path / "a.pdf").read_text() == "pdf"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Wagr", "--pdf", "a.pdf"), "Wagir"),
        (("Batu", "--pdf", "a.pdf"), "no kecamatan"),
        (("Wagir",), "--pdf FILE"),
        (("Wagir", "--pdf", "a", "--html", "./a"), "one file"),
        (("Wagir", "--pdf", "nowhere/a.pdf"), "can't be written"),
    ],
)
def test_wrong_usage_is_told_and_leaves_nothing_behind(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "code"), [(422, 2), (504, 1)])
def test_a_refusal_is_told_and_what_was_there_stays(
    run: Run, answers: Answers, tmp_path: Path, status: int, code: int
) -> None:
    (tmp_path / "a.pdf").write_text("of last quarter")
    answers.status = status
    result = run("Wagir", "--as-of", "yesterday", "--pdf", "a.pdf")
    assert result.exit_code == code
    assert "must be a date" in result.output
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of last quarter"]
