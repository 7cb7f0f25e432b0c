"""A consumer of the office's events to start from: each event once, nothing lost, and provably so.

    python consumer.py agency.json --state events.db [--snapshot events.jsonl] [--once]
    python consumer.py --state events.db --manifest | --check manifest.json
    python consumer.py --test

`agency.json` is what `dinkop agency add --json` printed. Put your own work into `handle`: it runs in the transaction
that notes the event, so that both happen or neither does, however often the event is delivered.
Exit codes: 0 fine; 1 events are missing, or differ; 2 wrong usage; 130 interrupted.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import batched
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import nats.errors
from faststream import Context
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.message import NatsBatchMessage
from faststream.security import SASLPlaintext

EVERYTHING = ["dinkop.v1.>"]
BATCH = 500
LOOK = 1.0
"""Seconds after which the server is asked whether the consumer is still there."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    service TEXT, sequence INTEGER, id TEXT NOT NULL UNIQUE, kecamatan TEXT NOT NULL, fingerprint TEXT NOT NULL,
    PRIMARY KEY (service, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cooperatives (id TEXT PRIMARY KEY, events INTEGER NOT NULL, last_event TEXT NOT NULL);
"""
Batch = Annotated[NatsBatchMessage, Context("message")]


class Event(NamedTuple):
    """One message: its headers, and its data as the bytes that came."""

    headers: dict[str, str]
    data: bytes


def handle(database: sqlite3.Connection, type_: str, subject: str, content: dict[str, Any]) -> None:
    """Do your own work with an event. Do not fail on a type or a field you do not know: later versions bring them."""
    if "cooperative_id" in content:
        database.execute(
            "INSERT INTO cooperatives VALUES (?, 1, ?)"
            " ON CONFLICT (id) DO UPDATE SET events = events + 1, last_event = excluded.last_event",
            (content["cooperative_id"], type_),
        )


class Gap(Exception):
    """An event came before one that is due: that one is late, or lost."""


class Store:
    """What was taken, in a database of its own: the memory that survives restarts."""

    def __init__(self, path: Path | str, *, everything: bool = True) -> None:
        """Open it; `everything` is false for who gets some kecamatan only, where numbers are left out."""
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(SCHEMA)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")  # on disk before it is acknowledged
        self._everything = everything

    def take(self, events: Iterable[Event]) -> int:
        """Take events in one transaction, those that came before passed over; return how many are done with.

        Fewer than came: the next one was not due. The rest must not be acknowledged.
        """
        done = 0
        last = dict(self.database.execute("SELECT service, max(sequence) FROM events GROUP BY service"))
        self.database.execute("BEGIN IMMEDIATE")
        try:
            for event in events:
                if not self._take_one(event, last):
                    break
                done += 1
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        return done

    def _take_one(self, event: Event, last: dict[str, int]) -> bool:
        headers, data = event
        service, type_ = headers["ce-type"].split(".")[-3:-1]
        sequence, id_, subject = int(headers["ce-sequence"]), headers["ce-id"], headers["ce-subject"]
        if self.database.execute("SELECT 1 FROM events WHERE id = ?", (id_,)).fetchone():
            return True
        if self._everything and sequence > last.get(service, 0) + 1:
            return False
        content = json.loads(data)
        kecamatan = (content.get("kecamatan_code") or "000000").replace(".", "")
        fingerprint = sha256(f"{sequence} {id_} {type_} {subject} ".encode() + data).hexdigest()
        self.database.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)", (service, sequence, id_, kecamatan, fingerprint)
        )
        handle(self.database, type_, subject, content)
        last[service] = max(sequence, last.get(service, 0))
        return True

    def due(self, event: Event) -> str:
        """Say what is missing before an event that could not be taken."""
        service = event.headers["ce-type"].split(".")[-3]
        [(last,)] = self.database.execute("SELECT coalesce(max(sequence), 0) FROM events WHERE service = ?", (service,))
        return f"{service}: {last + 1} is due, {event.headers['ce-sequence']} came"

    def part(self, service: str, kecamatan: str, until: int = 2**53) -> dict[str, Any]:
        """Return range, count and digest of a service in a kecamatan (or `all`), up to a number."""
        first = last = count = 0
        digest = sha256()
        for last, fingerprint in self.database.execute(
            "SELECT sequence, fingerprint FROM events WHERE service = ? AND ? IN ('all', kecamatan) AND sequence <= ?"
            " ORDER BY sequence",
            (service, kecamatan, until),
        ):
            first, count = first or last, count + 1
            digest.update(f"{fingerprint}\n".encode())
        part = {"service": service, "kecamatan": kecamatan, "first": first, "last": last, "count": count}
        return part | {"digest": digest.hexdigest()}

    def manifest(self) -> dict[str, Any]:
        """Return what was taken, in the form of `dinkop events manifest --json`."""
        parts = self.database.execute("SELECT DISTINCT service, kecamatan FROM events ORDER BY 1, 2").fetchall()
        items = [self.part(*part) for part in parts]
        lines = ("{service} {kecamatan} {first} {last} {count} {digest}\n".format(**item) for item in items)
        digest = sha256("".join(lines).encode()).hexdigest()
        events = sum(item["count"] for item in items)
        if self._everything:
            items += [self.part(service, "all") for service in dict.fromkeys(service for service, _ in parts)]
        return {"events": events, "digest": digest, "items": items}

    def differences(self, manifest: dict[str, Any]) -> list[str]:
        """Say how what was taken differs from the office's manifest, up to where that goes."""
        return [
            f"{due['service']} {due['kecamatan']}: due are {due['count']} events up to {due['last']} with digest"
            f" {due['digest']}; here are {mine['count']} up to {mine['last']} with {mine['digest']}"
            for due in manifest["items"]
            if (mine := self.part(due["service"], due["kecamatan"], due["last"])) != due
        ]

    def load(self, snapshot: Path) -> int:
        """Take all events of a snapshot; return how many it has. Raises ValueError when it is damaged."""
        with snapshot.open(encoding="utf-8") as lines:
            stamp = json.loads(lines.readline())
            for events in batched(from_snapshot(lines), 2 * BATCH):
                if self.take(events) < len(events):
                    raise ValueError(f"{snapshot} is damaged: an event is missing in it. Ask for a new one.")
        held = self.manifest()
        if held["events"] < stamp["events"] or (
            held["events"] == stamp["events"] and held["digest"] != stamp["digest"]
        ):
            raise ValueError(f"{snapshot} is damaged: it isn't what its first line says. Ask for a new one.")
        return int(stamp["events"])


def from_snapshot(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a snapshot's lines. The data is the last member, byte for byte as it was published."""
    for line in lines:
        attributes = json.loads(line)
        data = line[line.index(',"data":') + len(',"data":') : line.rindex("}")].encode()
        yield Event({f"ce-{name}": value for name, value in attributes.items() if name != "data"}, data)


class Session:
    """One connection. When anything goes wrong it is given up, and another begun: there is no half way."""

    def __init__(self, agency: dict[str, Any], store: Store) -> None:
        self._stream, self._durable = agency["stream"], agency["durable"]
        self._store = store
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pause = 0.0
        """Seconds after which what was on its way and not acknowledged will be delivered again."""
        self._broker = NatsBroker(
            agency["url"].split(","),
            security=SASLPlaintext(agency["user"], agency["password"]),
            inbox_prefix=agency["inbox_prefix"],
            allow_reconnect=False,
            connect_timeout=5,
            logger=None,
        )
        self._broker.subscriber(
            agency["filter_subjects"][0],
            stream=JStream(self._stream, declare=False),
            durable=self._durable,
            pull_sub=PullSub(batch_size=BATCH, timeout=LOOK, batch=True),
            ack_policy=AckPolicy.MANUAL,
            decoder=_undecoded,
        )(self._receive)

    async def run(self, *, once: bool) -> None:
        """Take what comes, for ever or `once` all there is. Raises Gap, or a NATS error."""
        try:
            await self._broker.connect()
            info = await self._look()
            if info.num_ack_pending:
                # Those would come after newer ones. When their time is up, they come first.
                await asyncio.sleep(self.pause)
            await self._broker.start()
            while not (once and info.num_pending == info.num_ack_pending == 0):
                await asyncio.wait({self._ended}, timeout=LOOK)
                if self._ended.done():
                    self._ended.result()
                info = await self._look()
        finally:
            self._ended.cancel()
            with suppress(nats.errors.Error):
                await self._broker.stop()

    async def _look(self) -> Any:
        info = await self._broker.connection.jetstream().consumer_info(self._stream, self._durable)
        self.pause = float(info.config.ack_wait or 0)
        return info

    async def _receive(self, message: Batch) -> None:
        if self._ended.done():
            return
        try:
            events = [Event(raw.headers or {}, raw.data) for raw in message.raw_message]
            done = self._store.take(events)
            for raw in message.raw_message[:done]:
                await raw.ack()  # after the commit, never before
            if done < len(events):
                raise Gap(self._store.due(events[done]))
        except Exception as problem:
            if not self._ended.done():
                self._ended.set_exception(problem)


async def _undecoded(message: NatsBatchMessage) -> list[Any]:
    return []


async def consume(agency: dict[str, Any], store: Store, *, once: bool) -> None:
    """Take the events of an agency, whatever happens to the connection. Raises Gap when events are missing."""
    before, pause = "", 0.0
    while True:
        session = Session(agency, store)
        try:
            return await session.run(once=once)
        except Gap as gap:
            if str(gap) == before:
                raise
            before = str(gap)
            print(f"{gap}; perhaps it is late. Looking again.", file=sys.stderr, flush=True)
        except (nats.errors.Error, OSError, TimeoutError) as problem:
            print(f"The connection is lost ({problem!r}). Trying again.", file=sys.stderr, flush=True)
        pause = session.pause or pause or LOOK
        await asyncio.sleep(pause)


def answer_tests(store: Store) -> None:
    """Answer `dinkop consumer-test`: a JSON line for each one that comes."""
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "manifest":
            answer = store.manifest()
        else:
            event = Event(asked["headers"], asked["data"].encode())
            taken = store.take([event]) == 1
            answer = {"ack": taken} if taken else {"ack": False, "why": store.due(event)}
        print(json.dumps(answer), flush=True)


def main() -> int:
    """Carry out the command line; return the exit code."""
    words = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    words.add_argument("agency", nargs="?", type=Path, help="what `dinkop agency add --json` printed")
    words.add_argument("--state", type=Path, default=Path("events.db"), help="SQLite file of what was taken")
    words.add_argument("--snapshot", type=Path, help="begin with this snapshot")
    words.add_argument("--once", action="store_true", help="end when all there is was taken")
    words.add_argument("--manifest", action="store_true", help="print what was taken")
    words.add_argument("--check", type=Path, metavar="MANIFEST", help="compare with the office's manifest")
    words.add_argument("--test", action="store_true", help="answer `dinkop consumer-test`")
    given = words.parse_args()
    agency = json.loads(given.agency.read_text("utf-8")) if given.agency else {"filter_subjects": EVERYTHING}
    store = Store(given.state, everything=agency["filter_subjects"] == EVERYTHING)
    try:
        if given.test:
            answer_tests(store)
        elif given.manifest:
            print(json.dumps(store.manifest(), indent=1))
        elif given.check:
            problems = store.differences(json.loads(given.check.read_text("utf-8")))
            print(*(problems or ["Complete."]), sep="\n")
            return 1 if problems else 0
        elif not given.agency:
            words.error("name the file that `dinkop agency add --json` printed")
        else:
            if given.snapshot:
                print(f"{store.load(given.snapshot)} events in {given.snapshot}.", flush=True)
            asyncio.run(consume(agency, store, once=given.once))
    except Gap as gap:
        print(f"Events are missing. {gap}. Nothing after it was taken: tell the office.", file=sys.stderr)
        return 1
    except sqlite3.IntegrityError as problem:
        print(f"Another event has the number of one that was taken ({problem}): tell the office.", file=sys.stderr)
        return 1
    except (ValueError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
