"""`dinkop import`: what it asks of the services, what it says, and how it ends. The services are played."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner, Result

from chassis.http.annotated import annotated
from chassis.http.imports import XLSX
from chassis.http.uploads import read_table
from dinkop import cli
from dinkop.home import Home, Running
from dinkop.import_report import write_report
from dinkop.processes import ProcessRecord
from dinkop.system import System

LIST = b"nmkop;nobh;tglrat\nKoperasi Satu;1/BH;24/02/2024\n=1+1;2/BH;31/02/2024\n"
NOTE = {"row": 3, "column": "tglrat", "value": "31/02/2024", "problem": "is not a day of the calendar"}
REGISTRY = {"rows": 2, "registered": 2, "changed": 0, "unchanged": 0, "rejected": 0, "missing_from_source": 0}
RAT = {"rows": 2, "recorded": 1, "attested": 0, "unchanged": 1, "rejected": 0}
CLEAN: dict[str, list[Any]] = {"rejections": [], "warnings": []}

type Answer = Callable[[httpx.Request], httpx.Response]


class Services:
    """The services of a system that runs, as far as an import meets them."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: dict[str, dict[str, Any]] = {"registry": REGISTRY | CLEAN, "rat": RAT | CLEAN}
        self.instead: dict[str, list[Answer]] = {"registry": [], "rat": []}

    def reject(self) -> None:
        self.answers["rat"] = RAT | {"unchanged": 0, "rejected": 1, "rejections": [NOTE], "warnings": []}

    def handle(self, request: httpx.Request) -> httpx.Response:
        service = request.url.host
        if request.method == "GET":
            return httpx.Response(404, json={})
        self.asked.append(request)
        if self.instead[service]:
            return self.instead[service].pop(0)(request)
        answer = self.answers[service]
        if request.headers["Accept"] == XLSX:
            table = read_table(LIST, "list.csv", ["nobh"])
            outcomes = {2: "registered" if service == "registry" else "recorded"}
            return httpx.Response(200, content=annotated(table, outcomes, answer["rejections"], answer["warnings"]))
        return httpx.Response(200, json=answer, headers={"Dinkop-Position": f"{service}:7"})

    def queries(self, service: str) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.asked if request.url.host == service]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Services:
    played = Services()
    running = Running(
        supervisor=ProcessRecord(1, 1.0),
        ready=True,
        services={name: f"http://{name}" for name in ("registry", "rat")},
        nats_url="",
        monitoring_url="",
        databases={},
        processes={},
    )
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(System, "find", lambda _: System(Home(home), running))
    client = partial(httpx.AsyncClient, transport=httpx.MockTransport(played.handle))
    monkeypatch.setattr("dinkop.system.httpx.AsyncClient", client)
    return played


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_bytes(LIST)
    return path


def dinkop(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["import", *map(str, words)])


def problem(status: int, title: str = "Refused", detail: str = "For a reason.") -> Answer:
    return lambda _: httpx.Response(status, json={"title": title, "detail": detail})


@pytest.mark.parametrize("source", ["ods", "office"])
def test_the_list_goes_to_registry_and_then_to_rat_which_waits_for_what_registry_registered(
    services: Services, file: Path, source: str
) -> None:
    done = dinkop(source, file, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"registry": REGISTRY | CLEAN, "rat": RAT | CLEAN}
    common = {"source": source, "dry_run": "false"}
    assert services.queries("registry") == [common]
    assert services.queries("rat") == [common | {"at_least": "registry:7"}]
    assert all(LIST in request.content for request in services.asked)
    assert len({request.headers["Idempotency-Key"] for request in services.asked}) == 2


def test_a_dry_run_takes_for_granted_that_registry_registered_the_list(services: Services, file: Path) -> None:
    done = dinkop("ods", file, "--dry-run")
    assert (done.exit_code, "Nothing was changed" in done.stdout) == (0, True)
    assert services.queries("registry") == [{"source": "ods", "dry_run": "true"}]
    assert services.queries("rat") == [{"source": "ods", "dry_run": "true", "assume_registered": "true"}]


def test_a_rejected_row_is_told_with_its_cell_and_ends_with_1(services: Services, file: Path) -> None:
    services.reject()
    done = dinkop("office", file)
    assert done.exit_code == 1
    assert "rejection row 3, tglrat '31/02/2024': is not a day of the calendar" in done.stdout
    assert dinkop("office", file, "--json").exit_code == 1


def test_a_warning_is_told_and_is_no_rejection(services: Services, file: Path) -> None:
    services.answers["rat"] = RAT | {"rejections": [], "warnings": [NOTE]}
    done = dinkop("office", file)
    assert done.exit_code == 0
    assert "warning row 3, tglrat" in done.stdout


