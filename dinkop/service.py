"""One of the services as a part of the system on this machine: a process with its environment, log and readiness."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dinkop.embedded.http_probe import page
from dinkop.processes import end, spawn

type ServiceCommand = Callable[..., Sequence[str]]
"""(service, *arguments) -> the command line that runs it."""

STOP_SECONDS = 4.0


def python_module(service: str, *arguments: str) -> Sequence[str]:
    """Return the command line of `python -m services.<service> …`, blind to packages that happen to lie around."""
    return [sys.executable, "-P", "-m", f"services.{service}", *arguments]


class Service:
    """A service of the system: migrated once, then kept serving on `url`."""

    def __init__(
        self, name: str, url: str, *, environment: Mapping[str, str], log: Path, command: ServiceCommand = python_module
    ) -> None:
        self.name = name
        self.url = url
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(environment)
        self._command = command
        self._served = False

    async def start(self) -> None:
        """Start, without waiting for readiness. What has not served yet migrates its database first.

        In one process: most of a start is loading the code, and two would do it twice.
        """
        self.process = self._spawn(*(() if self._served else ("up",)))

    async def is_ready(self) -> bool:
        """Whether `/readyz` answers 200 now."""
        status, _ = await page(f"{self.url}/readyz")
        self._served = self._served or status == 200
        return status == 200

    async def stop(self) -> None:
        """Stop; what isn't done after four seconds is killed, which loses nothing acknowledged."""
        if self.process is not None:
            await end(self.process, (signal.SIGTERM, STOP_SECONDS))

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        return spawn(
            self._command(self.name, *arguments), log=self.log, environment=self.environment, directory=self.log.parent
        )
