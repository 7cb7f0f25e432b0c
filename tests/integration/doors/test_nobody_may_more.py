"""Nobody publishes, deletes, purges or reads what isn't his own: tried with a client, against a server."""

import asyncio
import json

import nats as nats_py
import pytest
from eventually import eventually
from guarded import AGENCIES, Errors, Guarded, agency
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from contracts.envelope import SERVICES, STREAM
from dinkop.nats_accounts import DECLARED, agency_may, service_may

pytestmark = pytest.mark.embedded

AGENCY_USERS = [f"agency-{name}" for name in AGENCIES]
USERS = [*SERVICES, *AGENCY_USERS]
API = "$JS.API"
VERBS = ("MSG.NEXT", "DELETE", "INFO", "PAUSE", "RESET")


def own(user: str) -> list[str]:
    """Return the subjects that a user may publish to."""
    if user in SERVICES:
        return service_may(user, DECLARED[user])
    return agency_may(agency(user.removeprefix("agency-")))


def forbidden(user: str) -> list[str]:
    """Return subjects that would change, destroy or show what isn't the user's own."""
    consumers = {name: [f"{name}-00", f"{name}-31"] for name in SERVICES}
    consumers |= {f"agency-{name}": [agency(name).durable] for name in AGENCIES}
    others = [consumer for name, each in consumers.items() if name != user for consumer in each]
    unread = [name for name in SERVICES if user not in SERVICES or name not in DECLARED[user].sources]
    subjects = [
        *(f"dinkop.v1.{service}.RATHeld.350721" for service in SERVICES if service != user),
        *(
            f"{API}.STREAM.{verb}.{STREAM}"
            for verb in ("DELETE", "PURGE", "UPDATE", "MSG.DELETE", "MSG.GET", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
        ),
        f"{API}.STREAM.CREATE.OTHER",
        f"{API}.STREAM.NAMES",
        f"{API}.STREAM.LIST",
        f"{API}.CONSUMER.NAMES.{STREAM}",
        f"{API}.CONSUMER.LIST.{STREAM}",
        f"{API}.CONSUMER.CREATE.{STREAM}",  # unnamed, as of old
        f"{API}.CONSUMER.CREATE.{STREAM}.mine",
        f"{API}.CONSUMER.CREATE.{STREAM}.mine.dinkop.v1.>",
        f"{API}.CONSUMER.DURABLE.CREATE.{STREAM}.mine",
        f"{API}.DIRECT.GET.{STREAM}",
        f"{API}.DIRECT.GET.{STREAM}.>",
        *(f"{API}.DIRECT.GET.{STREAM}.dinkop.v1.{service}.>" for service in unread),
        *(f"{API}.CONSUMER.CREATE.{STREAM}.{name}" for name in others),
        *(f"{API}.CONSUMER.CREATE.{STREAM}.{name}.dinkop.v1.registry.>" for name in others),
        *(f"{API}.CONSUMER.{verb}.{STREAM}.{name}" for verb in VERBS for name in others),
        *(f"$JS.ACK.{STREAM}.{name}.1.1.1.1.0" for name in others),
        f"{API}.INFO",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.ACCOUNT.DINKOP.CONNZ",
        "_INBOX.dinkop.answer",
    ]
    if user == "registry":
        mine = f"{API}.CONSUMER.CREATE.{STREAM}.registry-00"
        subjects += [mine, f"{mine}.>", f"{mine}.dinkop.v1.>", f"{mine}.dinkop.v1.*.>", f"{mine}.dinkop.v1.rat.>"]
    if user in AGENCY_USERS:
        mine = agency(user.removeprefix("agency-")).durable
        subjects += [f"{API}.STREAM.{verb}.{STREAM}" for verb in ("INFO", "CREATE")]
        subjects += [f"{API}.CONSUMER.{verb}.{STREAM}.{mine}" for verb in ("DELETE", "CREATE", "RESET", "PAUSE")]
        subjects.append(f"{API}.CONSUMER.CREATE.{STREAM}.{mine}.dinkop.v1.>")
    return subjects


async def refused(client: Client, errors: Errors, kind: str, subjects: list[str]) -> list[str]:
    """Return the subjects against which the server has not spoken."""
    await client.flush()
    async with asyncio.timeout(5):
        while not errors.against(kind, subjects[-1]):
            await client.flush()
    return [subject for subject in subjects if not errors.against(kind, subject)]


@pytest.mark.parametrize("user", USERS)
async def test_nothing_but_ones_own_can_be_published_or_asked(server: Guarded, user: str) -> None:
    before, errors, subjects = await server.state(), Errors(), forbidden(user)
    async with server.signed_in(user, errors) as client:
        for subject in subjects:
            await client.publish(subject, b"", reply=client.new_inbox())
        assert await refused(client, errors, "publish", subjects) == []
    assert await server.state() == before


@pytest.mark.parametrize("user", USERS)
async def test_the_stream_cannot_be_listened_to(server: Guarded, user: str) -> None:
    errors = Errors()
    subjects = [">", "*.>", "dinkop.v1.>", f"dinkop.v1.{user}.>", "$JS.>", "$JS.EVENT.>", "$SYS.>"]
    async with server.signed_in(user, errors) as client:
        for subject in subjects:
            await client.subscribe(subject)
        assert await refused(client, errors, "subscription", subjects) == []


@pytest.mark.parametrize("user", USERS)
async def test_the_answers_of_others_are_not_heard(server: Guarded, user: str) -> None:
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    async with server.signed_in(user) as client:
        await client.subscribe("_INBOX.>", cb=hear)
        await client.flush()
        for other in USERS:
            if other != user:
                async with server.signed_in(other) as speaking:
                    assert (await speaking.request(own(other)[1 if other in SERVICES else 0], b"")).data
        async with server.operating() as operator:
            await operator.jetstream().stream_info(STREAM)
        await client.publish(own(user)[1 if user in SERVICES else 0], b"", reply="_INBOX.mine")
        await eventually(lambda: "_INBOX.mine" in heard)
    assert heard == ["_INBOX.mine"]


@pytest.mark.parametrize("user", USERS)
async def test_an_answer_cannot_be_sent_to_where_its_reader_may_not_publish(server: Guarded, user: str) -> None:
    targets = [
        f"{API}.STREAM.DELETE.{STREAM}",
        f"{API}.STREAM.PURGE.{STREAM}",
        f"{API}.CONSUMER.DELETE.{STREAM}.{agency('kominfo').durable}",
        f"{API}.CONSUMER.DELETE.{STREAM}.{agency('wagir').durable}",
        f"{API}.CONSUMER.CREATE.{STREAM}.mine",
        "dinkop.v1.mentoring.Forged.350721",
        "dinkop.v1.reporting.Forged.350721",
    ]
    before = await server.state()
    async with server.signed_in(user) as client:
        if user in SERVICES:
            filter_ = f"dinkop.v1.{user}.>"
            create = f"{API}.CONSUMER.CREATE.{STREAM}.{user}-00.{filter_}"
            made = await client.request(create, json.dumps(asked(user, filter_subject=filter_)).encode())
            assert b"error" not in made.data
        asking = [subject for subject in own(user) if "-00" in subject or user in AGENCY_USERS or "INFO" in subject]
        asking = [subject for subject in asking if not subject.endswith(">") and "DELETE" not in subject]
        assert any("MSG.NEXT" in subject for subject in asking)
        for target in targets:
            for subject in asking:
                # What there is, and then the empty word that there is no more: that one deletes a stream.
                await client.publish(subject, b'{"batch":100,"no_wait":true}', reply=target)
                await client.publish(subject, b"", reply=target)
        await client.flush()
        # Answered in its turn: all that came before is done with.
        for _ in range(3):
            if user in SERVICES:
                await client.request(f"{API}.STREAM.INFO.{STREAM}", b"")
            else:
                await client.request(own(user)[0], b"")
        if user in SERVICES:
            await client.request(f"{API}.CONSUMER.DELETE.{STREAM}.{user}-00", b"")
    assert await server.state() == before


def asked(user: str, **configuration: object) -> dict[str, object]:
    """Return a request for a consumer."""
    configuration = {"name": f"{user}-00", "ack_policy": "none", "mem_storage": True, **configuration}
    return {"stream_name": STREAM, "action": "create", "config": configuration}


@pytest.mark.parametrize(
    "wider",
    [
        {},
        {"filter_subject": "dinkop.v1.>"},
        {"filter_subject": "dinkop.v1.rat.>"},
        {"filter_subjects": ["dinkop.v1.rat.>"]},
        {"filter_subject": "dinkop.v1.registry.>", "filter_subjects": ["dinkop.v1.rat.>"]},
        {"filter_subjects": ["dinkop.v1.registry.>", "dinkop.v1.rat.>"]},
        {"filter_subject": "dinkop.v1.registry.>", "durable_name": "agency"},
    ],
)
async def test_a_request_that_says_otherwise_than_its_subject_makes_no_consumer(
    server: Guarded, wider: dict[str, object]
) -> None:
    before = await server.state()
    subject = f"{API}.CONSUMER.CREATE.{STREAM}.registry-00.dinkop.v1.registry.>"
    async with server.signed_in("registry") as client:
        answer = json.loads((await client.request(subject, json.dumps(asked("registry", **wider)).encode())).data)
    assert answer["error"]["code"] == 400
    assert await server.state() == before


async def test_the_name_of_a_consumer_is_that_of_the_subject(server: Guarded) -> None:
    subject = f"{API}.CONSUMER.CREATE.{STREAM}.registry-00.dinkop.v1.registry.>"
    request = asked("registry", name="reporting-00", filter_subject="dinkop.v1.registry.>")
    async with server.signed_in("registry") as client:
        answer = json.loads((await client.request(subject, json.dumps(request).encode())).data)
        await client.request(f"{API}.CONSUMER.DELETE.{STREAM}.registry-00", b"")
    assert answer["name"] == "registry-00"


@pytest.mark.parametrize("into", ["$JS.API.STREAM.DELETE.DINKOP", "dinkop.v1.rat.Forged.350721"])
async def test_a_consumer_that_pushes_can_not_push_into_the_stream_or_its_administration(
    server: Guarded, into: str
) -> None:
    before = await server.state()
    subject = f"{API}.CONSUMER.CREATE.{STREAM}.registry-00.dinkop.v1.registry.>"
    pushing = {"filter_subject": "dinkop.v1.registry.>", "deliver_subject": into, "idle_heartbeat": 100_000_000}
    async with server.signed_in("registry") as client:
        await client.request(subject, json.dumps(asked("registry", **pushing)).encode())
        for _ in range(5):
            await client.request(f"{API}.STREAM.INFO.{STREAM}", b"")
        await client.request(f"{API}.CONSUMER.DELETE.{STREAM}.registry-00", b"")
    assert await server.state() == before


@pytest.mark.parametrize(("user", "password"), [(None, None), ("registry", "x"), ("agency-x", "x"), ("dinkop", "")])
async def test_nobody_comes_in_without_his_password(server: Guarded, user: str | None, password: str | None) -> None:
    with pytest.raises(Error, match="Authorization Violation"):
        await nats_py.connect(
            server.server.url, user=user, password=password, allow_reconnect=False, error_cb=Errors().note
        )
