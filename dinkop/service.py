"""One of the services as a part of the system on this machine: a process with its environment, log and readiness."""

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from dinkop.embedded.http_probe import page
from dinkop.processes import end, spawn

type ServiceCommand = Callable[[str], Sequence[str]]
"""service -> the command line that runs it."""

STOP_SECONDS = 4.0


def python_module(service: str) -> Sequence[str]:
    """Return the command line of `python -m services.<service>`, blind to packages that happen to lie around."""
    return [sys.executable, "-P", "-m", f"services.{service}"]


class Service:
    """A service of the system: kept serving on `url`, after `prepare` was done once."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        environment: Mapping[str, str],
        log: Path,
        prepare: Callable[[], Awaitable[None]],
        command: ServiceCommand = python_module,
    ) -> None:
        self.name = name
        self.url = url
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(environment)
        self._prepare = prepare
        self._command = command
        self._served = False

    async def start(self) -> None:
        """Start, without waiting for readiness. What has not served yet is prepared first."""
        if not self._served:
            await self._prepare()
        self.process = self._spawn()

    async def is_ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        status, _ = await page(f"{self.url}/readyz")
        self._served = self._served or status == 200
        return status == 200

    async def stop(self) -> None:
        """Stop; what isn't done after four seconds is killed, which loses nothing acknowledged."""
        if self.process is not None:
            await end(self.process, (signal.SIGTERM, STOP_SECONDS))

    def _spawn(self) -> subprocess.Popen[bytes]:
        return spawn(self._command(self.name), log=self.log, environment=self.environment, directory=self.log.parent)
