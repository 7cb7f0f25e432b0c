"""Copies of a system's state, and a home made from one.

A backup folder holds one folder a backup, with a dump of each database, and one mirror of the keys of personal data
and of the records of agencies, which has no past on purpose: a key that was forgotten, or an agency that was shown out,
must not come back with an older copy. The master key that wraps the keys is not in it: it is copied once, to another
place, and named when restoring.

The folder is the same whether the system runs on this machine or on servers of its own, where deploy/compose-backup has
the dumps made: a backup of the one is restored by the other.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from chassis.definitions import clock
from chassis.storage.durable import sync_folder, write_private
from dinkop.embedded.accounts import ordinary_account
from dinkop.embedded.postgres import EmbeddedPostgres, find_binaries
from dinkop.home import Home
from dinkop.supervisor import SERVICES, embedded_postgres, end_leftovers
from dinkop.system import Failed, Misused, System

ORDER = ("reporting", "mentoring", "rat", "registry")
"""Who reacts to others is copied before them: a copy then never holds what follows from an event that it lacks."""
RECORD = "backup.json"
AGENCIES = "agencies"
_UNFINISHED = ".unfinished-"

type Tell = Callable[[str], None]


class Dump(msgspec.Struct, frozen=True):
    """One file of a backup."""

    bytes: int
    sha256: str


class Backup(msgspec.Struct, frozen=True):
    """What a backup says of itself. It is written last: a folder without it is no backup."""

    made_at: datetime
    positions: dict[str, int]
    """The last event that is surely in it, per service."""
    files: dict[str, Dump]


# ---------------------------------------------------------------- backing up


async def back_up(system: System, folder: Path, tell: Tell) -> tuple[str, Backup]:
    """Copy the databases and mirror the keys of a running system; return the backup's name and record.

    Each database is copied as of one moment while everything goes on. The backup is there whole or not at all. Raises
    Failed.
    """

    async def dump(unfinished: Path) -> Mapping[str, Any]:
        status = await system.status()
        for service in ORDER:
            database = embedded_postgres(system.home).owner_url(service)
            await _run("pg_dump", "--format=custom", f"--file={unfinished / f'{service}.dump'}", database)
        return status

    return await _made(folder, dump, system.home.keys, system.home.doors / AGENCIES, tell)


async def keep(dumps: Path, mirrored: Path, folder: Path, tell: Tell) -> tuple[str, Backup]:
    """Make a backup of what was taken from servers of one's own; return its name and record.

    `dumps` holds a dump of each database, which are moved from there, and `status.json`, what `dinkop status --json`
    said before they were made; `mirrored` the folders `keys` and `agencies`. Raises Misused or Failed.
    """

    async def move(unfinished: Path) -> Mapping[str, Any]:
        return await asyncio.to_thread(_taken, dumps, unfinished)

    return await _made(folder, move, mirrored / "keys", mirrored / AGENCIES, tell)


def _taken(dumps: Path, unfinished: Path) -> Mapping[str, Any]:
    try:
        status: Mapping[str, Any] = msgspec.json.decode((dumps / "status.json").read_bytes())
        for service in ORDER:
            (dumps / f"{service}.dump").rename(unfinished / f"{service}.dump")
    except (OSError, msgspec.DecodeError) as problem:
        raise Misused(f"{dumps} does not hold what a backup is made of: {problem}.") from problem
    return status


async def _made(
    folder: Path, dump: Callable[[Path], Awaitable[Mapping[str, Any]]], keys: Path, agencies: Path, tell: Tell
) -> tuple[str, Backup]:
    with _alone_in(folder):
        await asyncio.to_thread(_clear_unfinished, folder)
        made_at = clock.now()
        name = made_at.strftime("%Y-%m-%dT%H%M%S.%fZ")
        unfinished = folder / (_UNFINISHED + name)
        unfinished.mkdir(mode=0o700)
        status = await dump(unfinished)
        stores = {each["name"]: each.get("store", {}).get("position", 0) for each in status["services"]}
        files = {}
        for service in ORDER:
            file = unfinished / f"{service}.dump"
            files[file.name] = await asyncio.to_thread(_described, file)
            tell(f"{service}: {files[file.name].bytes:,} bytes")
        # After the database that needs them, so that no event in it is without its key.
        count = await asyncio.to_thread(mirror_keys, keys, folder / "keys")
        tell(f"keys of personal data: {count}")
        await asyncio.to_thread(mirror_agencies, agencies, folder / AGENCIES)
        backup = Backup(made_at, {service: stores.get(service, 0) for service in SERVICES}, files)
        write_private(unfinished / RECORD, msgspec.json.format(msgspec.json.encode(backup), indent=2))
        sync_folder(unfinished)
        unfinished.rename(folder / name)
        sync_folder(folder)
        return name, backup


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"Another backup to {folder} is under way. Wait for it, or choose another folder.") from None
        yield


def _clear_unfinished(folder: Path) -> None:
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left)


def mirror_keys(keys: Path, mirror: Path) -> int:
    """Make the mirror hold exactly what the folder of keys does; a file that changed is overwritten where it lies."""
    mirror.mkdir(mode=0o700, exist_ok=True)
    found = sorted(keys.glob("*.key"))
    for key in found:
        copy, content = mirror / key.name, key.read_bytes()
        if not copy.exists():
            part = copy.with_suffix(".new")
            write_private(part, content)
            part.rename(copy)
        elif (kept := copy.read_bytes()) != content:
            if not any(kept):
                raise Failed(
                    f"{copy} says that the personal data of {key.stem} was forgotten, but {keys} has its key: that is"
                    " an older copy, or another home's. Back up to another folder, or forget it again there."
                )
            # Overwritten and not replaced: a forgotten key must not stay behind on the disk.
            with copy.open("r+b") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    sync_folder(mirror)
    return len(found)


def mirror_agencies(records: Path, mirror: Path) -> None:
    """Make the mirror hold exactly the records of the agencies that are let in: no passwords, but their hashes."""
    mirror.mkdir(mode=0o700, exist_ok=True)
    found = {record.name: record.read_bytes() for record in records.glob("*.json")}
    for name, content in found.items():
        part = mirror / f"{name}.new"
        write_private(part, content)
        part.rename(mirror / name)
    for left in mirror.iterdir():
        if left.name not in found:
            left.unlink()
    sync_folder(mirror)


# ---------------------------------------------------------------- restoring


def choose(folder: Path, name: str | None) -> tuple[Path, Backup]:
    """Return the backup of that name, else the newest. Raises Misused when it isn't there, Failed if it isn't whole."""
    there = sorted(record.parent.name for record in folder.glob(f"*/{RECORD}"))
    if not there:
        raise Misused(f"{folder} holds no backup. Make one with `dinkop backup {folder}`.")
    if name is not None and name not in there:
        raise Misused(f"{folder} holds no backup {name}. There are: {', '.join(there)}.")
    chosen = folder / (name or there[-1])
    try:
        backup = msgspec.json.decode((chosen / RECORD).read_bytes(), type=Backup)
    except msgspec.DecodeError as damaged:
        raise Failed(f"{chosen / RECORD} is damaged ({damaged}). Choose another backup: {', '.join(there)}.") from None
    for file, dump in backup.files.items():
        if not (chosen / file).exists() or _described(chosen / file) != dump:
            raise Failed(f"{chosen / file} is missing or damaged. Choose another backup: {', '.join(there)}.")
    return chosen, backup


async def restore(home: Home, folder: Path, name: str | None, master_key: Path | None, tell: Tell) -> str:
    """Make a home from a backup and the keys beside it; return the backup's name.

    The home must be empty or not exist yet, and is there whole or not at all. The stream isn't restored: the services
    publish it anew when they start. Raises Misused, Failed or CannotStart, and has then changed nothing.
    """
    if home.running():
        raise Failed(f"dinkop is running on {home.directory}. Restore to another --home, or stop it and move it away.")
    if home.directory.exists() and any(home.directory.iterdir()):
        raise Failed(
            f"{home.directory} is not empty. Restore to another --home, or move it away; one database of a home is"
            " restored with --only."
        )
    chosen, _ = await asyncio.to_thread(choose, folder, name)
    if master_key is None:
        raise Misused("Name the copy of master.key with --master-key: without it nobody reads personal data again.")
    keys = folder / "keys"
    if not await asyncio.to_thread(keys.is_dir):
        raise Failed(f"{keys}, the mirror of the keys of personal data, is missing: copy it there first.")
    wrapping = await asyncio.to_thread(master_key.read_bytes)
    unfinished = Home(home.directory.with_name(home.directory.name + ".restoring"))
    await _clear(unfinished)
    with unfinished.held():
        try:
            async with _postgres(unfinished) as postgres:
                for service in SERVICES:
                    await _fill(postgres, service, chosen)
                    tell(f"{service}: restored")
            for key in keys.glob("*.key"):
                write_private(unfinished.keys / key.name, key.read_bytes())
            write_private(unfinished.directory / "master.key", wrapping)
            if await asyncio.to_thread((folder / AGENCIES).is_dir):
                unfinished.doors.mkdir(mode=0o700)
                await asyncio.to_thread(mirror_agencies, folder / AGENCIES, unfinished.doors / AGENCIES)
        except BaseException:
            await _clear(unfinished)
            raise
        if home.directory.exists():
            home.directory.rmdir()
        unfinished.directory.rename(home.directory)
        sync_folder(home.directory.parent)
    return chosen.name


async def restore_one(home: Home, service: str, folder: Path, name: str | None, tell: Tell) -> tuple[str, str]:
    """Replace one database of a home on which nothing runs; return the backup's name, and that of the old database.

    The old database is kept aside under another name. Raises Misused, Failed or CannotStart, and has then changed
    nothing.
    """
    if service not in SERVICES:
        raise Misused(f"{service} is no service. There are: {', '.join(SERVICES)}.")
    if not home.postgres.exists():
        raise Failed(f"{home.directory} holds no system. Leave --only out to make one from the backup.")
    chosen, _ = await asyncio.to_thread(choose, folder, name)
    aside = f"{service}_until_{clock.now():%Y%m%d_%H%M%S_%f}"
    with home.held():
        await asyncio.to_thread(end_leftovers, home)
        async with _postgres(home) as postgres:
            await postgres.put_aside(service, aside)
            tell(f"{service}: the present database is kept as {aside}")
            try:
                await _fill(postgres, service, chosen)
            except BaseException:
                await postgres.put_back(service, aside)
                raise
            tell(f"{service}: restored")
    return chosen.name, aside


@asynccontextmanager
async def _postgres(home: Home) -> AsyncIterator[EmbeddedPostgres]:
    postgres = embedded_postgres(home)
    if (await asyncio.to_thread(ordinary_account)).is_another:
        home.directory.chmod(0o711)  # as the supervisor does: to let it pass through to its own folder
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.stop(60.0)


async def _fill(postgres: EmbeddedPostgres, service: str, backup: Path) -> None:
    """Restore as the owner and for the owner alone: the next start gives the role that serves its rights.

    Not as the superuser, for a dump is a program: it runs with the rights of whoever restores it.
    """
    await _run(
        "pg_restore",
        "--single-transaction",
        "--no-owner",
        "--no-privileges",
        f"--dbname={postgres.owner_url(service)}",
        str(backup / f"{service}.dump"),
    )


async def _clear(unfinished: Home) -> None:
    if unfinished.directory.exists():
        await asyncio.to_thread(EmbeddedPostgres(unfinished.postgres, databases=()).end_leftover)
        await asyncio.to_thread(shutil.rmtree, unfinished.directory)


# ---------------------------------------------------------------- files and programs


async def _run(program: str, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        find_binaries() / program, *arguments, stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        _, words = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise Failed(f"{program} failed: {words.decode(errors='replace').strip()}")


def _described(file: Path) -> Dump:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
        os.fsync(content.fileno())
    return Dump(file.stat().st_size, digest.hexdigest())


def as_json(name: str, backup: Backup) -> Mapping[str, Any]:
    """Return a backup as `dinkop backup --json` prints it."""
    return {"name": name, **msgspec.to_builtins(backup)}
