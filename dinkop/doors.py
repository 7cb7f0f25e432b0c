"""The folder of the doors of NATS: secrets of services, records of agencies, and the accounts made of them."""

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
import msgspec

from chassis.settings import SECRETS
from chassis.storage.durable import sync_folder, write_private
from contracts.envelope import SERVICES
from dinkop.home import SHOWN
from dinkop.nats_accounts import OPERATOR, Agency, Standing, configuration
from dinkop.processes import CannotStart

USERS = (OPERATOR, *SERVICES)
COST = 4
"""bcrypt's least. A high cost makes guessing dear; nobody guesses 256 random bits, and the server hashes at every
connection, and once for each of them at a reload."""

_HEAD = "# Made by dinkop: accounts of NATS. Made anew when an agency comes or goes; changes made here are lost.\n"


class Doors:
    """A folder of mode 0700.

    nats-accounts.conf  what a server's configuration includes
    secrets/            the password of each service and of dinkop itself, a file each
    agencies/           a record for each agency, with the hash of its password and not the password
    lock                held by whoever changes something

    Where DINKOP_SHOWN names a folder, nats-accounts.conf lies there: a server elsewhere is given that folder alone.
    Where DINKOP_SECRETS names a folder with a folder `doors` in it, the passwords are read from there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.accounts = Path(os.environ.get(SHOWN) or directory) / "nats-accounts.conf"
        kept = Path(os.environ.get(SECRETS) or directory) / "doors"
        self.keeps_secrets = not kept.is_dir()
        self._secrets = directory / "secrets" if self.keeps_secrets else kept
        self._agencies = directory / "agencies"

    @property
    def is_made(self) -> bool:
        """Whether the folder has ever been one of doors."""
        return any(path.exists() for path in (self.directory / "lock", self.accounts, self._agencies))

    @contextmanager
    def held(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the folder alone, made if it isn't there; the lock ends with the process that holds it.

        Raises BlockingIOError when another process holds it and this one won't wait.
        """
        for folder in (self.directory, self._secrets, self._agencies):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def prepare(self, rotate: Collection[str] = ()) -> None:
        """Make the secrets that are missing, new ones for the users to `rotate`, and write the accounts."""
        with self.held():
            for user in USERS:
                path = self.secret_file(user)
                if user in rotate or not path.exists():
                    _write(path, secrets.token_urlsafe(32).encode())
            self.write_accounts()

    def write_accounts(self) -> None:
        """Write the accounts of all users there are. To be called while the folder is held."""
        agencies = [agency for agency in self.agencies() if agency.standing is not Standing.REVOKING]
        hashes = {user: hashed(self.secret(user)) for user in USERS}
        text = _HEAD + configuration(hashes, agencies)
        if not self.accounts.exists() or self.accounts.read_text("utf-8") != text:
            _write(self.accounts, text.encode())

    def secret_file(self, user: str) -> Path:
        """Return where a user's password is."""
        return self._secrets / user

    def secret(self, user: str) -> str:
        """Return a user's password; empty where there is none, as in a home that is older than its doors."""
        try:
            return self.secret_file(user).read_text("ascii").strip()
        except FileNotFoundError:
            return ""

    def url(self, user: str, nats_url: str) -> str:
        """Return an address with the user and his password in it: for a process's environment, and never shown."""
        secret = self.secret(user)
        return (
            urlsplit(nats_url)._replace(netloc=f"{user}:{secret}@{urlsplit(nats_url).netloc}").geturl()
            if secret
            else nats_url
        )

    def agencies(self) -> list[Agency]:
        """Return the agencies, by name. Raises CannotStart for a record that can't be read."""
        return [_read(path) for path in sorted(self._agencies.glob("*.json"))]

    def agency(self, name: str) -> Agency | None:
        """Return the agency of a name, or None."""
        return next((agency for agency in self.agencies() if agency.name == name), None)

    def record(self, agency: Agency) -> None:
        """Keep what is known of an agency; it counts when the accounts are written, and the server has read them."""
        _write(self._agencies / f"{agency.name}.json", msgspec.json.format(msgspec.json.encode(agency), indent=1))

    def forget(self, agency: Agency) -> None:
        """Remove the record of an agency."""
        (self._agencies / f"{agency.name}.json").unlink(missing_ok=True)
        sync_folder(self._agencies)


def hashed(secret: str) -> str:
    """Return bcrypt's hash of a random secret, always the same, so that writing the accounts again changes nothing.

    A salt keeps equal passwords of people apart; random ones are never equal.
    """
    salt = hashlib.sha256(f"salt {secret}".encode()).hexdigest()[:21] + "e"  # the last digit has few bits left
    return bcrypt.hashpw(secret.encode(), f"$2b${COST:02}${salt}".encode()).decode()


def is_name(text: str) -> bool:
    """Tell whether an agency may have this name."""
    return re.fullmatch(r"[a-z][a-z0-9-]{1,39}", text) is not None


def _read(path: Path) -> Agency:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Agency)
    except msgspec.DecodeError as broken:
        raise CannotStart(
            f"{path} is no record of an agency ({broken}). Remove it, and add the agency again."
        ) from broken


def _write(path: Path, content: bytes) -> None:
    """Write a private file, whole or not at all."""
    part = path.with_name(path.name + ".new")
    write_private(part, content)
    part.replace(path)
    sync_folder(path.parent)
