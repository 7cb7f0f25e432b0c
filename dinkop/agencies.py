"""Agencies that read the events: let in, listed, shown out, and their consumers kept."""

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import bcrypt
import httpx
import msgspec

from chassis.definitions import clock
from chassis.messaging import connection, durables
from chassis.messaging.address import Address
from chassis.messaging.feed import JetStreamFeed
from chassis.messaging.public_log import UNREACHABLE as NATS_AWAY
from chassis.messaging.pulling import Interrupted
from contracts import regions
from contracts.envelope import STREAM
from dinkop.doors import COST, Doors, is_name
from dinkop.nats_accounts import RELOAD, Agency, Standing
from dinkop.processes import Patience
from dinkop.system import Failed, Misused, System, Unreachable

log = logging.getLogger("dinkop.supervisor")

PATIENCE = 10.0
"""Seconds that NATS has to take a connection, to read its accounts again, or to answer."""
KEEP_SECONDS = 2.0
"""Seconds between two looks whether every agency has its consumer."""
_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an agency is given. `password` is nowhere else: who loses it is revoked and added again."""

    url: str
    user: str
    password: str
    stream: str
    durable: str
    inbox_prefix: str
    filter_subjects: Sequence[str]


type HandOver = Callable[[Credentials], None]


def resolved(kecamatan: Sequence[str]) -> tuple[str, ...]:
    """Return the codes of kecamatan, each once. Raises Misused."""
    codes = [regions.resolve_kecamatan(text) for text in kecamatan]
    for text, code in zip(kecamatan, codes, strict=True):
        if code is None:
            raise Misused(f"There is no kecamatan {text}. Give its code, such as 35.07.21, or its name, such as Wagir.")
    return tuple(sorted({code for code in codes if code}))


PUBLIC_URL = "DINKOP_PUBLIC_NATS_URL"
"""By which address agencies reach NATS, where it isn't the one that dinkop itself uses."""


async def add(system: System, name: str, kecamatan: Sequence[str], after: int, hand_over: HandOver) -> Agency:
    """Let an agency in, and hand its credentials over; return its record.

    It counts as added only once they are handed over: whatever goes wrong before, the same again begins anew, with
    another password. Raises Misused, Failed (the name is taken) or Unreachable.
    """
    if not is_name(name):
        raise Misused(f"{name!r} is no name for an agency: 2 to 40 of a-z, 0-9 and -, the first a letter.")
    codes = resolved(kecamatan)
    doors = Doors(system.home.doors)
    password = secrets.token_urlsafe(32)
    async with _operating(system.nats) as broker:
        client = connection.client(broker)
        with doors.held():
            begun = doors.agency(name)
            if begun and begun.standing is not Standing.ADDING:
                raise Failed(
                    f"The agency {name} has been added already: revoke it first (`dinkop agency revoke {name}`),"
                    " or take another name."
                )
            feed = JetStreamFeed(client)
            if after > (head := await feed.head()):
                raise Misused(f"The stream ends at {head}, so nothing begins after {after}.")
            agency = Agency(
                name=name,
                durable=begun.durable if begun else f"{name}-{secrets.token_hex(12)}",
                password_hash=bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode(),
                kecamatan=codes,
                since=clock.now(),
                after=after,
                log=await feed.identity(),
            )
            doors.record(agency)
            await durables.remove(client, agency.durable)  # of an attempt that was cut off, maybe with other subjects
            await durables.make(client, agency.durable, agency.filter_subjects, after)
            doors.write_accounts()
            await _reread(system, client)
            credentials = Credentials(
                url=os.environ.get(PUBLIC_URL) or str(system.nats),
                user=agency.user,
                password=password,
                stream=STREAM,
                durable=agency.durable,
                inbox_prefix=Address(servers=(), user=agency.user).inbox_prefix,
                filter_subjects=agency.filter_subjects,
            )
            await _tried(system, credentials)
            try:
                hand_over(credentials)
            except OSError as problem:
                raise Failed(
                    f"The credentials can't be handed over: {problem}. Mend it, and run this again."
                ) from problem
            agency = msgspec.structs.replace(agency, standing=Standing.OPEN)
            doors.record(agency)
    return agency


async def revoke(system: System, name: str) -> None:
    """Show an agency out: its connections are cut, its consumer is gone. Raises Failed or Unreachable."""
    doors = Doors(system.home.doors)
    async with _operating(system.nats) as broker:
        with doors.held():
            agency = doors.agency(name)
            if agency is None:
                known = ", ".join(each.name for each in doors.agencies()) or "none"
                raise Failed(f"There is no agency {name}. There is: {known}.")
            doors.record(msgspec.structs.replace(agency, standing=Standing.REVOKING))
            doors.write_accounts()
            await _reread(system, connection.client(broker))
            await durables.remove(connection.client(broker), agency.durable)
            doors.forget(agency)


