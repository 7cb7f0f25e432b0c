"""`dinkop demo` shows the regency of November 2024, and every number is the one worked out apart from it."""

import json
import re
import shlex
import subprocess
from collections import Counter
from datetime import date
from hashlib import sha256
from typing import Any

import httpx
import pytest
from eventually import eventually
from running import PATIENCE, REPOSITORY, SERVICES, Install, Installation

from dinkop.demonstration.expected import COUNTED, expected, found, total
from dinkop.demonstration.regency import TODAY, WAGIR_NIK, regency
from dinkop.demonstration.register import PROPOSED_NIK, REFUSED_NIK


@pytest.fixture(scope="module")
def demonstration(install: Install) -> Installation:
    """The demonstration, running."""
    demonstration = install("demonstration", DINKOP_TODAY="2024-11-14")
    demonstration.start("demo")
    return demonstration


@pytest.mark.embedded
async def test_it_says_where_to_look(demonstration: Installation) -> None:
    await eventually(lambda: demonstration.url("reporting", "/v1/kecamatan/35.07.21") in demonstration.output)
    assert "Today is pinned to 2024-11-14" in demonstration.output
    assert "Demonstration: camat reports 66 of 66" in demonstration.output


@pytest.mark.embedded
async def test_every_place_that_it_names_shows_something(demonstration: Installation) -> None:
    await eventually(lambda: "PUAS" in demonstration.output)
    commands = re.findall(r"^    curl .*$", demonstration.output, re.MULTILINE)
    assert len(commands) == 6
    [token] = re.findall(r"^    TOKEN=\$\((.*)\)$", demonstration.output, re.MULTILINE)
    printed = subprocess.run(shlex.split(token), capture_output=True, text=True, check=True).stdout.strip()
    for command in commands:
        _, header, *options, quoted = shlex.split(command)[1:]
        assert header == "Authorization: Bearer $TOKEN"
        answer = httpx.get(quoted, headers={"Authorization": f"Bearer {printed}"}, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200, command
        assert answer.content.startswith(b"%PDF-" if options else b"{"), command


def test_the_regency_is_in_trouble_everywhere(demonstration: Installation) -> None:
    answer = demonstration.get("reporting", "/v1/kecamatan")
    assert answer["as_of"] == "2024-11-14"
    assert answer["total"]["registered"] == 1387
    assert 290 <= answer["total"]["inconsistent"] + answer["total"]["lapsed"] <= 310
    places = [item for item in answer["items"] if item["kecamatan_code"]]
    assert len(places) == 33
    assert all(item["inconsistent"] + item["lapsed"] for item in places)


@pytest.mark.parametrize("as_of", [TODAY, date(2024, 9, 30), date(2024, 6, 30), date(2023, 12, 31)], ids=str)
def test_every_number_is_as_expected(demonstration: Installation, as_of: date) -> None:
    answer = demonstration.get("reporting", "/v1/kecamatan", as_of=as_of.isoformat())
    found = {item["kecamatan_code"]: +Counter({name: item[name] for name in COUNTED}) for item in answer["items"]}
    worked_out = expected(regency(), as_of)
    assert {code: counts for code, counts in found.items() if counts} == {k: +v for k, v in worked_out.items() if +v}
    assert +Counter({name: answer["total"][name] for name in COUNTED}) == total(worked_out)


def id_of(demonstration: Installation, nik: str) -> str:
    """Return the id of a cooperative."""
    [found] = demonstration.get("registry", "/v1/cooperatives", q=nik)["items"]
    return str(found["cooperative_id"])


def test_the_small_cooperative_in_wagir_is_there(demonstration: Installation) -> None:
    health = demonstration.get("reporting", f"/v1/health/{id_of(demonstration, WAGIR_NIK)}")
    assert health["nik"] == WAGIR_NIK
    assert health["kecamatan_code"] == "35.07.21"
    assert (health["status"], health["existence"], health["mentoring_open"]) == ("inconsistent", "found", False)


def test_the_story_of_wagir_can_be_followed_event_by_event(demonstration: Installation) -> None:
    path = f"/v1/cooperatives/{id_of(demonstration, WAGIR_NIK)}"
    told = demonstration.items("reporting", f"{path}/timeline")
    story = [
        (item["happened_on"], item["type"], item["data"].get("kind"))
        for item in told
        if "2024-01-01" <= item["happened_on"] < "2024-11-14"
    ]
    assert story == [
        ("2024-02-20", "CooperativeTraced", None),
        ("2024-07-08", "WarningIssued", None),
        ("2024-07-18", "MentoringRequested", None),
        ("2024-07-22", "MentoringAccepted", None),
        ("2024-07-25", "MentoringActivityHeld", "visit"),
        ("2024-08-08", "MentoringActivityHeld", "training"),
        ("2024-08-22", "MentoringActivityHeld", "monitoring"),
        ("2024-09-12", "MentoringActivityHeld", "evaluation"),
        ("2024-09-21", "RATHeld", None),
        ("2024-09-21", "MentoringActivityHeld", "rat_attendance"),
        ("2024-09-24", "CooperativeTraced", None),
        ("2024-10-03", "RATVerified", None),
        ("2024-10-08", "MentoringCompleted", None),
        (story[-1][0], "CamatFollowUpRecorded", None),
    ]
    history = [item["type"] for item in demonstration.items("registry", f"{path}/history")]
    assert history[0] == "CooperativeRegistered"
    assert history[-2:] == ["CooperativeTraced", "CooperativeTraced"]


def test_the_letter_of_wagir_came_to_a_meeting_and_its_people_stay_with_mentoring(demonstration: Installation) -> None:
    cooperative_id = id_of(demonstration, WAGIR_NIK)
    [line] = demonstration.get("mentoring", "/v1/requests", cooperative_id=cooperative_id)["items"]
    request = demonstration.get("mentoring", f"/v1/requests/{line['request_id']}")
    assert (request["channel"], request["state"], request["outcome"]) == ("letter", "completed", "rat_held")
    assert request["rats"] == [{"book_year": 2023, "held_on": "2024-09-21"}]
    people = demonstration.get("mentoring", f"/v1/requests/{line['request_id']}/people")["items"]
    assert [person["role"] for person in people] == ["ketua", "bendahara", "anggota"]
    timeline = demonstration.get("reporting", f"/v1/cooperatives/{cooperative_id}/timeline")
    assert not any(person["name"] in json.dumps(timeline) for person in people)


def test_requests_stand_everywhere_they_can_stand_and_visits_are_to_come(demonstration: Installation) -> None:
    states = Counter(item["state"] for item in demonstration.items("mentoring", "/v1/requests"))
    assert states == {"requested": 4, "accepted": 12, "declined": 3, "redirected": 3, "completed": 8}
    calendar = demonstration.items("mentoring", "/v1/calendar")
    assert [item["state"] for item in calendar] == ["planned"] * 6
    assert all(item["on"] > "2024-11-14" and item["team"] for item in calendar)


def test_one_on_paper_is_to_be_removed_and_another_stays_for_the_ministry_refused(demonstration: Installation) -> None:
    findings = found(regency(), TODAY)
    listed = demonstration.items("registry", "/v1/cooperatives")
    assert {item["nik"]: item["existence"] for item in listed if item["existence"] != "registered"} == findings
    assert [nik for nik, finding in findings.items() if finding == "removal_proposed"] == [PROPOSED_NIK]
    history = demonstration.items("registry", f"/v1/cooperatives/{id_of(demonstration, REFUSED_NIK)}/history")
    assert [item["type"] for item in history][-3:] == ["RemovalProposed", "RemovalRejected", "CooperativeTraced"]


def test_every_camat_got_a_report_that_says_what_was_worked_out(demonstration: Installation) -> None:
    reports = demonstration.items("reporting", "/v1/camat-reports", period="2024-Q3")
    assert len(reports) == 33
    assert {report["as_of"] for report in reports} == {"2024-09-30"}
    worked_out = expected(regency(), date(2024, 9, 30))
    for report in reports:
        assert {name: report["numbers"][name] for name in COUNTED} == worked_out[report["kecamatan_code"]]
    assert sum(report["acknowledged_on"] is not None for report in reports) == 13
    assert sum(len(report["follow_ups"]) for report in reports) == 20


def test_what_was_issued_reads_the_same_when_it_is_read_again(demonstration: Installation) -> None:
    [report] = demonstration.get("reporting", "/v1/camat-reports", kecamatan_code="35.07.21")["items"]
    answer = demonstration.http.get(demonstration.url("reporting", f"/v1/camat-reports/{report['report_id']}.pdf"))
    assert sha256(answer.content).hexdigest() == report["sha256"]
    changes = demonstration.get("reporting", f"/v1/camat-reports/{report['report_id']}/changes")
    assert (changes["numbers"], changes["cooperatives"]) == ([], [])


SHOWN = re.compile(
    r"^\$ curl -s -H \"\$AUTH\" 'http://127\.0\.0\.1:800(\d)(/[^']+)'\n([{].*?)(?=^\$|^```)", re.MULTILINE | re.DOTALL
)


def test_the_answers_that_the_readme_shows_are_what_it_answers(demonstration: Installation) -> None:
    shown = SHOWN.findall((REPOSITORY / "README.md").read_text("utf-8"))
    assert len(shown) >= 3
    cooperative_id = ""
    for port, path, text in shown:
        service = SERVICES[int(port) - 1]
        answer = demonstration.get(service, path.format(cooperative_id=cooperative_id))
        assert holds(answer, json.loads(text)), f"{path}: {answer}"
        if service == "registry":
            cooperative_id = answer["items"][0]["cooperative_id"]


def holds(answer: Any, shown: Any) -> bool:
    """Whether an answer holds everything that is shown of it."""
    if isinstance(shown, dict):
        return all(name in answer and holds(answer[name], value) for name, value in shown.items())
    if isinstance(shown, list):
        return len(answer) == len(shown) and all(map(holds, answer, shown))
    return bool(answer == shown)


def test_started_again_it_fills_nothing_twice(demonstration: Installation) -> None:
    before = demonstration.json("status")["stream"]["messages"]
    demonstration.stop()
    demonstration.start("demo")
    assert demonstration.json("status")["stream"]["messages"] == before
