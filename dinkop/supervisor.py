"""The supervisor: starts PostgreSQL, NATS and the four services, restarts what dies, and stops all of it cleanly."""

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psutil

from dinkop.doors import Doors
from dinkop.embedded.accounts import ordinary_account
from dinkop.embedded.nats import EmbeddedNats
from dinkop.embedded.postgres import EmbeddedPostgres
from dinkop.home import Home, Running
from dinkop.issuer import EmbeddedIssuer, environment_of
from dinkop.migrating import Migrate, migrations
from dinkop.nats_accounts import OPERATOR
from dinkop.ports import HOST, Ports
from dinkop.processes import CannotStart, Patience, ProcessRecord, end, end_strangers, ended, explain, last_lines
from dinkop.service import Service, ServiceCommand, python_module
from dinkop.tokens import VARIABLE as TOKEN

log = logging.getLogger("dinkop.supervisor")

SERVICES = ("registry", "rat", "mentoring", "reporting")
KEEPS_PERSONAL_DATA = "mentoring"
MARK = "DINKOP_SUPERVISED_ON"  # in the environment of every service: the home it belongs to
FIRST_DELAY, LONGEST_DELAY = 0.2, 3.2  # seconds before a restart, doubling; a start must fit into 5 s with it
STEADY = 30.0  # seconds after which a part counts as recovered, and its delay begins anew
FAILED_STARTS = 4  # of a part that has never run yet, before giving up
START_SECONDS = 90.0
NATS_SECONDS = 1.0  # between two looks whether NATS still keeps what it is told
NATS_REFUSALS = 3  # in a row, before it is ended
AGENCIES_SECONDS = 2.0  # between two looks whether there are any


class Part(Protocol):
    """What the supervisor keeps running."""

    name: str
    log: Path
    process: subprocess.Popen[bytes] | None

    async def start(self) -> None:
        """Start it, whatever was before. Raises CannotStart."""

    async def stop(self) -> None:
        """Stop it for certain, also when it's only half started."""


