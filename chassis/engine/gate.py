"""The gate before the store: commands pass only while the store is proven to hold all that the world was told.

A database restored from an older state would number new events like old ones that others have read already: history
would fork, and nobody could tell which half is true. Reads need no gate.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol
from uuid import UUID

import structlog

from chassis.engine.cancelling import heed_cancellation
from chassis.engine.ports import EventStore, LastPublished, PublicLog

log = structlog.get_logger()

PATIENCE = 5.0
"""Seconds a command waits for a proof that is under way, such as right after a start."""
LOOK = 2.0
"""Seconds between two proofs; a store can be replaced without a connection being lost."""
ANSWER = 5.0
"""Seconds the public log has to answer."""
_PAUSE = 0.2
_NOT_YET = (
    "This process could not yet compare its database with the stream, so the database could be an older copy. Commands"
    " pass as soon as both have answered: if this lasts, see that NATS and PostgreSQL run."
)


class NotAccepting(Exception):
    """Commands are not accepted at the moment; nothing was recorded, and reads go on."""

    slug: ClassVar[str] = "not-accepting"


class NotProven(NotAccepting):
    """This process has not yet compared its database with the stream since it connected to it."""

    slug = "not-proven"


class StoreBehindLog(NotAccepting):
    """The public log holds events that this store does not: the database was restored from an older state."""

    slug = "store-behind-log"


class Session(Protocol):
    """A store, seen through one connection to its database, for as long as that lasts."""

    @property
    def ended(self) -> asyncio.Event:
        """Return what is set when the connection has ended."""

    async def event_at(self, position: int) -> UUID | None:
        """Return the id of the event at a position, None when there is none."""


type Sessions = Callable[[Callable[[], None]], AbstractAsyncContextManager[Session]]
"""Open a session; the callback is called at the very moment its connection ends."""


def prove(service: str, last: LastPublished, have: UUID | None) -> None:
    """Raise StoreBehindLog unless the log's last event of a service is the one that its store has at that position."""
    if last.sequence and have != last.event_id:
        there = f"event {have}" if have else "none"
        raise StoreBehindLog(
            f"The stream's last {service} event is number {last.sequence} ({last.event_id}), but this database has"
            f" {there} there. It was restored from an older state or is another one. Nothing is accepted and nothing"
            " published, so that history does not fork: restore the newest backup of this database, which has that"
            " event. Reads go on."
        )


async def proven(service: str, store: EventStore, public_log: PublicLog) -> LastPublished:
    """Return the log's last event of a service, after `prove` found it in the store. Raises StoreBehindLog."""
    last = await public_log.last(service)
    found = await store.read(last.sequence - 1, 1) if last.sequence else []
    prove(service, last, found[0].id if found else None)
    return last


class Gate:
    """Whether commands may pass. Closed until somebody opens it; a command pays for a look at one attribute."""

    def __init__(self) -> None:
        """Begin closed."""
        self._open = False
        self._why: NotAccepting = NotProven(_NOT_YET)
        self._decided = asyncio.Event()

    @property
    def refusal(self) -> str | None:
        """Return why commands are refused, None when they pass."""
        return None if self._open else str(self._why)

    def open(self) -> None:
        """Let commands pass."""
        if not self._open:
            log.info("gate.opened")
        self._open = True
        self._decided.set()

    def close(self, why: NotAccepting) -> None:
        """Refuse commands from this moment on, also those that wait to try again."""
        if self._open or str(why) != str(self._why):
            log.warning("gate.closed", reason=str(why))
        self._open, self._why = False, why
        if isinstance(why, NotProven):
            self._decided.clear()
        else:
            self._decided.set()

    async def passed(self) -> None:
        """Return when commands may pass; waits a little for a proof under way. Raises NotAccepting."""
        if self._open:
            return
        await _set_within(self._decided, PATIENCE)
        if not self._open:
            # A fresh one: an exception that is raised twice would grow by each traceback.
            raise type(self._why)(str(self._why))


async def keep_proving(service: str, sessions: Sessions, public_log: PublicLog, gate: Gate) -> None:
    """Keep the gate as the proof has it, in every process of a service, until cancelled.

    It opens once the proof was made through a connection that still lasts, and closes the moment that connection
    ends. A public log that is away changes nothing: what was proven stays so, what was not stays closed.
    """
    while True:
        try:
            async with sessions(lambda: gate.close(NotProven(_NOT_YET))) as session:
                while not session.ended.is_set():
                    await _examine(service, session, public_log, gate)
                    await _set_within(session.ended, LOOK if gate.refusal is None else _PAUSE)
        except Exception as away:
            heed_cancellation(away)
            # The database is weather; it is waited out.
            log.warning("gate.waiting", reason=repr(away))
        await asyncio.sleep(_PAUSE)


async def _examine(service: str, session: Session, public_log: PublicLog, gate: Gate) -> None:
    try:
        async with asyncio.timeout(ANSWER):
            # The log first: what stands there was in the store before.
            last = await public_log.last(service)
    except Exception as away:
        heed_cancellation(away)
        if gate.refusal is not None:
            log.warning("gate.unproven", reason=repr(away))
        return
    try:
        prove(service, last, await session.event_at(last.sequence))
    except StoreBehindLog as behind:
        gate.close(behind)
    else:
        if not session.ended.is_set():
            gate.open()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass
