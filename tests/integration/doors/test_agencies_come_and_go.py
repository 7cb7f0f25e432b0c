"""An agency is let in and shown out while the server runs, whole or not at all, and nobody else notices."""

import asyncio
from pathlib import Path

import nats as nats_py
import pytest
from eventually import eventually
from filling import publication
from guarded import Errors, Guarded
from nats.errors import Error, NoRespondersError
from nats.js.api import StreamInfo

from chassis.messaging import connection, durables, stream
from contracts.envelope import STREAM
from dinkop import agencies
from dinkop.agencies import Credentials
from dinkop.nats_accounts import Standing
from dinkop.system import Failed, Misused

pytestmark = pytest.mark.embedded


async def added(server: Guarded, name: str, *kecamatan: str, after: int = 0) -> Credentials:
    """Add an agency, and return what it is handed."""
    given: list[Credentials] = []
    await agencies.add(server.system, name, kecamatan, after, given.append)
    [credentials] = given
    return credentials


async def fetched(given: Credentials, count: int = 100) -> list[str]:
    """Return the subjects that an agency gets with its credentials; all of them are acknowledged."""
    client = await nats_py.connect(
        given.url, user=given.user, password=given.password, inbox_prefix=given.inbox_prefix, allow_reconnect=False
    )
    subscription = await client.jetstream().pull_subscribe_bind(given.durable, given.stream)
    messages = await subscription.fetch(count, timeout=1)
    for message in messages:
        await message.ack_sync()
    await client.close()
    return [message.subject for message in messages]


async def test_an_agency_reads_what_it_was_added_for_until_it_is_revoked(server: Guarded) -> None:
    given = await added(server, "dpmptsp", "Wagir", "35.07.21")
    assert given.filter_subjects == ["dinkop.v1.*.*.350721"]
    assert {subject.rpartition(".")[2] for subject in await fetched(given)} == {"350721"}
    [item] = [item for item in await agencies.listed(server.system) if item["name"] == "dpmptsp"]
    assert (item["lag"], item["connections"], item["kecamatan"]) == (0, 0, ["35.07.21"])
    await agencies.revoke(server.system, "dpmptsp")
    with pytest.raises(Error, match="Authorization Violation"):
        await fetched(given)
    assert server.doors.agency("dpmptsp") is None
    async with server.operating() as client:
        assert await durables.progress(client, given.durable) is None


async def test_a_revoked_agency_is_cut_off_within_a_second_and_nobody_else_is(server: Guarded) -> None:
    given = await added(server, "bps")
    closed = asyncio.Event()

    async def note() -> None:
        closed.set()

    client = await nats_py.connect(
        given.url,
        user=given.user,
        password=given.password,
        inbox_prefix=given.inbox_prefix,
        allow_reconnect=False,
        closed_cb=note,
        error_cb=Errors().note,
    )
    subscription = await client.jetstream().pull_subscribe_bind(given.durable, given.stream)
    assert await subscription.fetch(1, timeout=5)
    async with server.signed_in("agency-kominfo") as other, connection.connect(server.address("rat"), "test") as broker:
        await agencies.revoke(server.system, "bps")
        await asyncio.wait_for(closed.wait(), 1.0)
        assert other.is_connected
        assert connection.client(broker).stats["reconnects"] == 0
        assert isinstance(await connection.client(broker).jetstream().stream_info(STREAM), StreamInfo)


async def test_who_begins_with_a_snapshot_reads_what_follows_it(server: Guarded) -> None:
    given = await added(server, "inspektorat", after=35)
    assert len(await fetched(given)) == 5
    await agencies.revoke(server.system, "inspektorat")


async def test_reading_goes_on_while_others_come_and_go(server: Guarded) -> None:
    async with server.signed_in("agency-kominfo") as client:
        subscription = await client.jetstream().pull_subscribe_bind("kominfo-0123456789abcdef", STREAM)
        for message in await subscription.fetch(100, timeout=1):
            await message.ack_sync()
        waiting = asyncio.create_task(subscription.fetch(1, timeout=20))
        await asyncio.sleep(0)
        await added(server, "bappeda")
        await agencies.revoke(server.system, "bappeda")
        subject, headers, payload = publication(2001, "mentoring", "Happened")
        async with server.signed_in("mentoring") as publishing:
            await publishing.jetstream().publish(subject, payload, headers=headers)
        [message] = await waiting
        assert message.headers["ce-sequence"] == "2001"