class Supervisor:
    """Runs the whole system on `home`, with `ports`; `env` (default: the caller's) is handed on to the services.

    `command` makes the command line of a service from its name; `migrate` brings its database to the newest schema.
    """

    def __init__(
        self,
        home: Home,
        ports: Ports | None = None,
        env: Mapping[str, str] | None = None,
        *,
        command: ServiceCommand = python_module,
        migrate: Migrate | None = None,
    ) -> None:
        self.home = home
        self.ports = ports or Ports()
        self.postgres = embedded_postgres(home)
        self.doors = Doors(home.doors)
        self.nats = EmbeddedNats(
            home.nats,
            self.ports.nats,
            self.ports.nats_monitoring,
            log=home.log("nats"),
            accounts=self.doors.accounts,
        )
        own = os.environ if env is None else env
        self._today = pinned(own)
        migrate = migrate or migrations(self.postgres)
        self.services = [
            Service(
                name,
                f"http://{HOST}:{port}",
                environment=self._environment(own, name, port),
                log=home.log(name),
                prepare=partial(migrate, name),
                command=command,
            )
            for name, port in self.ports
            if name in SERVICES
        ]
        self._stopping: asyncio.Future[signal.Signals] | None = None
        self._ready = False

    async def run(self, on_ready: Callable[[Running], Awaitable[None]]) -> signal.Signals:
        """Start everything, await `on_ready` once every service can serve, and go on until told to stop.

        Returns the signal that stopped it, with nothing left running. SIGINT, SIGTERM and SIGHUP stop it within 10 s; a
        second one at once. Raises CannotStart, or what `on_ready` raised, also with nothing left running.
        """
        loop = asyncio.get_running_loop()
        self._stopping = loop.create_future()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            loop.add_signal_handler(number, self.request_stop, number)
        try:
            with self.home.held():
                return await self._run(self._stopping, on_ready)
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def request_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop as the signal does; asked a second time, without waiting for anything."""
        if self._stopping is None:
            return
        if not self._stopping.done():
            self._stopping.set_result(number)
            return
        for part in self._parts():
            if part.process is not None and part.process.poll() is None:
                part.process.send_signal(signal.SIGQUIT if part is self.postgres else signal.SIGKILL)

    async def _run(
        self, stopping: "asyncio.Future[signal.Signals]", on_ready: Callable[[Running], Awaitable[None]]
    ) -> signal.Signals:
        journal = logging.FileHandler(self.home.log("supervisor"))
        journal.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(journal)
        log.setLevel(logging.INFO)
        work: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(end_leftovers, self.home)
            await asyncio.to_thread(self.postgres.end_leftover)
            await asyncio.to_thread(self.nats.end_leftover)
            self.ports.refuse_taken()
            EmbeddedIssuer.of(self.home).ensure()
            keeper = next(service for service in self.services if service.name == KEEPS_PERSONAL_DATA)
            keeper.environment.setdefault("DINKOP_MASTER_KEY", self.home.master_key())
            keeper.environment.setdefault("DINKOP_KEYS", str(self.home.keys))
            await asyncio.to_thread(self.doors.prepare)
            for service in self.services:
                service.environment["DINKOP_NATS_URL"] = self.doors.url(service.name, self.nats.url)
            work = asyncio.create_task(self._keep_all(on_ready))
            waited: set[asyncio.Future[Any]] = {work, stopping}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            log.info("stopping, on %s", stopping.result().name)
            return stopping.result()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if work is not None:
                work.cancel()
                await asyncio.wait({work})
            await self._stop_all()
            self.home.forget()
            log.removeHandler(journal)
            journal.close()

    async def _keep_all(self, on_ready: Callable[[Running], Awaitable[None]]) -> None:
        account = await asyncio.to_thread(ordinary_account)
        if account.is_another:
            self.home.directory.chmod(0o711)  # to let it pass through to its own folder; what lies beside stays closed
        async with asyncio.TaskGroup() as tasks:
            servers: list[Part] = [self.postgres, self.nats]
            for parts in (servers, self.services):
                started = {part.name: asyncio.Event() for part in parts}
                for part in parts:
                    tasks.create_task(self._keep(part, started[part.name]))
                for event in started.values():
                    await event.wait()
            await self._services_are_ready()
            self._ready = True
            tasks.create_task(self._keep_agencies())
            tasks.create_task(self._keep_streams())
            log.info("ready")
            await on_ready(self._record())

    async def _keep(self, part: Part, started: asyncio.Event) -> None:
        """Start `part`, watch it, start it again when it dies. Raises CannotStart if it never gets going."""
        delay, failures = FIRST_DELAY, 0
        while True:
            begun = time.monotonic()
            try:
                await part.start()
                assert part.process is not None
                pid = part.process.pid
                log.info("%s started (process %d)", part.name, pid)
                started.set()
                self._record()
                how = explain(await ended(part.process))
                problem = f"{part.name} (process {pid}) ended with {how}; see {part.log}:{last_lines(part.log)}"
            except CannotStart as error:
                problem = str(error)
            except Exception as error:  # such as a server killed while being provisioned: whatever it is, start again
                problem = f"{part.name} doesn't start: {error!r}"
            failures += 1
            if not self._ready and failures >= FAILED_STARTS:
                raise CannotStart(problem)
            if time.monotonic() - begun > STEADY:
                delay = FIRST_DELAY
            log.warning("%s", problem)
            log.warning("%s is started again in %.1f s", part.name, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def _keep_streams(self) -> None:
        """End a NATS server that keeps nothing any more, as when the disk was full: only a new one does again."""
        refusals = 0
        while True:
            await asyncio.sleep(NATS_SECONDS)
            refusals = refusals + 1 if await self.nats.gave_up() else 0
            if refusals == NATS_REFUSALS and self.nats.process is not None:
                refusals = 0
                log.warning("nats keeps nothing any more; was the disk full? It is ended, to be started again")
                await end(self.nats.process, (signal.SIGTERM, 2.0))

    async def _keep_agencies(self) -> None:
        """See to it that every agency has its consumer, also when the stream was made anew."""
        while True:
            await asyncio.sleep(AGENCIES_SECONDS)
            try:
                if self.doors.agencies():
                    from chassis.messaging.address import Address  # late: who has none need not load a NATS client
                    from dinkop import agencies

                    await agencies.keep(self.doors, Address.parse(self.doors.url(OPERATOR, self.nats.url)))
            except Exception as error:  # whatever it is, the office goes on without its readers
                log.warning("agencies can't be looked after: %r", error)

    async def _services_are_ready(self) -> None:
        patience = Patience(START_SECONDS)
        waiting = list(self.services)
        while waiting := [service for service in waiting if not await service.is_ready()]:
            if patience.exhausted:
                logs = "".join(f"\n{service.log}:{last_lines(service.log)}" for service in waiting)
                names = ", ".join(service.name for service in waiting)
                raise CannotStart(f"not ready after {START_SECONDS:.0f} s: {names}. Their logs end with{logs}")
            await asyncio.sleep(0.05)

    async def _stop_all(self) -> None:
        """Stop the services, then NATS, then PostgreSQL: nobody loses what it's still writing to. Within 10 s."""
        await asyncio.gather(*(service.stop() for service in self.services))
        await self.nats.stop()
        await self.postgres.stop()
        log.info("stopped")

    def _environment(self, own: Mapping[str, str], name: str, port: int) -> dict[str, str]:
        """Return a service's environment: the caller's (DINKOP_TODAY among it), and where everything is."""
        packages = str(Path(__file__).parents[1])
        # The driver reads the former; the latter is for commands.
        inherited = {name: value for name, value in own.items() if not name.startswith("PG") and name != TOKEN}
        # Another issuer than the embedded one is the operator's to choose.
        embedded = {} if own.get("DINKOP_OIDC_ISSUER") else environment_of(self.home)
        return inherited | {
            "PYTHONPATH": os.pathsep.join(filter(None, [packages, own.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "DINKOP_DATABASE_URL": self.postgres.url(name),
            "DINKOP_NATS_MONITORING_URL": self.nats.monitoring_url,
            "DINKOP_HOST": HOST,
            "DINKOP_PORT": str(port),
            MARK: str(self.home.directory),
            **embedded,
        }

    def _parts(self) -> list[Part]:
        return [self.postgres, self.nats, *self.services]

    def _record(self) -> Running:
        records = {part.name: ProcessRecord.of(part.process.pid) for part in self._parts() if part.process is not None}
        supervisor = ProcessRecord.of(os.getpid())
        assert supervisor is not None
        running = Running(
            supervisor=supervisor,
            ready=self._ready,
            services={service.name: service.url for service in self.services},
            nats_url=self.nats.url,
            monitoring_url=self.nats.monitoring_url,
            databases={name: self.postgres.url(name) for name in SERVICES},
            processes={name: record for name, record in records.items() if record is not None},
            today=self._today,
        )
        self.home.record(running)
        return running


def embedded_postgres(home: Home) -> EmbeddedPostgres:
    """Return the PostgreSQL server of a home."""
    return EmbeddedPostgres(home.postgres, log=home.log("postgres"), passwords=home.passwords, databases=SERVICES)


def pinned(environment: Mapping[str, str]) -> date | None:
    """Return the day that DINKOP_TODAY pins; None also for what is no day, which the services refuse with words."""
    with suppress(ValueError):
        return date.fromisoformat(environment.get("DINKOP_TODAY", ""))
    return None


def end_leftovers(home: Home) -> None:
    """End the services a killed supervisor left behind on `home`. The servers end their own leftovers. Blocks."""
    recorded = home.recorded()
    records = [recorded.processes[name] for name in SERVICES if name in recorded.processes] if recorded else []
    found = {process for record in records if (process := record.process())}
    # Also those started an instant before the supervisor died, which nobody wrote down.
    found |= {process for process in psutil.process_iter() if _is_marked(process, home)}
    for process in found:
        log.warning("ending process %d, left behind by a supervisor that was killed", process.pid)
    end_strangers(found, (signal.SIGTERM, 3.0))


def _is_marked(process: psutil.Process, home: Home) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(home.directory)
    except (psutil.Error, OSError):
        return False
