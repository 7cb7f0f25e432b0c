"""The vault: a data key for each subject seals its personal data; without the key nobody reads it, in backups either.

Data keys lie in the table `data_keys` of the service's own database, each wrapped by the master key from the
settings. Sealed text lives in events, which are kept for ever; forgetting a subject destroys its data key.
"""

import base64
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.definitions.decider import Rejection
from chassis.definitions.sealed import Sealed
from chassis.storage.database import Pool

_KEY_BITS = 256
_NONCE_BYTES = 12
_VERSION = "1."
"""Stands before every sealed text, so that another cipher can follow one day."""


class Forgotten(Rejection):
    """The personal data of this subject was erased for good."""

    status = 410


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
    """The data keys of one service. Subjects are the ids of its streams."""

    def __init__(self, pool: Pool, master_key: bytes) -> None:
        """Keep data keys through `pool`, wrapped by `master_key`, 32 bytes."""
        self._pool = pool
        self._master_key = master_key

    async def keep(self, key: DataKey) -> None:
        """Write a new data key down; when this returns it is on disk, and events may hold what it sealed."""
        await self._pool.execute(
            "INSERT INTO data_keys (subject, wrapped) VALUES ($1, $2)",
            key.subject,
            _encrypt(self._master_key, key.key, key.subject.bytes),
        )

    async def key(self, subject: UUID) -> DataKey:
        """Return a subject's data key. Raises Forgotten; Unreadable under another master key; LookupError."""
        row = await self._pool.fetchrow("SELECT wrapped FROM data_keys WHERE subject = $1", subject)
        if row is None:
            raise LookupError(f"there is no data key for {subject}")
        if row["wrapped"] is None:
            raise Forgotten
        return DataKey(subject, _decrypt(self._master_key, row["wrapped"], subject.bytes))

    async def forget(self, subject: UUID) -> bool:
        """Destroy a subject's data key; return whether there was one. Its subject never gets another."""
        forgotten = await self._pool.fetchval(
            """UPDATE data_keys SET wrapped = NULL, forgotten_at = clock_timestamp()
               WHERE subject = $1 AND wrapped IS NOT NULL RETURNING true""",
            subject,
        )
        return forgotten is not None

    async def check(self) -> None:
        """Raise Unreadable when the data keys kept here were wrapped by another master key."""
        row = await self._pool.fetchrow("SELECT subject, wrapped FROM data_keys WHERE wrapped IS NOT NULL LIMIT 1")
        if row is not None:
            _decrypt(self._master_key, row["wrapped"], row["subject"].bytes)


def _encrypt(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):  # the latter when it is too short to hold a nonce
        raise Unreadable("does not open: sealed under another key, for another place, or damaged") from None
