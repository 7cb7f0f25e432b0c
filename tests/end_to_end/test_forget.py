"""Personal data: it lies readable in no file and no copy, is erased by one command, and stays erased in old copies."""

import asyncio
import base64
import binascii
import json
import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import asyncpg
import pytest
from running import DINKOP, PATIENCE, Install, Installation

from contracts.envelope import SERVICES
from dinkop.embedded.postgres import SUPERUSER, find_binaries
from dinkop.home import Home
from dinkop.supervisor import embedded_postgres

PERSON, PHONE = "Xqwortini Vbekalungé", "0899-7715-3346"
WORDS = {
    "a name": PERSON,
    "a role": "pengawas-zjuqk",
    "a phone": PHONE,
    "a complaint": "kaskosong-wvyxqh sejak dua tahun",
    "an address": "Gang Pjxomba 77",
    "a cooperative's name": "KSP Qyzzanthia",
    "a letter's number": "QX-9913/ZZ/2024",
    "the team": "Pendamping Wlqvarno",
    "notes on an activity": "bukunya hxqvilang semua",
    "notes on the end": "pengurus fzzwakil terpilih",
    "a reason to decline": "tidak jvvqlayak dibina",
    "whom it was handed to": "Dinas Kqxxota Lama",
    "a reason to hand on": "alamatnya di bqwwatas kota",
}
FINDABLE = "findable-7c1f0a92"
"""Stands in every event's metadata and in every line about a request: a search that misses it would miss all."""

REQUEST: dict[str, Any] = {
    "cooperative_id": None,
    "cooperative_name": WORDS["a cooperative's name"],
    "location": {"kecamatan_code": "35.07.21", "address": WORDS["an address"]},
    "people": [{"name": PERSON, "role": WORDS["a role"], "phone": PHONE}],
    "complaint": WORDS["a complaint"],
    "category": "bookkeeping",
    "channel": "letter",
    "letter_number": WORDS["a letter's number"],
}
ACCEPTANCE = {"team": [WORDS["the team"]]}
ACTIVITY = {"kind": "monitoring", "participants": 7, "notes": WORDS["notes on an activity"]}
COMPLETION = {"outcome": "active_again", "notes": WORDS["notes on the end"]}
DECLINING = {"reason": WORDS["a reason to decline"]}
REDIRECTION = {"to": WORDS["whom it was handed to"], "reason": WORDS["a reason to hand on"]}
COURSES: list[list[tuple[str, dict[str, Any]]]] = [
    [("acceptances", ACCEPTANCE), ("activities", ACTIVITY), ("completions", COMPLETION)],
    [("declines", DECLINING)],
    [("redirections", REDIRECTION)],
]


@pytest.fixture(scope="module")
def system(install: Install) -> Installation:
    """A system of its own, that logs whatever it can."""
    system = install("forgetful", DINKOP_LOG_LEVEL="debug")
    system.http.headers["X-Correlation-Id"] = FINDABLE
    system.start()
    return system


