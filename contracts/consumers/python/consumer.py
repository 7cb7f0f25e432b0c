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
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import batched, compress
from pathlib import Path
from typing import Any, NamedTuple

import nats.errors
from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext
from nats.aio.msg import Msg
from nats.js import JetStreamContext

EVERYTHING = ["dinkop.v1.>"]
BATCH = 500
CONNECT = 5
"""Seconds that the server has to answer."""
LOOK = 1.0
"""Seconds after which the server is asked whether the consumer is still there."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    service TEXT, sequence INTEGER, id TEXT NOT NULL UNIQUE, kecamatan TEXT NOT NULL, fingerprint TEXT NOT NULL,
    PRIMARY KEY (service, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cooperatives (id TEXT PRIMARY KEY, events INTEGER NOT NULL, last_event TEXT NOT NULL);
"""


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
    """An event that is due doesn't come, though later ones do."""


class Store:
    """What was taken, in a database of its own: the memory that survives restarts."""

    def __init__(self, path: Path | str, *, everything: bool = True) -> None:
        """Open it; `everything` is false for who gets some kecamatan only, where numbers are left out."""
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(SCHEMA)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")  # on disk before it is acknowledged
        self._everything = everything

    def take(self, events: Iterable[Event]) -> list[bool]:
        """Take events in one transaction; return of each whether it is done with, now or before.

        Who gets everything takes each service's events in order. One that isn't done with is early: it must not be
        acknowledged, and given again when the one before has come.
        """
        last = dict(self.database.execute("SELECT service, max(sequence) FROM events GROUP BY service"))
        self.database.execute("BEGIN IMMEDIATE")
        try:
            done = [self._take_one(event, last) for event in events]
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

    def due(self, service: str) -> str:
        """Say what is due of a service."""
        [(last,)] = self.database.execute("SELECT coalesce(max(sequence), 0) FROM events WHERE service = ?", (service,))
        return f"{service}:{last + 1} has not come"

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
                if not all(self.take(events)):
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
    """One subscription, over a broker that connects again by itself. When the stream is gone, another is begun."""

    def __init__(self, agency: dict[str, Any], store: Store) -> None:
        self._stream, self._durable = agency["stream"], agency["durable"]
        self._store = store
        self._early: dict[tuple[str, int], Msg] = {}
        """What came before its turn, because the one due was on its way when something broke: it will come again."""
        self._broker = NatsBroker(
            agency["url"].split(","),
            security=SASLPlaintext(agency["user"], agency["password"]),
            inbox_prefix=agency["inbox_prefix"],
            max_reconnect_attempts=-1,
            connect_timeout=CONNECT,
            logger=None,
        )

    async def run(self, *, once: bool) -> None:
        """Take what comes, for ever or `once` all there is. Raises Gap, or a NATS error."""
        async with self._broker:
            # Not a subscriber of FastStream: that would hold a part of a batch back until it is full.
            subscription = await self._broker.connection.jetstream().pull_subscribe_bind(self._durable, self._stream)
            try:
                await self._follow(subscription, once=once)
            finally:
                with suppress(nats.errors.Error):
                    await subscription.unsubscribe()  # or it would be waited for, half a minute

    async def _follow(self, subscription: JetStreamContext.PullSubscription, *, once: bool) -> None:
        due, since = "", 0.0
        while True:
            messages: list[Msg] = []
            with suppress(TimeoutError):
                messages = await subscription.fetch(BATCH, timeout=LOOK)
            await self._take(messages)
            if messages and not self._early:
                continue
            # The consumer may be gone, with the stream; then nobody would say so.
            async with asyncio.timeout(CONNECT):
                info = await subscription.consumer_info()
            if once and info.num_pending == info.num_ack_pending == 0:
                return
            now = self._store.due(min(self._early)[0]) if self._early else ""
            if now != due:
                due, since = now, time.monotonic()
            elif due and time.monotonic() - since > 3 * float(info.config.ack_wait or 0):
                raise Gap(due)

    async def _take(self, messages: Iterable[Msg]) -> None:
        for message in messages:
            headers = message.headers or {}
            self._early[headers["ce-type"].split(".")[-3], int(headers["ce-sequence"])] = message
        waiting = sorted(self._early.items())
        done = self._store.take(Event(message.headers or {}, message.data) for _, message in waiting)
        for place, message in compress(waiting, done):
            await message.ack()  # after the commit, never before
            del self._early[place]
        await self._broker.connection.flush()


async def consume(agency: dict[str, Any], store: Store, *, once: bool) -> None:
    """Take the events of an agency, whatever happens to the connection. Raises Gap when events are missing."""
    while True:
        try:
            return await Session(agency, store).run(once=once)
        except (nats.errors.Error, OSError, TimeoutError) as problem:
            print(f"The connection is lost ({problem!r}). Trying again.", file=sys.stderr, flush=True)
        await asyncio.sleep(LOOK)


def answer_tests(store: Store) -> None:
    """Answer `dinkop consumer-test`: a JSON line for each one that comes."""
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "manifest":
            answer = store.manifest()
        else:
            event = Event(asked["headers"], asked["data"].encode())
            answer = {"ack": all(store.take([event]))}
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
        print(f"Events are missing: {gap}. None after it was taken: tell the office.", file=sys.stderr)
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
