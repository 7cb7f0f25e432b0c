"""The vault: a data key for each subject seals its personal data; without the key nobody reads it, in backups either.

Sealed text lives in events, which are kept for ever, and so in every backup of them. Data keys lie in a folder of their
own, one small file a subject, each wrapped by the master key from the settings. Forgetting a subject overwrites its
file. They are in no database on purpose: a write-ahead log, a dead row, a replica, a dump and a base backup all
keep what was deleted. The folder's own backup must be a mirror without a past, or a forgotten key comes back with it.
"""

import asyncio
import base64
import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.definitions.decider import Rejection
from chassis.definitions.sealed import Sealed
from chassis.storage.durable import sync_folder, write_private

log = structlog.get_logger()

_KEY_BITS = 256
_NONCE_BYTES = 12
_TAG_BYTES = 16
_DESTROYED = bytes(_NONCE_BYTES + _KEY_BITS // 8 + _TAG_BYTES)
"""What the file of a forgotten subject holds: as long as a wrapped key, so that it is overwritten where it lies."""
_LEFT_BEHIND_SECONDS = 3600
"""After so long a file that was written aside was left by a process that died, and is no key."""
_VERSION = "1."
"""Stands before every sealed text, so that another cipher can follow one day."""


class Forgotten(Rejection):
    """The personal data of this subject was erased for good."""

    status = 410


class KeysUnavailable(Rejection):
    """The keys of personal data can't be reached right now."""

    status = 503
    slug = "unavailable"


class Unreadable(Exception):
    """A data key or a sealed text does not open: another master key, another place, or damage."""


class DataKey:
    """The key of one subject. Text is bound to the subject and to a place: moved elsewhere it does not open."""

    def __init__(self, subject: UUID, key: bytes) -> None:
        """Use `key`, 32 bytes, for what belongs to `subject`."""
        self.subject = subject
        self.key = key

    @classmethod
    def new(cls, subject: UUID) -> "DataKey":
        """Return a fresh key. What it seals is lost unless `Vault.keep` has kept it first."""
        return cls(subject, AESGCM.generate_key(_KEY_BITS))

    def seal(self, place: str, plain: bytes) -> Sealed:
        """Return the ciphertext of `plain` for `place`, such as the name of the field that will hold it."""
        return Sealed(_VERSION + base64.b64encode(_encrypt(self.key, plain, self._bound_to(place))).decode())

    def open(self, place: str, sealed: Sealed) -> bytes:
        """Return what was sealed for `place`. Raises Unreadable."""
        if not sealed.startswith(_VERSION):
            raise Unreadable(f"{place} of {self.subject} is sealed in a way this code does not know")
        try:
            encrypted = base64.b64decode(sealed[len(_VERSION) :], validate=True)
        except ValueError as damaged:
            raise Unreadable(f"{place} of {self.subject} is damaged") from damaged
        return _decrypt(self.key, encrypted, self._bound_to(place))

    def _bound_to(self, place: str) -> bytes:
        return self.subject.bytes + place.encode()


class Vault:
    """The data keys of one service. Subjects are the ids of its streams.

    The file of a forgotten subject stays, overwritten: a file that is missing altogether was lost, not forgotten.
    """

    def __init__(self, folder: Path, master_key: bytes) -> None:
        """Keep data keys in `folder`, wrapped by `master_key`, 32 bytes. `check` comes first, and makes the folder."""
        self._folder = folder
        self._master_key = master_key

    async def keep(self, key: DataKey) -> None:
        """Write a new data key down; when this returns it is on disk, and events may hold what it sealed.

        Raises FileExistsError when its subject has, or had, one already; KeysUnavailable.
        """
        await asyncio.to_thread(self._keep, key)

    async def key(self, subject: UUID) -> DataKey:
        """Return a subject's data key.

        Raises Forgotten; LookupError when it was lost; Unreadable when another master key wrapped it; KeysUnavailable.
        """
        return await asyncio.to_thread(self._read, subject)

    async def keys(self, subjects: Collection[UUID]) -> dict[UUID, DataKey]:
        """Return the data keys of many subjects; forgotten ones are absent. Raises as `key` does."""

        def read() -> dict[UUID, DataKey]:
            found = {}
            for subject in subjects:
                try:
                    found[subject] = self._read(subject)
                except Forgotten:
                    continue
            return found

        return await asyncio.to_thread(read)

    async def forget(self, subject: UUID) -> bool:
        """Destroy a subject's data key; return whether there was one. Its subject never gets another.

        When this returns, what lies on the disk in its place is zeros; so it is for a lost key, which could be found.
        Raises KeysUnavailable.
        """
        return await asyncio.to_thread(self._destroy, subject)

    async def check(self, *, used: bool) -> None:
        """Raise Unreadable when this is the wrong folder, or its keys were wrapped by another master key.

        `used` says that there are subjects already, so that an empty folder must be another one than theirs.
        """
        await asyncio.to_thread(self._check, used)

    def _path(self, subject: UUID) -> Path:
        return self._folder / f"{subject}.key"

    def _keep(self, key: DataKey) -> None:
        path = self._path(key.subject)
        # Written aside, so that a crash leaves the whole key or none; a link, since it refuses to replace a file. Under
        # a name of its own, for another process may keep a key of the same subject, and the file aside becomes the key.
        part = path.with_suffix(f".{secrets.token_hex(8)}.new")
        with _reaching():
            write_private(part, _encrypt(self._master_key, key.key, key.subject.bytes))
            try:
                path.hardlink_to(part)
            finally:
                part.unlink()
            sync_folder(self._folder)

    def _read(self, subject: UUID) -> DataKey:
        path = self._path(subject)
        if not path.exists():
            raise LookupError(f"there is no data key for {subject} in {self._folder}")
        with _reaching():
            wrapped = path.read_bytes()
        if wrapped == _DESTROYED:
            raise Forgotten
        return DataKey(subject, _decrypt(self._master_key, wrapped, subject.bytes))

    def _destroy(self, subject: UUID) -> bool:
        path = self._path(subject)
        with _reaching():
            # In place: a new file, or one made shorter first, would leave the old bytes somewhere on the disk.
            with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                before = file.read()
                if before == _DESTROYED:
                    return False
                file.seek(0)
                file.write(_DESTROYED)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            if not before:
                sync_folder(self._folder)
        return bool(before)

    def _check(self, used: bool) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._folder.glob("*.new"):
            with suppress(FileNotFoundError):  # another process, which is about to make it a key or removes it too
                if time.time() - part.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                    part.unlink()
        subjects = [UUID(path.stem) for path in self._folder.glob("*.key")]
        if used and not subjects:
            raise Unreadable(f"{self._folder} holds no data key, though there are subjects: is it the right folder?")
        unreadable: Unreadable | None = None
        for subject in subjects:
            try:
                self._read(subject)
            except Forgotten:
                continue
            except Unreadable as why:
                unreadable = why  # one alone may be damaged
            else:
                return
        if unreadable:
            raise unreadable


@contextmanager
def _reaching() -> Iterator[None]:
    """Tell a folder that is away, full or read-only from a mistake of ours; the log says which."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as away:
        log.error("vault.unavailable", exc_info=away)
        raise KeysUnavailable from away


def _encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):  # the latter when it is too short to hold a nonce
        raise Unreadable("does not open: sealed under another key, for another place, or damaged") from None