def send(system: Installation, path: str, body: dict[str, Any], key: str, status: int = 201) -> dict[str, Any]:
    """Send a command under an idempotency key; its answer must have this status and repeat nobody's words."""
    answer = system.http.post(system.url("mentoring", path), json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == status, answer.text
    assert not said(answer.content)
    told: dict[str, Any] = answer.json()
    return told


def told(system: Installation) -> list[str]:
    """Tell the words in every way there is: rightly, wrongly, twice, too late. Return the requests."""
    requests = []
    for number, course in enumerate(COURSES):
        request_id = send(system, "/v1/requests", REQUEST, f"ask-{number}")["request_id"]
        send(system, "/v1/requests", REQUEST, f"ask-{number}")
        for step, body in course:
            path = f"/v1/requests/{request_id}/{step}"
            send(system, path, body | {"surprise": "x"}, f"misshapen-{number}-{step}", 422)
            send(system, path, body, f"{number}-{step}")
            send(system, path, body, f"{number}-{step}")
        for step, body in (step for course in COURSES for step in course):
            send(system, f"/v1/requests/{request_id}/{step}", body, f"late-{number}-{step}", 409)
        requests.append(request_id)
    send(system, "/v1/requests", REQUEST | {"received_on": "2199-01-01"}, "never", 422)
    send(system, "/v1/requests", REQUEST | {"complaint": [WORDS["a complaint"]]}, "never", 422)
    send(system, "/v1/nowhere", REQUEST, "never", 404)
    return requests


def forms(word: bytes) -> Iterator[bytes]:
    """Yield a word as it is, and as files and copies of all kinds would have it."""
    yield word
    yield word.hex().encode()
    yield word.hex().upper().encode()
    text = word.decode("utf-8", "surrogateescape")
    if text.isprintable():
        yield quote(text).encode()
        yield quote_plus(text).encode()
        yield json.dumps(text)[1:-1].encode()
        yield text.encode("utf-16-le")
    for before in range(3):
        # Of base64, what stays the same whatever stands before and after it.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(before) + word + bytes(2))
            yield encoded[(before * 8 + 5) // 6 : (before + len(word)) * 8 // 6]


def holding(*secrets: bytes) -> Callable[[bytes], bool]:
    """Return what tells whether bytes hold one of these, in any form."""
    wanted = {form for secret in secrets for form in forms(secret)}
    return lambda content: any(form in content for form in wanted)


EVERY_FORM = {what: holding(word.encode()) for what, word in WORDS.items()}


def said(content: bytes) -> set[str]:
    """Return which of the words stand in `content`."""
    return {what for what, found in EVERY_FORM.items() if found(content)}


def files(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below these folders."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()


def copies(system: Installation, folder: Path) -> Path:
    """Take copies as an operator would: a dump of every database as text, the stream as an export, all that is read."""
    folder.mkdir()
    postgres = embedded_postgres(Home(system.home))
    for name in SERVICES:
        dump = [find_binaries() / "pg_dump", "--dbname", postgres.owner_url(name), "--file", folder / f"{name}.sql"]
        subprocess.run(dump, check=True)
    system.exported(folder / "events.jsonl")
    reads = ["/metrics", "/v1/projections", "/v1/requests"]
    lists = system.items("mentoring", "/v1/requests")
    reads += [f"/v1/requests/{request['request_id']}/history" for request in lists]
    for number, path in enumerate(reads):
        (folder / f"read-{number}").write_bytes(system.http.get(system.url("mentoring", path)).content)
    for path in ("/v1/health", "/v1/kecamatan", "/metrics"):
        (folder / f"reporting{path.replace('/', '-')}").write_bytes(
            system.http.get(system.url("reporting", path)).content
        )
    return folder


def written_down(system: Installation) -> None:
    """Have PostgreSQL write every page to its files."""
    url = embedded_postgres(Home(system.home)).url("mentoring", SUPERUSER)

    async def checkpoint() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("CHECKPOINT")
        await connection.close()

    asyncio.run(checkpoint())


def assert_nowhere(system: Installation, copy: Path) -> None:
    """Search all files of the home and a copy, having made sure that the search finds what is there."""
    written_down(system)
    marker = holding(FINDABLE.encode())
    for place in (system.home / "postgres", system.home / "nats", system.home / "logs", copy):
        assert any(marker(content) for _, content in files(place)), f"the search does not read {place}"
    found = {str(path): words for path, content in files(system.home, copy) if (words := said(content))}
    assert found == {}


def test_the_search_finds_a_word_in_every_form() -> None:
    for before in range(4):
        for what, word in WORDS.items():
            text = f"{'x' * before}{word}{'y' * before}"
            raw = text.encode()
            for form in (
                raw,
                binascii.hexlify(raw),
                base64.b64encode(raw),
                base64.urlsafe_b64encode(raw),
                json.dumps(text).encode(),
                quote(text).encode(),
            ):
                assert what in said(form)
    assert said(b"Pendamping, pengurus, alamatnya di kota") == set()


@pytest.mark.embedded
def test_names_phones_and_words_are_nowhere_to_be_read_and_after_forgetting_their_keys_are_gone_too(
    system: Installation, tmp_path: Path
) -> None:
    requests = told(system)
    position = len(requests) + sum(len(course) for course in COURSES)
    seen = b"".join(
        system.http.get(system.url("mentoring", f"/v1/requests/{request_id}{part}")).content
        for request_id in requests
        for part in ("", "/people")
    )
    assert said(seen) == WORDS.keys(), "whoever may read them reads all of them"
    system.get("mentoring", "/v1/requests", at_least=f"mentoring:{position}")
    system.get("reporting", "/v1/kecamatan", at_least=f"mentoring:{position}")
    before = copies(system, tmp_path / "before")
    assert_nowhere(system, before)

    keys = {request_id: (system.home / "keys" / f"{request_id}.key").read_bytes() for request_id in requests}
    for request_id in requests:
        assert system.json("forget", request_id) == {
            "request_id": request_id,
            "version": len(COURSES[requests.index(request_id)]) + 2,
            "already_forgotten": False,
        }
    system.get("mentoring", "/v1/requests", at_least=f"mentoring:{position + len(requests)}")
    assert_nowhere(system, copies(system, tmp_path / "after"))
    wrapped = holding(*keys.values())
    assert wrapped(b"".join(keys.values()))
    assert [path for path, content in files(system.home, tmp_path) if wrapped(content)] == []
    for request_id in requests:
        answer = system.http.get(system.url("mentoring", f"/v1/requests/{request_id}/people"))
        assert answer.status_code == 410
        item = system.get("mentoring", f"/v1/requests/{request_id}")
        assert (item["forgotten"], said(json.dumps(item).encode())) == (True, set())


@pytest.mark.embedded
def test_what_was_forgotten_stays_forgotten_when_an_older_copy_of_the_databases_is_put_back(
    system: Installation, tmp_path: Path
) -> None:
    forgotten = send(system, "/v1/requests", REQUEST, "to-forget")["request_id"]
    kept = send(system, "/v1/requests", REQUEST, "to-keep")["request_id"]
    system.stop()
    shutil.copytree(system.home / "postgres", tmp_path / "postgres", symlinks=True)
    system.start()
    system.dinkop("forget", forgotten)
    system.stop()
    shutil.rmtree(system.home / "postgres")
    shutil.copytree(tmp_path / "postgres", system.home / "postgres", symlinks=True)
    shutil.rmtree(system.home / "nats")
    system.start()
    history = system.get("mentoring", f"/v1/requests/{forgotten}/history")["items"]
    assert [item["type"] for item in history] == ["MentoringRequested"], "the copy is older than the forgetting"
    url = system.url("mentoring", "/v1/requests")
    assert system.http.get(f"{url}/{forgotten}/people").status_code == 410
    item = system.get("mentoring", f"/v1/requests/{forgotten}")
    assert (item["forgotten"], item["complaint"]) == (True, None)
    assert system.get("mentoring", f"/v1/requests/{kept}/people")["items"] == REQUEST["people"]


def asked(system: Installation, request_id: str, answer: str) -> tuple[int, str]:
    """Run the command on a terminal, and answer its question; return exit code and output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [DINKOP, "forget", request_id],
        env=system.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    return process.returncode, output


@pytest.mark.embedded
def test_on_a_terminal_forgetting_asks_first_and_names_nobody(system: Installation) -> None:
    request_id = send(system, "/v1/requests", REQUEST, "to-ask-about")["request_id"]
    people = system.url("mentoring", f"/v1/requests/{request_id}/people")
    code, output = asked(system, request_id, "n")
    assert code == 1
    assert "requested, on bookkeeping" in " ".join(output.split())
    assert output.rstrip().endswith("Nothing was erased.")
    assert not said(output.encode())
    assert system.http.get(people).status_code == 200
    code, output = asked(system, request_id, "y")
    assert (code, "is erased for good" in output) == (0, True)
    assert system.http.get(people).status_code == 410


def test_forgetting_again_is_fine_and_says_so(system: Installation) -> None:
    request_id = send(system, "/v1/requests", REQUEST, "to-forget-twice")["request_id"]
    first, again = (system.json("forget", request_id, "--yes") for _ in range(2))
    assert (first["already_forgotten"], again["already_forgotten"]) == (False, True)
    assert first["version"] == again["version"] == 2
    assert "had been erased before" in system.dinkop("forget", request_id)


@pytest.mark.embedded
def test_forgetting_what_is_not_there_says_so(system: Installation, install: Install) -> None:
    nobody = "018fd5a0-6c00-7a10-8000-000000000001"
    assert "There is no request with this id." in system.dinkop("forget", nobody, code=1)
    assert "Invalid value for" in system.dinkop("forget", "Bu-Sri", code=2)
    assert "is not running on" in install("never-started").dinkop("forget", nobody, code=3)