def test_rat_is_asked_again_under_the_same_key_while_it_catches_up(services: Services, file: Path) -> None:
    services.instead["rat"] = [problem(504), problem(504)]
    assert dinkop("ods", file).exit_code == 0
    keys = [request.headers["Idempotency-Key"] for request in services.asked]
    assert len(keys) == 4
    assert len(set(keys[1:])) == 1


def test_a_file_that_is_refused_ends_with_1_and_the_services_own_words(services: Services, file: Path) -> None:
    services.instead["registry"] = [problem(422, "Unreadable", "Needed and missing: column 'nobh'.")]
    done = dinkop("office", file)
    assert done.exit_code == 1
    assert "Needed and missing: column 'nobh'." in done.stderr
    assert services.queries("rat") == []


def test_when_only_registry_has_read_the_list_the_user_is_told_to_import_it_again(
    services: Services, file: Path
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    for answer, code in ((problem(422), 1), (away, 3)):
        services.instead["rat"] = [answer]
        done = dinkop("ods", file)
        assert done.exit_code == code
        assert "registry has read the list, rat has not: import it again" in done.stderr


def test_ctrl_c_ends_with_130_and_says_that_the_same_file_does_the_rest(services: Services, file: Path) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    services.instead["registry"] = [interrupt]
    done = dinkop("ods", file)
    assert done.exit_code == 130
    assert "the same file again does the rest" in done.stderr


def test_a_missing_file_an_unknown_source_and_a_folder_are_wrong_usage(tmp_path: Path, file: Path) -> None:
    for words in (("ods", tmp_path / "none.csv"), ("web", file), ("ods", tmp_path), ("ods",), ()):
        done = dinkop(*words)
        assert done.exit_code == 2, words
        assert "Traceback" not in done.output
    assert "does not exist" in dinkop("office", tmp_path / "none.csv").output
    assert "web" in dinkop("web", file).output


def test_when_nothing_runs_it_ends_with_3_and_says_how_to_start(tmp_path: Path, file: Path) -> None:
    done = dinkop("office", file, "--home", tmp_path / "home")
    assert done.exit_code == 3
    assert "dinkop up" in done.stderr


def test_a_report_that_could_not_be_written_is_refused_before_anything_is_imported(
    services: Services, file: Path, tmp_path: Path
) -> None:
    for report in (file, tmp_path, tmp_path / "none" / "report.xlsx"):
        done = dinkop("ods", file, "--report", report)
        assert done.exit_code == 2, done.output
    assert services.asked == []
    assert file.read_bytes() == LIST


def test_the_report_gives_the_list_back_row_by_row_with_what_both_services_did(
    services: Services, file: Path, tmp_path: Path
) -> None:
    services.reject()
    report = tmp_path / "report.xlsx"
    assert dinkop("office", file, "--report", report).exit_code == 1
    book = CalamineWorkbook.from_path(str(report))
    assert book.sheet_names == ["rows", "registry", "rat"]
    assert book.get_sheet_by_name("rows").to_python() == [
        ["nmkop", "nobh", "tglrat", "registry: outcome", "registry: problem", "rat: outcome", "rat: problem"],
        ["Koperasi Satu", "1/BH", "24/02/2024", "registered", "", "recorded", ""],
        ["=1+1", "2/BH", "31/02/2024", "unchanged", "", "rejected", "tglrat: is not a day of the calendar"],
    ]
    assert [3.0, *[NOTE[name] for name in ("column", "value", "problem")], "rejected"] in (
        book.get_sheet_by_name("rat").to_python()
    )
    keys = [request.headers["Idempotency-Key"] for request in services.asked]
    assert (len(keys), len(set(keys))) == (4, 2)


def test_a_report_takes_titles_above_the_header_along(tmp_path: Path) -> None:
    table = read_table(b"Keragaan 2024;\n\n" + LIST, "list.csv", ["nobh"])
    sheet = annotated(table, {}, [], [])
    write_report(tmp_path / "report.xlsx", {}, {"registry": sheet, "rat": sheet})
    rows = CalamineWorkbook.from_filelike(io.BytesIO((tmp_path / "report.xlsx").read_bytes())).get_sheet_by_name("rows")
    lines = rows.to_python(skip_empty_area=False)
    assert lines[0][0] == "Keragaan 2024"
    assert [line[:2] for line in lines[2:]] == [["nmkop", "nobh"], ["Koperasi Satu", "1/BH"], ["=1+1", "2/BH"]]
