"""`dinkop demo` shows the regency of November 2024, and every number is the one worked out apart from it."""

import json
import re
from collections import Counter
from datetime import date
from typing import Any

import pytest
from eventually import eventually
from running import REPOSITORY, SERVICES, Install, Installation

from dinkop.demonstration.expected import expected, total
from dinkop.demonstration.regency import TODAY, WAGIR_NIK, regency

COUNTED = ("registered", "obliged", "healthy", "on_track", "inconsistent", "lapsed", "not_yet_due", "held_latest")


@pytest.fixture(scope="module")
def demonstration(install: Install) -> Installation:
    """The demonstration, running."""
    demonstration = install("demonstration", DINKOP_TODAY="2024-11-14")
    demonstration.start("demo")
    return demonstration


async def test_it_says_where_to_look(demonstration: Installation) -> None:
    await eventually(lambda: demonstration.url("reporting", "/v1/kecamatan/35.07.21") in demonstration.output)
    assert "Today is pinned to 2024-11-14" in demonstration.output


def test_the_regency_is_in_trouble_everywhere(demonstration: Installation) -> None:
    answer = demonstration.get("reporting", "/v1/kecamatan")
    assert answer["as_of"] == "2024-11-14"
    assert answer["total"]["registered"] == 1387
    assert 290 <= answer["total"]["inconsistent"] + answer["total"]["lapsed"] <= 310
    places = [item for item in answer["items"] if item["kecamatan_code"]]
    assert len(places) == 33
    assert all(item["inconsistent"] + item["lapsed"] for item in places)


@pytest.mark.parametrize("as_of", [TODAY, date(2024, 6, 30), date(2023, 12, 31)], ids=str)
def test_every_number_is_as_expected(demonstration: Installation, as_of: date) -> None:
    answer = demonstration.get("reporting", "/v1/kecamatan", as_of=as_of.isoformat())
    found = {item["kecamatan_code"]: +Counter({name: item[name] for name in COUNTED}) for item in answer["items"]}
    worked_out = expected(regency(), as_of)
    assert {code: counts for code, counts in found.items() if counts} == {k: +v for k, v in worked_out.items() if +v}
    assert +Counter({name: answer["total"][name] for name in COUNTED}) == total(worked_out)


def test_the_small_cooperative_in_wagir_is_there(demonstration: Installation) -> None:
    [found] = demonstration.get("registry", "/v1/cooperatives", q=WAGIR_NIK)["items"]
    health = demonstration.get("reporting", f"/v1/health/{found['cooperative_id']}")
    assert health["nik"] == WAGIR_NIK
    assert health["kecamatan_code"] == "35.07.21"


SHOWN = re.compile(r"^\$ curl -s 'http://127\.0\.0\.1:800(\d)(/[^']+)'\n([{].*?)(?=^\$|^```)", re.MULTILINE | re.DOTALL)


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
