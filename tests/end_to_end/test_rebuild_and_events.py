"""A rebuild under writes changes no answer, and the stream can be read, searched and written to a file."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import DINKOP, PATIENCE, Installation, dense

AS_OF = "2024-12-31"


@pytest.fixture(scope="module")
def known(system: Installation) -> list[str]:
    """A few cooperatives with a meeting each, applied everywhere."""
    ids = []
    for number in range(20):
        cooperative_id, position = system.register(f"Koperasi Putar {number}")
        body = {"book_year": 2022, "held_on": "2023-03-10", "members_total": 9, "members_present": 9}
        _, held = system.post("rat", f"/v1/cooperatives/{cooperative_id}/rats", body, at_least=position)
        ids.append(cooperative_id)
    system.get("reporting", "/v1/kecamatan", at_least=f"{position},{held}")
    return ids


@contextmanager
def posting(system: Installation, name: str) -> Iterator[list[str]]:
    """Register one cooperative after the other meanwhile; yield the positions that were acknowledged."""
    acknowledged: list[str] = []
    problems: list[BaseException] = []
    begun, done = threading.Event(), threading.Event()

    def post() -> None:
        try:
            while not done.is_set():
                acknowledged.append(system.register(f"Koperasi {name} {len(acknowledged)}")[1])
                begun.set()
        except BaseException as problem:
            problems.append(problem)
            begun.set()

    poster = threading.Thread(target=post)
    poster.start()
    begun.wait()
    try:
        yield acknowledged
    finally:
        done.set()
        poster.join()
    assert problems == []


def answers(system: Installation, known: list[str], known_at: str) -> Any:
    """Return what reporting says with the knowledge of that time, without the positions that move on."""
    numbers = system.get("reporting", "/v1/kecamatan", as_of=AS_OF, known_at=known_at)
    items = system.items("reporting", "/v1/health", as_of=AS_OF, known_at=known_at, kecamatan_code="35.07.21")
    ones = [system.get("reporting", f"/v1/health/{each}", as_of=AS_OF, known_at=known_at) for each in known[:3]]
    for answer in (numbers, *ones):
        answer.pop("positions")
    return numbers, items, ones


def generations(system: Installation) -> dict[str, int]:
    return {name: item["generation"] for name, item in system.live().items()}


def test_a_rebuild_under_writes_changes_no_answer_and_is_seen_in_the_status(
    system: Installation, known: list[str]
) -> None:
    known_at = system.get("reporting", "/v1/kecamatan")["known_at"]
    before, generation = answers(system, known, known_at), generations(system)
    with posting(system, "Sambil") as acknowledged:
        [report] = system.json("rebuild", "reporting.health_status")["items"]
        assert answers(system, known, known_at) == before
    assert len(acknowledged) > 1
    assert report["projection"] == "reporting.health_status"
    assert report["events"] > 0
    assert report["rows"] >= len(known)
    assert report["generation"] == generation["reporting.health_status"] + 1
    assert generations(system) == generation | {"reporting.health_status": report["generation"]}

    # What was written meanwhile is in the new generation, and it goes on.
    after = system.get("reporting", "/v1/kecamatan", at_least=acknowledged[-1])
    then = system.get("reporting", "/v1/kecamatan", known_at=known_at)
    assert after["total"]["registered"] == then["total"]["registered"] + len(acknowledged)


def test_all_projections_are_rebuilt_at_once_and_lists_stay_as_they_were(
    system: Installation, known: list[str]
) -> None:
    before, generation = system.items("registry", "/v1/cooperatives"), generations(system)
    with posting(system, "Semua") as acknowledged:
        told = system.dinkop("rebuild", "all")
    for name, number in generation.items():
        assert f"{name}: generation {number + 1} is live" in told
    assert generations(system) == {name: number + 1 for name, number in generation.items()}
    system.get("registry", "/v1/cooperatives", at_least=acknowledged[-1])
    after = {item["cooperative_id"]: item for item in system.items("registry", "/v1/cooperatives")}
    assert [after[item["cooperative_id"]] for item in before] == before
    assert len(after) == len(before) + len(acknowledged)
    assert {item["last_error"] for item in system.live().values()} == {None}


# ---------------------------------------------------------------- proof, acceptance, and the way back

COOPERATIVES = "registry.cooperatives"


def test_what_differs_is_shown_asked_for_and_can_be_taken_back(system: Installation, known: list[str]) -> None:
    [checked] = system.json("verify", COOPERATIVES)["items"]
    assert (checked["kind"], checked["state"]) == ("verify", "equal")
    assert checked["compared"]["rows"] >= len(known)
    assert checked["compared"]["before"] == checked["compared"]["after"]

    one, live = known[0], generations(system)[COOPERATIVES]

    def name() -> str:
        [found] = [each for each in system.items("registry", "/v1/cooperatives") if each["cooperative_id"] == one]
        read: str = found["name"]
        return read

    right = name()
    change = f"UPDATE cooperatives_g{live}.cooperatives SET name = 'By hand' WHERE cooperative_id = '{one}'"
    system.by_hand("registry", change)
    told = system.dinkop("verify", COOPERATIVES, code=1)
    for words in ("1 rows changed", f"changed {one}", f"name: By hand -> {right}"):
        assert words in told
    [tried] = system.json("rebuild", COOPERATIVES, "--dry-run")["items"]
    assert (tried["kind"], tried["state"], tried["compared"]["changed"]) == ("dry_run", "different", 1)
    assert tried["bytes"] > 0
    [refused] = system.json("rebuild", COOPERATIVES, code=1)["items"]
    assert refused["state"] == "refused"
    assert "is of the same version" in system.dinkop("rebuild", COOPERATIVES, code=1)
    assert (generations(system)[COOPERATIVES], name()) == (live, "By hand")

    [accepted] = system.json("rebuild", COOPERATIVES, "--accept", "--reason", "by hand is wrong")["items"]
    assert (accepted["state"], accepted["replaced"], accepted["generation"]) == ("live", live, refused["generation"])
    assert (generations(system)[COOPERATIVES], name()) == (accepted["generation"], right)
    [back] = system.json("rollback", COOPERATIVES)["items"]
    assert (back["kind"], back["state"], back["generation"]) == ("rollback", "live", live)
    assert (generations(system)[COOPERATIVES], name()) == (live, "By hand")
    assert f"generation {accepted['generation']} is live again" in system.dinkop("rollback", COOPERATIVES)
    assert name() == right

    assert system.json("retire", COOPERATIVES) == {"items": [{"projection": COOPERATIVES, "generation": live}]}
    assert "has no generation before the live one" in system.dinkop("rollback", COOPERATIVES, code=1)
    assert "the live one is never retired" in system.dinkop(
        "retire", COOPERATIVES, "--generation", str(accepted["generation"]), code=1
    )


def test_a_copy_of_the_past_can_be_looked_at_and_given_up(system: Installation, known: list[str]) -> None:
    first = json.loads(system.dinkop("events", "tail", "--no-follow", "-n", "100000", "--json").splitlines()[0])
    live = generations(system)[COOPERATIVES]
    [copy] = system.json("rebuild", COOPERATIVES, "--until", "1")["items"]
    assert (copy["kind"], copy["state"], copy["positions"]) == ("inspection", "kept", {"registry": 1})
    number = str(copy["generation"])
    [line] = system.dinkop("inspect", COOPERATIVES, "--generation", number).splitlines()
    assert json.loads(line)["cooperative_id"] == first["subject"]
    assert system.dinkop("inspect", COOPERATIVES, "--generation", number, "--key", known[1]) == ""
    [line] = system.dinkop("inspect", COOPERATIVES, "--key", known[1]).splitlines()
    assert json.loads(line)["name"] == "Koperasi Putar 1"
    assert generations(system)[COOPERATIVES] == live

    moment = system.json("rebuild", COOPERATIVES, "--until", first["time"])["items"][0]
    assert moment["positions"] == {"registry": 1}
    for given_up in (number, str(moment["generation"])):
        system.dinkop("retire", COOPERATIVES, "--generation", given_up)
    assert "no generation 999" in system.dinkop("inspect", COOPERATIVES, "--generation", "999", code=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rebuild", COOPERATIVES, "--until", "5", "--accept"), "never live"),
        (("rebuild", COOPERATIVES, "--until", "yesterday"), "yesterday is no place in the stream and no time"),
        (("inspect", "all"), "Name one projection"),
        (("inspect", COOPERATIVES, "--limit", "0"), "--limit"),
    ],
)
def test_words_that_make_no_sense_are_wrong_usage(system: Installation, words: tuple[str, ...], told: str) -> None:
    assert told in system.dinkop(*words, code=2)


# ---------------------------------------------------------------- events


def test_the_tail_shows_the_last_events_and_each_can_be_shown(system: Installation, known: list[str]) -> None:
    system.still()
    lines = system.dinkop("events", "tail", "--no-follow", "-n", "5").splitlines()
    assert len(lines) == 5
    told = [
        json.loads(line) for line in system.dinkop("events", "tail", "--no-follow", "-n", "5", "--json").splitlines()
    ]
    for line, event in zip(lines, told, strict=True):
        assert line.startswith(event["time"])
        assert event["subject"] in line
        assert event["type"].split(".")[-2] in line
    shown = json.loads(system.dinkop("events", "show", told[-1]["id"]))
    assert shown == told[-1]
    assert shown["specversion"] == "1.0"
    assert system.dinkop("events", "tail", "--no-follow", "-n", "0") == ""


def _interruptible() -> None:
    # A test run in the background ignores the signal, and hands that on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.embedded  # interrupts a process
def test_the_tail_follows_what_comes_until_it_is_interrupted(system: Installation) -> None:
    system.still()
    words = [str(DINKOP), "events", "tail", "-n", "1"]
    with subprocess.Popen(
        words, env=system.environment, stdout=subprocess.PIPE, text=True, preexec_fn=_interruptible
    ) as tail:
        given_up = threading.Timer(PATIENCE, tail.kill)
        given_up.start()
        assert tail.stdout is not None
        assert tail.stdout.readline(), "the last one there is"
        cooperative_id, position = system.register("Koperasi Terlihat")
        line = tail.stdout.readline()
        assert cooperative_id in line
        assert position in line
        tail.send_signal(signal.SIGINT)
        assert tail.wait() == 130
        given_up.cancel()


def test_an_event_that_is_not_there_is_said_to_be_missing(system: Installation) -> None:
    missing = "018fd5a0-6c00-7a10-8000-000000000001"
    assert system.dinkop("events", "show", missing, code=1) == f"The stream has no event {missing}.\n"


def test_an_export_holds_every_event_once_in_order_and_says_up_to_where(
    system: Installation, known: list[str], tmp_path: Path
) -> None:
    system.still()
    status = system.json("status")
    stamp, events = system.exported(tmp_path / "events.jsonl")
    counted = dense(events)
    assert counted == {each["name"]: n for each in status["services"] if (n := each["store"]["position"])}
    assert stamp["stream"] == "DINKOP"
    assert stamp["events"] == stamp["log_sequence"] == len(events) == status["stream"]["messages"]
    assert stamp["positions"] == counted
    assert stamp["incarnation"]
    assert {event["subject"] for event in events} >= set(known)
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]
    manifest = system.json("events", "manifest", "--until", str(stamp["log_sequence"]))
    assert (manifest["digest"], manifest["events"]) == (stamp["digest"], stamp["events"])
    assert "none is missing" in system.dinkop("events", "manifest", tmp_path / "events.jsonl")
    assert "no kecamatan 'Nowhere'" in system.dinkop("events", "manifest", "--kecamatan", "Nowhere", code=2)