@pytest.mark.parametrize("broken", ["make", "_reread", "_tried", "hand_over"])
async def test_what_was_cut_off_in_the_middle_is_finished_by_the_same_again(
    server: Guarded, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    class PowerFailure(BaseException):
        pass

    def fail(*_: object) -> None:
        raise PowerFailure

    given: list[Credentials] = []
    with monkeypatch.context() as patched:
        if broken != "hand_over":
            patched.setattr(durables if broken == "make" else agencies, broken, fail)
        with pytest.raises(PowerFailure):
            await agencies.add(server.system, "polres", (), 0, fail if broken == "hand_over" else given.append)
    assert given == []
    unfinished = server.doors.agency("polres")
    assert unfinished is not None
    assert unfinished.standing is Standing.ADDING
    assert await fetched(await added(server, "polres", "35.07.21"))
    await agencies.revoke(server.system, "polres")


async def test_credentials_that_cannot_be_written_are_told_and_the_agency_is_not_in(server: Guarded) -> None:
    def full(_: Credentials) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Failed, match=r"No space left.*run this again"):
        await agencies.add(server.system, "satpol", (), 0, full)
    await agencies.revoke(server.system, "satpol")


async def test_a_revocation_cut_off_in_the_middle_is_finished_by_the_same_again(
    server: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await added(server, "dinsos")

    async def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(agencies, "_reread", fail)
        with pytest.raises(KeyboardInterrupt):
            await agencies.revoke(server.system, "dinsos")
    await agencies.revoke(server.system, "dinsos")
    with pytest.raises(Error, match="Authorization Violation"):
        await fetched(given)


async def test_a_name_is_taken_once(server: Guarded) -> None:
    with pytest.raises(Failed, match="agency revoke kominfo"):
        await added(server, "kominfo")


@pytest.mark.parametrize(
    ("name", "kecamatan", "after", "problem"),
    [
        ("Dinas", [], 0, "no name"),
        ("a", [], 0, "no name"),
        ("a.b", [], 0, "no name"),
        ("a>", [], 0, "no name"),
        ("dinas", ["35.07.99"], 0, r"no kecamatan 35\.07\.99"),
        ("dinas", [], 10**6, "ends at"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_leaves_nothing(
    server: Guarded, name: str, kecamatan: list[str], after: int, problem: str
) -> None:
    before = server.doors.agencies()
    with pytest.raises(Misused, match=problem):
        await agencies.add(server.system, name, kecamatan, after, lambda _: None)
    assert server.doors.agencies() == before


async def test_who_is_not_there_cannot_be_revoked(server: Guarded) -> None:
    with pytest.raises(Failed, match=r"no agency nobody\. There is: kominfo, wagir"):
        await agencies.revoke(server.system, "nobody")


async def test_agencies_begin_again_where_the_stream_was_made_anew(
    server: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await added(server, "kejaksaan", after=10)
    async with server.operating() as client:
        await stream.remove(client.jetstream())
    with pytest.raises((Error, NoRespondersError)):
        await fetched(given)
    monkeypatch.setattr(agencies, "KEEP_SECONDS", 0.05)
    keeping = asyncio.create_task(agencies.keep(server.doors, server.system.nats))
    try:
        async with server.signed_in("rat") as client:
            await eventually(lambda: stream.ensure(client.jetstream()))
            for number in range(1, 4):
                subject, headers, payload = publication(number, "rat", "Happened")
                await client.jetstream().publish(subject, payload, headers=headers)

        async def all_have_theirs() -> bool:
            return all(item["position"] is not None for item in await agencies.listed(server.system))

        await eventually(all_have_theirs)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
    assert len(await fetched(given)) == 3
    await agencies.revoke(server.system, "kejaksaan")


async def test_secrets_are_for_their_owner_only_and_stay(server: Guarded) -> None:
    files = [path for path in server.home.doors.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    secrets = {path: path.read_bytes() for path in files if path.name != "lock"}
    server.doors.prepare()
    assert {path: path.read_bytes() for path in secrets} == secrets
    text = Path(server.doors.accounts).read_text()
    assert not any(
        server.doors.secret(user) in text for user in ("dinkop", "registry", "rat", "mentoring", "reporting")
    )
