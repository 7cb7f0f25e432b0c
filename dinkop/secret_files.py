"""The secrets of an installation on servers of its own, a file each: made once, handed to containers one by one."""

import base64
import os
import secrets
from pathlib import Path

from chassis.storage.durable import sync_folder, write_private
from chassis.storage.roles import owner_of, script
from contracts.envelope import SERVICES
from dinkop.doors import USERS
from dinkop.system import Failed, Misused

SUPERUSER, GRAFANA = "postgres", "grafana"
MASTER_KEY = "master_key"


class SecretFiles:
    """A folder of mode 0700.

    passwords/   of the roles of PostgreSQL (`postgres`, each service, the owner of its database), and Grafana's `admin`
    doors/       of the users of NATS
    master_key   wraps the keys of personal data; 32 bytes in base64
    *_database_url, *_migration_url, *_nats_url, postgres_roles.sql
                 made of these, anew each time: a removed password is a new one after the next run

    The files are of mode 0444: containers run as accounts of their own and are given single files, while on this
    machine nobody but the owner comes past the folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, *, postgres: str, nats: str) -> list[str]:
        """Make what is missing, with these addresses; return the names of all files. Raises Misused or Failed."""
        made = self.directory / "passwords"
        # The master key alone is what a restore begins with.
        others = {path.name for path in self.directory.glob("*")} - {MASTER_KEY}
        if others and not made.exists():
            raise Misused(
                f"{self.directory} holds something else already. Name a folder that is empty or isn't there yet."
            )
        try:
            for folder in (self.directory, made, self.directory / "doors"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            return self._write(postgres, nats)
        except OSError as problem:
            raise Failed(f"{problem.filename or self.directory} can't be written: {problem.strerror}.") from problem

    def _write(self, postgres: str, nats: str) -> list[str]:
        roles = [SUPERUSER, *SERVICES, *map(owner_of, SERVICES)]
        self._kept(f"passwords/{GRAFANA}", _password())
        passwords = {role: self._kept(f"passwords/{role}", _password()) for role in roles}
        doors = {user: self._kept(f"doors/{user}", _password()) for user in USERS}
        self._kept(MASTER_KEY, base64.b64encode(os.urandom(32)).decode())
        made = {"postgres_roles.sql": _roles(passwords)}
        for service in SERVICES:
            for kind, role in (("database", service), ("migration", owner_of(service))):
                made[f"{service}_{kind}_url"] = f"postgresql://{role}:{passwords[role]}@{postgres}/{service}"
        made |= {f"{user}_nats_url": f"nats://{user}:{password}@{nats}" for user, password in doors.items()}
        for name, text in made.items():
            self._write_one(self.directory / name, text)
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file())

    def _kept(self, name: str, new: str) -> str:
        """Return what a file holds, after writing `new` where there is none."""
        path = self.directory / name
        if not path.exists():
            self._write_one(path, new)
        return path.read_text("ascii").strip()

    def _write_one(self, path: Path, text: str) -> None:
        if path.exists() and path.read_text("utf-8") == text:
            return
        part = path.with_name(path.name + ".new")
        part.unlink(missing_ok=True)
        write_private(part, text.encode())
        part.chmod(0o444)
        part.replace(path)
        sync_folder(path.parent)


def _password() -> str:
    """Return 256 random bits in letters that neither a URL nor SQL minds."""
    return secrets.token_urlsafe(32)


def _roles(passwords: dict[str, str]) -> str:
    """Return the script that makes roles and databases, with its passwords in it, the superuser's among them."""
    given = [f"\\set {role}_password '{password}'" for role, password in passwords.items()]
    own = f"ALTER ROLE \"{SUPERUSER}\" PASSWORD :'{SUPERUSER}_password';\n"
    return "\n".join([*given, script(SERVICES), own])
