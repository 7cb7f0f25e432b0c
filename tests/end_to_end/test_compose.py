"""What is particular to a stack of containers: who they run as, what they can do, and what commands find there."""

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import httpx
import pytest
from eventually import eventually
from running import PATIENCE, REPOSITORY, SERVICES, Installation
from stack import REPLICAS, Stack

pytestmark = pytest.mark.compose


@pytest.fixture
def stack(system: Installation) -> Stack:
    """The stack that the tests share."""
    return cast(Stack, system)


def inspected(stack: Stack) -> list[dict[str, Any]]:
    """Return what docker knows of the containers, those of jobs among them, without what runs beside."""
    containers = stack.compose("ps", "-q", "-a").stdout.split()
    done = subprocess.run(["docker", "inspect", *containers], capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [each for each in found if each["Config"]["Labels"]["com.docker.compose.oneoff"] == "False"]


def test_a_token_of_the_command_as_it_is_written_in_the_interface_opens_every_service(stack: Stack) -> None:
    token = stack.compose("run", "--rm", "cli", "token", "--role", "officer").stdout.strip()
    for service in SERVICES:
        for port in stack.ports[service]:
            url = f"http://127.0.0.1:{port}/v1/"
            path = {"registry": "cooperatives", "rat": "rat-plans", "mentoring": "requests", "reporting": "kecamatan"}
            answer = httpx.get(url + path[service], headers={"Authorization": f"Bearer {token}"}, trust_env=False)
            assert answer.status_code == 200, answer.text
            assert httpx.get(url + path[service], trust_env=False).status_code == 401


def test_every_container_runs_as_nobody_on_a_root_that_it_cannot_write(stack: Stack) -> None:
    containers = inspected(stack)
    jobs = 2 + len(SERVICES)  # roles, doors, and migrations
    assert len(containers) == 3 + jobs + len(SERVICES) * REPLICAS, [each["Name"] for each in containers]
    for each in containers:
        assert each["Config"]["User"].partition(":")[0] not in ("", "0", "root"), each["Name"]
        assert each["HostConfig"]["ReadonlyRootfs"], each["Name"]
        assert each["HostConfig"]["CapDrop"] == ["ALL"], each["Name"]
        assert each["HostConfig"]["Memory"], each["Name"]
        assert each["HostConfig"]["NanoCpus"], each["Name"]
        assert each["RestartCount"] == 0, each["Name"]


def test_the_health_check_tells_who_can_serve_from_who_cannot(stack: Stack) -> None:
    [container, *_] = stack.containers("rat")
    check = ("python", "-I", "-S", "/dinkop/ready")
    assert subprocess.run(["docker", "exec", container, *check], check=False).returncode == 0
    away = ["docker", "exec", "--env=DINKOP_PORT=1", container, *check]
    assert subprocess.run(away, capture_output=True, check=False).returncode == 1


def test_no_secret_stands_in_an_environment_or_a_log(stack: Stack) -> None:
    folder = REPOSITORY / stack.environment["DINKOP_SECRETS_FOLDER"]
    secrets = [path.read_text().strip() for path in (*folder.glob("doors/*"), *folder.glob("passwords/*"))]
    secrets.append((folder / "master_key").read_text().strip())
    told = json.dumps(inspected(stack)) + stack.compose("logs", "--no-color").stdout
    assert "/run/secrets" in told
    assert len(secrets) == 5 + 10 + 1
    assert not [secret for secret in secrets if secret in told]


def test_a_service_is_given_its_own_secrets_and_of_the_issuer_public_keys_alone(stack: Stack) -> None:
    [container, *_] = stack.containers("rat")
    look = "import os, json; print(json.dumps([sorted(os.listdir('/run/secrets')), open('/shown/jwks.json').read()]))"
    done = subprocess.run(["docker", "exec", container, "python", "-c", look], capture_output=True, text=True)
    secrets, keys = json.loads(done.stdout)
    assert secrets == ["dinkop_database_url", "dinkop_nats_url"]
    assert all("d" not in key for key in json.loads(keys)["keys"])
    assert subprocess.run(["docker", "exec", container, "ls", "/home/dinkop/issuer"], check=False).returncode != 0


def leading(stack: Stack, service: str) -> list[bool]:
    """Return of each replica whether it is the one that publishes and projects."""
    states = []
    for port in stack.ports[service]:
        answer = stack.http.get(f"http://127.0.0.1:{port}/v1/projections")
        states.append(answer.json()["leading"])
    return states


async def test_of_the_replicas_of_a_service_one_leads_and_the_command_shows_what_it_tells(stack: Stack) -> None:
    for service in SERVICES:
        assert sorted(leading(stack, service)) == [False] * (REPLICAS - 1) + [True]
    position = int(stack.register("Koperasi Pemimpin")[1].partition(":")[2])

    def told() -> bool:
        [registry] = [each for each in stack.json("status")["services"] if each["name"] == "registry"]
        return bool(registry["leading"] and registry["relay"]["published"] >= position)

    await eventually(told, PATIENCE)


async def test_stopped_and_started_again_the_stack_has_what_it_had(stack: Stack) -> None:
    cooperative_id, position = stack.register("Koperasi Bertahan")
    stack.get("reporting", f"/v1/health/{cooperative_id}", at_least=position)
    stack.compose("stop")
    stack.compose("start", "postgres", "nats")
    stack.compose("start", *SERVICES)
    for service in SERVICES:
        for port in stack.ports[service]:
            await eventually(partial(ready, f"http://127.0.0.1:{port}/readyz"), PATIENCE)
    assert stack.get("registry", f"/v1/cooperatives/{cooperative_id}")["name"] == "Koperasi Bertahan"
    _, after = stack.register("Koperasi Sesudah Mati")
    assert stack.get("reporting", "/v1/kecamatan", at_least=after)["total"]["registered"] > 0


def ready(url: str) -> bool:
    """Tell whether a replica can serve."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


REFUSED = [
    (("up",), "DINKOP_SERVICES says that the system runs on servers of its own"),
    (("backup", "/tmp/backups"), "Back it up with deploy/compose-backup"),
]


@pytest.mark.parametrize(
    ("words", "why"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_what_only_one_machine_can_do_is_refused_in_a_sentence(stack: Stack, words: tuple[str, ...], why: str) -> None:
    told = stack.dinkop(*words, code=2)
    assert why in told
    assert "Traceback" not in told


def test_the_doctor_looks_at_what_can_be_seen_from_a_container(stack: Stack) -> None:
    told = stack.json("doctor")["items"]
    assert {item["what"] for item in told} == {*SERVICES, "stream"}
    assert all(item["fine"] for item in told)


def test_reconciling_says_that_it_cannot_look_at_the_files_of_the_stream(stack: Stack) -> None:
    assert stack.json("reconcile")["stream"]["on_disk"] is None
    assert "can't be looked at from here" in stack.dinkop("reconcile")


@contextmanager
def load(stack: Stack) -> Iterator[list[str]]:
    """Register cooperatives all the while, each at whichever replica takes it; yield the ids of those accepted."""
    ids: list[str] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def register(number: int) -> None:
        body = {
            "name": f"Koperasi Gulir {number}",
            "legal_entity_number": f"GULIR/{number}",
            "legal_entity_date": "2022-05-02",
            "kecamatan_code": "35.07.21",
        }
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                answer = stack.http.post(
                    stack.url("registry", "/v1/cooperatives"), json=body, headers={"Idempotency-Key": f"gulir-{number}"}
                )
            except httpx.TransportError:
                continue  # the one that is replaced just now: the next one
            assert answer.status_code == 201, answer.text
            return ids.append(answer.json()["cooperative_id"])
        raise AssertionError("no replica answers")

    def work() -> None:
        try:
            for number in itertools.count():
                if done.is_set():
                    return
                register(number)
                done.wait(0.1)
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ids
    finally:
        done.set()
        thread.join(PATIENCE)
    assert not problems, problems


@pytest.mark.skipif(REPLICAS < 2, reason="with one replica a service is away while it restarts")
async def test_containers_are_replaced_one_by_one_under_load_and_no_command_is_lost_or_doubled(stack: Stack) -> None:
    before = set(stack.containers("registry"))
    with load(stack) as ids:
        done = subprocess.run(
            [REPOSITORY / "deploy" / "compose-roll", "registry"],
            env=stack.environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("registry: one container replaced") == REPLICAS
    print(done.stdout, f"{len(ids)} commands meanwhile")
    after = set(stack.containers("registry"))
    assert len(after) == REPLICAS
    assert not after & before
    assert len(set(ids)) == len(ids) > 0
    _, position = stack.register("Koperasi Sesudah Gulir")
    found = stack.items("registry", "/v1/cooperatives", q="Gulir", at_least=position)
    assert {each["cooperative_id"] for each in found} >= set(ids)
    await eventually(lambda: sorted(leading(stack, "registry")) == [False] * (REPLICAS - 1) + [True], PATIENCE)
    assert stack.json("reconcile")["fine"]


@pytest.mark.skipif(REPLICAS < 2, reason="one replica has no other to write what it reads")
def test_what_one_replica_accepts_another_one_shows_and_refuses_to_accept_twice(stack: Stack) -> None:
    first, second = (f"http://127.0.0.1:{port}/v1/cooperatives" for port in stack.ports["registry"])
    body = {
        "name": "Koperasi Dua Pintu",
        "legal_entity_number": f"PINTU/{os.getpid()}",
        "legal_entity_date": "2022-05-02",
        "kecamatan_code": "35.07.21",
    }
    headers = {"Idempotency-Key": "dua-pintu"}
    one, two = (stack.http.post(url, json=body, headers=headers) for url in (first, second))
    assert (one.status_code, one.headers["Dinkop-Position"]) == (201, two.headers["Dinkop-Position"])
    assert stack.http.post(second, json=body).status_code == 409
    there = stack.http.get(second, params={"q": "Dua Pintu", "at_least": one.headers["Dinkop-Position"]})
    assert [item["cooperative_id"] for item in there.json()["items"]] == [one.json()["cooperative_id"]]