async def listed(system: System) -> list[dict[str, Any]]:
    """Return every agency: what it reads, since when, how far it is, and how many connections it has.

    Raises Unreachable.
    """
    items: list[dict[str, Any]] = []
    async with _operating(system.nats) as broker:
        for agency in Doors(system.home.doors).agencies():
            progress = await durables.progress(connection.client(broker), agency.durable)
            items.append(
                {
                    "name": agency.name,
                    "standing": agency.standing,
                    "kecamatan": list(agency.kecamatan),
                    "since": agency.since.isoformat(timespec="seconds"),
                    "durable": agency.durable,
                    "filter_subjects": agency.filter_subjects,
                    "position": progress.position if progress else None,
                    "lag": progress.lag if progress else None,
                    "connections": await _connections(system, agency.user),
                }
            )
    return items


async def keep(doors: Doors, address: Address) -> NoReturn:
    """Make the consumers of agencies anew whenever the stream was, for ever: they begin again, and know by the ids."""
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        if not await asyncio.to_thread(doors.agencies):
            continue
        try:
            async with connection.connect(address, "dinkop-agencies") as broker:
                while await asyncio.to_thread(doors.agencies):
                    await _keep(doors, connection.client(broker))
                    await asyncio.sleep(KEEP_SECONDS)
        except (Interrupted, *NATS_AWAY) as away:  # and BlockingIOError, an OSError: somebody adds or revokes just now
            log.debug("agencies can't be looked after now: %r", away)


async def _keep(doors: Doors, client: Any) -> None:
    for agency in await asyncio.to_thread(doors.agencies):
        if await durables.progress(client, agency.durable):
            continue
        with doors.held(wait=False):
            agency_now = doors.agency(agency.name)
            if agency_now is None or agency_now.standing is not Standing.OPEN:
                continue
            # A place in another stream means nothing in this one.
            same = await JetStreamFeed(client).identity() == agency.log
            await durables.make(client, agency.durable, agency.filter_subjects, agency.after if same else 0)
            log.warning("the stream was made anew: %s begins again", agency.name)


@asynccontextmanager
async def _operating(address: Address) -> AsyncIterator[connection.Broker]:
    """Sign in as dinkop. Raises Unreachable, also for what goes wrong in between."""
    try:
        async with asyncio.timeout(PATIENCE) as patience:
            async with connection.connect(address, "dinkop-agency") as broker:
                patience.reschedule(None)
                yield broker
    except (Interrupted, *NATS_AWAY) as away:
        raise Unreachable(f"NATS at {address} does not do what it is asked ({away!r}): see `dinkop status`.") from away


async def _reread(system: System, client: Any) -> None:
    """Have every server read its accounts again, and wait until it has.

    One that doesn't answer keeps none of the others from it. Raises Unreachable, also when it was only that one.
    """
    async with system.client(None, PATIENCE) as monitoring:
        each = (_read_twice(system, client, monitoring, url) for url in system.running.monitoring_urls)
        for outcome in await asyncio.gather(*each, return_exceptions=True):
            if outcome is not None:
                raise outcome


async def _read_twice(system: System, client: Any, monitoring: httpx.AsyncClient, url: str) -> None:
    """Have the server of this monitoring page read its accounts.

    At the first reading nats-server (2.15) makes a new account without what it imports; at the second it knows the
    account and imports. Who is no user any more is cut off at the first.
    """

    async def page() -> dict[str, Any]:
        found: dict[str, Any] = (await monitoring.get(f"{url}/varz")).raise_for_status().json()
        return found

    for _ in range(2):
        before = await page()
        if system.here:
            process = system.running.processes["nats"].process()
            if process is None:
                raise Unreachable("NATS is being started again: run this again in a moment.")
            process.send_signal(signal.SIGHUP)
        else:
            await client.request(RELOAD.format(before["server_id"]), timeout=PATIENCE)
        patience = Patience(PATIENCE)
        while (await page())["config_load_time"] == before["config_load_time"]:
            if patience.exhausted:
                where = system.home.log("nats") if system.here else f"the log of the one at {url}"
                raise Unreachable(f"NATS does not read its accounts: see {where}.")
            await asyncio.sleep(_LOOK)


async def _connections(system: System, user: str) -> int:
    async with system.client(None, PATIENCE) as monitoring:
        pages = [f"{url}/connz?auth=1&user={user}" for url in system.running.monitoring_urls]
        answers = await asyncio.gather(*(monitoring.get(page) for page in pages))
        return sum(int(answer.raise_for_status().json()["num_connections"]) for answer in answers)


async def _tried(system: System, credentials: Credentials) -> None:
    """See that the credentials open their door at every server. Raises a NATS error or TimeoutError."""
    its_own = replace(system.nats, user=credentials.user, password=credentials.password)
    for server in its_own.servers:
        address = replace(its_own, servers=(server,))
        async with asyncio.timeout(PATIENCE), connection.connect(address, "dinkop-agency-trial") as broker:
            if await durables.progress(connection.client(broker), credentials.durable) is None:
                raise Interrupted(f"the consumer {credentials.durable} is not there")
