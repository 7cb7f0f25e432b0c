"""What every command tells, and what it says when it can't."""

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import SERVICES, Install, Installation

PROJECTIONS = {
    "registry.cooperatives",
    "rat.cooperatives",
    "rat.plans",
    "mentoring.calendar",
    "mentoring.cooperatives",
    "mentoring.meetings",
    "mentoring.requests",
    "reporting.health_status",
    "reporting.timeline",
    "reporting.camat_reports",
}


@pytest.mark.embedded
def test_up_prints_where_everything_is_and_ready_last(system: Installation) -> None:
    for service in SERVICES:
        assert system.url(service) in system.output
        for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/metrics"):
            assert system.http.get(system.url(service, path)).status_code == 200, f"{service}{path}"
    assert f"nats://127.0.0.1:{system.base + 5}" in system.output
    assert system.output.rstrip().endswith("ready")


def test_status_tells_services_stream_and_projections(system: Installation) -> None:
    system.register("Koperasi Status")
    told = system.json("status")
    assert [service["name"] for service in told["services"]] == list(SERVICES)
    for service in told["services"]:
        assert service["ready"] is True
        assert service["url"] == system.shown_url(service["name"])
        assert service["store"]["position"] >= 0
        assert service["relay"]["last_error"] is None
    assert told["stream"]["reachable"] is True
    by_name = {item["name"]: item for item in told["projections"] if item["status"] == "live"}
    assert by_name.keys() == PROJECTIONS
    for item in by_name.values():
        assert item["last_error"] is None
        assert item["parked"] == 0
        assert item["generation"] >= 1
        assert {"positions", "head", "lag_events", "lag_seconds"} <= item.keys()
    assert set(by_name["reporting.health_status"]["head"]) == {"registry", "rat", "mentoring"}
    written = system.dinkop("status")
    assert all(name in written for name in PROJECTIONS)


def test_projections_lists_versions_and_generations(system: Installation) -> None:
    live = system.live()
    assert live.keys() == PROJECTIONS
    assert all(item["version"] >= 1 and item["generation"] >= 1 for item in live.values())
    written = system.dinkop("projections")
    assert all(name in written for name in PROJECTIONS)


@pytest.mark.embedded
def test_the_doctor_finds_a_running_system_well(system: Installation) -> None:
    told = system.json("doctor")["items"]
    assert [finding["what"] for finding in told if not finding["fine"]] == []
    assert {*SERVICES, "stream", "system", "PostgreSQL", "NATS server", "disk"} <= {item["what"] for item in told}
    assert "MEND" not in system.dinkop("doctor")


@pytest.mark.embedded
def test_the_doctor_says_which_service_is_ill_and_where_to_look(install: Install, system: Installation) -> None:
    stranger = install("stranger")
    told = stranger.dinkop("doctor", "--port-base", str(system.base), code=1)
    assert f"port {system.base + 1}, wanted by registry, is taken" in told
    assert "--port-base" in told


@pytest.mark.embedded
def test_a_second_up_on_the_same_home_is_refused_and_the_first_goes_on(system: Installation) -> None:
    told = system.dinkop("up", "--port-base", str(system.base + 1000), code=3)
    assert f"already running on {system.home}" in told
    assert "Traceback" not in told
    assert system.http.get(system.url("registry", "/readyz")).status_code == 200


@pytest.mark.embedded
def test_up_on_taken_ports_is_refused_naming_who_has_them(install: Install, system: Installation) -> None:
    told = install("other").dinkop("up", "--port-base", str(system.base), code=3)
    assert f"port {system.base + 1}, wanted by registry, is taken" in told
    assert "Traceback" not in told


NEEDING_A_SYSTEM: list[tuple[str, ...]] = [
    ("status",),
    ("projections",),
    ("import", "ods", str(Path(__file__))),
    ("pause", "all"),
    ("rebuild", "all"),
    ("events", "tail", "--no-follow"),
    ("events", "show", "018fd5a0-6c00-7a10-8000-000000000001"),
    ("events", "export", "nowhere.jsonl"),
]


@pytest.mark.embedded
@pytest.mark.parametrize("words", NEEDING_A_SYSTEM, ids=" ".join)
def test_without_a_running_system_a_command_says_so_in_a_sentence(install: Install, words: tuple[str, ...]) -> None:
    nothing = install("nothing")
    told = nothing.dinkop(*words, code=3)
    assert told.startswith(f"dinkop is not running on {nothing.home}. Start it with `dinkop up`")
    assert len(told.splitlines()) == 1
    assert not nothing.home.exists()


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("fly",), "No such command 'fly'"),
    (("up", "--port-base", "seventy"), "Invalid value for '--port-base'"),
    (("up", "--port-base", "70000"), "less than or equal to 65529"),
    (("import", "ods", "/no/such/file.csv"), "does not exist"),
    (("events", "show", "not-an-id"), "Invalid value for"),
    (("rebuild",), "Missing argument"),
    (("rebuild", "reporting.weather"), "reporting.weather names no projection"),
    (("rebuild", "cooperatives"), "cooperatives names several projections"),
]


@pytest.mark.parametrize(("words", "why"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_wrong_usage_is_exit_code_2_and_says_what_is_wrong(
    system: Installation, words: tuple[str, ...], why: str
) -> None:
    told = " ".join(system.dinkop(*words, code=2).replace("│", " ").split())
    assert why in told
    assert "Traceback" not in told


def test_help_names_every_command(system: Installation) -> None:
    told = system.dinkop("--help")
    for command in ("up", "demo", "status", "projections", "doctor", "import", "rebuild", "events"):
        assert f" {command} " in told


def facts(system: Installation) -> list[Any]:
    """Return what a restart must keep."""
    health = system.get("reporting", "/v1/kecamatan", as_of="2021-12-31")
    status = system.json("status")
    return [
        health["items"],
        health["total"],
        health["positions"],
        [(service["name"], service["store"]) for service in status["services"]],
        [(item["name"], item["generation"], item["head"]) for item in status["projections"]],
        status["stream"]["messages"],
    ]


@pytest.mark.embedded
def test_sigterm_stops_everything_within_ten_seconds_and_a_restart_keeps_everything(system: Installation) -> None:
    cooperative_id, position = system.register("Koperasi Tetap Ada")
    system.get("reporting", f"/v1/health/{cooperative_id}", at_least=position)
    system.still()
    before = facts(system)
    assert system.stop(signal.SIGTERM) < 10
    assert system.processes() == []
    system.start()
    assert facts(system) == before
    assert system.get("registry", f"/v1/cooperatives/{cooperative_id}")["name"] == "Koperasi Tetap Ada"


@pytest.mark.embedded
def test_the_four_idle_services_together_take_less_than_600_megabytes(system: Installation) -> None:
    # PSS: what a service alone holds, and its share of what the services have in common.
    held = {name: psutil.Process(system.pid_of(name)).memory_full_info().pss for name in SERVICES}
    assert all(held.values())
    assert sum(held.values()) < 600 * 2**20, held
