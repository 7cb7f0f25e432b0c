"""The state directory: who holds it, where its parts are, and how other commands find the running system."""

import base64
import fcntl
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import msgspec
import platformdirs

from chassis.storage.durable import sync_folder, write_private
from dinkop.processes import CannotStart, ProcessRecord

VARIABLE = "DINKOP_HOME"
SHOWN = "DINKOP_SHOWN"
"""Names the folder of what others are shown of a home, where it must lie apart from what is secret."""


class Running(msgspec.Struct, frozen=True):
    """The running system as `run.json` has it: written by its supervisor, read by every other command.

    One that runs elsewhere (dinkop.elsewhere) has no supervisor and no processes here.
    """

    supervisor: ProcessRecord | None
    ready: bool
    """Whether every service has answered that it can serve, once."""
    services: dict[str, str]
    """Base URL of each service."""
    nats_url: str
    monitoring_url: str
    """Of NATS, or of every server of a cluster, separated by commas."""
    databases: dict[str, str]
    """Database URL of each service."""
    processes: dict[str, ProcessRecord]
    """The latest process of each part: postgres, nats and the services."""
    today: date | None = None
    """The day that is pinned as today (DINKOP_TODAY), if any."""

    @property
    def monitoring_urls(self) -> list[str]:
        """Return the URL of the monitoring of each NATS server."""
        return [url.strip().rstrip("/") for url in self.monitoring_url.split(",")]


class Home:
    """A state directory, of mode 0700: nobody but its owner may look inside.

    lock        held by the supervisor as long as it lives
    run.json    how to find the running system, and its processes
    postgres/   the cluster and its socket
    nats/       the streams and the configuration
    doors/      who may sign in at NATS: secrets of the services, records of the agencies
    logs/       one log a part, and supervisor.log
    passwords/  of the roles of PostgreSQL, one file each; its drivers read them
    keys/       the keys of personal data, one file a request
    master.key  wraps them
    issuer/     the keys of the embedded issuer of tokens
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().resolve()
        self.postgres = self.directory / "postgres"
        self.nats = self.directory / "nats"
        self.passwords = self.directory / "passwords"
        self.doors = self.directory / "doors"
        self.keys = self.directory / "keys"
        self.issuer = self.directory / "issuer"
        self.logs = self.directory / "logs"
        self._lock = self.directory / "lock"
        self._run = self.directory / "run.json"

    @classmethod
    def choose(cls, given: Path | None = None, environment: Mapping[str, str] = os.environ) -> "Home":
        """Return the home `given`, else DINKOP_HOME's, else the one in the user's data directory."""
        named = environment.get(VARIABLE)
        return cls(given or (Path(named) if named else platformdirs.user_data_path("dinkop")))

    def log(self, part: str) -> Path:
        """Return the path of a part's log."""
        return self.logs / f"{part}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the directory and hold it alone. Raises CannotStart when another supervisor does, or it can't be used.

        The lock is the kernel's and ends with the process that holds it, however that ends.
        """
        try:
            self._make()
            lock = open(os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600), "r+")  # noqa: SIM115
        except OSError as error:
            problem = f"{self.directory} can't be the home: {error.strerror} ({error.filename})."
            raise CannotStart(f"{problem} Choose another --home.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lock.read().strip() or "unknown"
                raise CannotStart(
                    f"dinkop is already running on {self.directory} (process {holder}). "
                    f"Stop it first (Ctrl-C there, or `kill {holder}`), or choose another --home."
                ) from None
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def master_key(self) -> str:
        """Return the key that wraps the keys of personal data (32 bytes, base64), made on first use.

        Back it up once, apart from everything else. Whoever has copies of the databases but not this file, or not the
        keys, can read no personal data; of the keys keep the newest copy only, or what was forgotten comes back.
        """
        path = self.directory / "master.key"
        if not path.exists():
            part = path.with_suffix(".new")
            write_private(part, base64.b64encode(os.urandom(32)))
            part.replace(path)
            sync_folder(self.directory)  # or a loss of power could leave what it wrapped, and not it
        return path.read_text("ascii").strip()

    def record(self, running: Running) -> None:
        """Write `running` for other commands, whole or not at all."""
        path = self._run.with_suffix(".new")
        path.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2))
        path.chmod(0o600)  # the addresses of databases are for the owner only
        path.replace(self._run)

    def forget(self) -> None:
        """Remove what `record` wrote: nothing runs any more."""
        self._run.unlink(missing_ok=True)

    def recorded(self) -> Running | None:
        """Return what was last recorded, whether or not it still runs; None without a readable record."""
        try:
            return msgspec.json.decode(self._run.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None

    def running(self) -> Running | None:
        """Return the system running on this home; None when its supervisor doesn't live."""
        running = self.recorded()
        return running if running and running.supervisor and running.supervisor.process() else None

    def prepare(self) -> None:
        """Make a home of an empty directory, for what may be needed before anything runs. Raises CannotStart."""
        if not self._lock.exists():
            self._make()
            self._lock.touch(mode=0o600)

    def _make(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self.directory.stat().st_uid
        if owner != os.geteuid():
            raise CannotStart(
                f"{self.directory} belongs to {_account(owner)}. Run dinkop as {_account(owner)}, "
                "or choose another --home."
            )
        if not self._lock.exists() and any(self.directory.iterdir()):
            raise CannotStart(
                f"{self.directory} holds something else already. Choose a --home that is empty or doesn't exist yet."
            )
        parts = (self.postgres, self.passwords, self.nats, self.keys, self.issuer, self.logs)
        for folder in (self.directory, *parts):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
