"""Snapshot and manifest say what is on the stream, and tell an agency what it lacks."""

import json
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from filling import Publication, fill
from histories import histories
from nats.aio.client import Client

from dinkop.completeness import check, manifest
from dinkop.public_events import export
from dinkop.system import Failed, Misused, System

EVENTS = 600


def quiet(done: int, total: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def history() -> list[Publication]:
    return list(histories(EVENTS))


@pytest.fixture
async def stream(public_stream: Client, history: list[Publication]) -> Client:
    await fill(public_stream, history)
    return public_stream


def by_hand(history: list[Publication], service: str, digits: str = "") -> tuple[list[int], str]:
    """The numbers and the digest of a service, from what was published."""
    numbers, digest = [], sha256()
    for subject, headers, data in history:
        if subject.split(".")[2] == service and subject.endswith(digits):
            number = int(headers["ce-sequence"])
            line = f"{number} {headers['ce-id']} {subject.split('.')[3]} {headers['ce-subject']} ".encode() + data
            numbers.append(number)
            digest.update(sha256(line).hexdigest().encode() + b"\n")
    return numbers, digest.hexdigest()


async def test_the_manifest_has_every_part_with_its_range_count_and_digest(
    system: System, stream: Client, history: list[Publication]
) -> None:
    told = await manifest(system, (), None, quiet)
    assert (told["stream"], told["log_sequence"], told["events"]) == ("DINKOP", EVENTS, EVENTS)
    assert told["incarnation"]
    parts = Counter((subject.split(".")[2], subject.split(".")[4]) for subject, _, _ in history)
    assert {(i["service"], i["kecamatan"]): i["count"] for i in told["items"] if i["kecamatan"] != "all"} == parts
    for item in told["items"]:
        digits = "" if item["kecamatan"] == "all" else item["kecamatan"]
        numbers, digest = by_hand(history, item["service"], digits)
        assert (item["first"], item["last"], item["count"]) == (numbers[0], numbers[-1], len(numbers))
        assert item["digest"] == digest


async def test_the_manifest_of_some_kecamatan_has_nothing_of_others(system: System, stream: Client) -> None:
    whole = await manifest(system, (), None, quiet)
    told = await manifest(system, ("35.07.21", "Bululawang", "350705"), None, quiet)
    assert told["kecamatan"] == ["350705", "350714", "350721"]
    assert told["items"] == [item for item in whole["items"] if item["kecamatan"] in told["kecamatan"]]
    assert told["events"] == sum(item["count"] for item in told["items"]) < EVENTS


async def test_the_manifest_of_the_past_is_that_of_the_stream_then(
    system: System, public_stream: Client, history: list[Publication]
) -> None:
    await fill(public_stream, history[:200])
    then = await manifest(system, (), None, quiet)
    await fill(public_stream, history[200:])
    assert await manifest(system, (), 200, quiet) == then
    assert (await manifest(system, (), None, quiet))["digest"] != then["digest"]


@pytest.mark.parametrize(
    ("kecamatan", "until", "words"),
    [
        (("35.07.99",), None, "no kecamatan '35.07.99'"),
        (("Nowhere",), None, "Nowhere"),
        ((), EVENTS + 1, "ends at 600"),
    ],
)
async def test_what_there_is_not_is_said(
    system: System, stream: Client, kecamatan: tuple[str, ...], until: int | None, words: str
) -> None:
    with pytest.raises(Misused, match=words):
        await manifest(system, kecamatan, until, quiet)


async def test_a_snapshot_has_the_bytes_of_every_event_and_its_manifests_digest(
    system: System, stream: Client, history: list[Publication], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    stamp = await export(system, file, (), quiet)
    first, *lines = file.read_text("utf-8").splitlines()
    assert json.loads(first) == stamp
    told = await manifest(system, (), stamp["log_sequence"], quiet)
    for name in ("stream", "incarnation", "log_sequence", "events", "digest"):
        assert stamp[name] == told[name]
    for (_, headers, data), line in zip(history, lines, strict=True):
        event = json.loads(line)
        assert event["data"] == json.loads(data)
        assert {f"ce-{name}": event[name] for name in event if name != "data"} == {
            name: value for name, value in headers.items() if name.startswith("ce-")
        }
        assert line.partition(',"data":')[2][:-1].encode() == data
    assert await check(system, file, quiet) == (EVENTS, [])
    assert [found.name for found in tmp_path.iterdir()] == ["events.jsonl"]


async def test_a_snapshot_of_one_kecamatan_holds_its_events_alone(
    system: System, stream: Client, history: list[Publication], tmp_path: Path
) -> None:
    file = tmp_path / "wagir.jsonl"
    stamp = await export(system, file, ["35.07.21"], quiet)
    ids = [headers["ce-id"] for subject, headers, _ in history if subject.endswith(".350721")]
    assert [json.loads(line)["id"] for line in file.read_text("utf-8").splitlines()[1:]] == ids
    told = await manifest(system, ["35.07.21"], None, quiet)
    assert (stamp["kecamatan"], stamp["events"], stamp["digest"]) == (["350721"], len(ids), told["digest"])
    assert await check(system, file, quiet) == (len(ids), [])


async def test_an_empty_stream_has_an_empty_snapshot_and_manifest(
    system: System, public_stream: Client, tmp_path: Path
) -> None:
    assert (await manifest(system, (), None, quiet))["items"] == []
    assert (await export(system, tmp_path / "none.jsonl", (), quiet))["events"] == 0
    assert await check(system, tmp_path / "none.jsonl", quiet) == (0, [])


async def test_a_consumer_that_is_behind_is_complete_and_one_that_lost_something_is_not(
    system: System, public_stream: Client, history: list[Publication], tmp_path: Path
) -> None:
    await fill(public_stream, history[:400])
    had: dict[str, Any] = await manifest(system, (), None, quiet)
    await fill(public_stream, history[400:])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(had, indent=1))
    assert await check(system, file, quiet) == (400, [])
    [wagir] = [item for item in had["items"] if (item["service"], item["kecamatan"]) == ("rat", "350721")]
    wagir["count"] -= 1
    file.write_text(json.dumps({"items": had["items"]}))
    _, [problem] = await check(system, file, quiet)
    assert problem.startswith(f"rat, 350721: {wagir['count']} events up to {wagir['last']}, where the stream has")


DAMAGE: dict[str, Callable[[list[str]], list[str]]] = {
    "is damaged: by its first line it has 600 events": lambda lines: lines[:-1],
    "it holds 599": lambda lines: [*lines[:9], *lines[10:]],
    "it holds 600": lambda lines: [*lines[:9], lines[9].replace('"data":{', '"data":{ '), *lines[10:]],
    "no snapshot and no manifest: line 10": lambda lines: [*lines[:9], lines[9][:50], *lines[10:]],
    "came after": lambda lines: [*lines[:10], *lines[9:]],
    "no snapshot and no manifest: Object missing required field `items`": lambda lines: ["{}"],
    "no snapshot and no manifest: Expecting value": lambda lines: ["Dear agency"],
}


async def test_a_damaged_file_is_told_from_a_consumer_that_lost_something(
    system: System, stream: Client, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    await export(system, file, (), quiet)
    lines = file.read_text("utf-8").splitlines()
    for words, change in DAMAGE.items():
        file.write_text("\n".join(change(lines)) + "\n", "utf-8")
        with pytest.raises(Failed, match=words):
            await check(system, file, quiet)


async def test_a_file_that_is_not_there_is_wrong_usage(system: System, stream: Client, tmp_path: Path) -> None:
    with pytest.raises(Misused, match=r"can't be read: No such file"):
        await check(system, tmp_path / "nothing", quiet)


async def test_an_event_that_stands_there_twice_is_damage_not_a_manifest(
    system: System, public_stream: Client, history: list[Publication], tmp_path: Path
) -> None:
    await fill(public_stream, [*history[:10], (history[4][0], history[4][1] | {"Nats-Msg-Id": "x"}, history[4][2])])
    with pytest.raises(Failed, match="The stream is damaged"):
        await manifest(system, (), None, quiet)
    with pytest.raises(Failed, match="The stream is damaged"):
        await export(system, tmp_path / "events.jsonl", (), quiet)
    assert list(tmp_path.iterdir()) == []
