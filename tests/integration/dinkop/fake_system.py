"""A system of real servers and fake services as a program: `HOME BASE`; exits 3 when it can't start."""

import asyncio
import os
import sys
from pathlib import Path

from dinkop.home import Home, Running
from dinkop.ports import Ports
from dinkop.processes import CannotStart
from dinkop.supervisor import Supervisor


def command(service: str) -> list[str]:
    """Return the command line of a fake service."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_service.py")), service]


async def fail(service: str) -> None:
    """Fail as a migration does."""
    raise LookupError("no such column: tier")


async def say_ready(running: Running) -> None:
    """Print what the tests wait for."""
    print("ready", running.services["registry"], flush=True)


if __name__ == "__main__":
    home, base = sys.argv[1:]
    migrate = fail if os.environ.get("FAKE") == "migration_fails" else None
    supervisor = Supervisor(Home(Path(home)), Ports.after(int(base)), command=command, migrate=migrate)
    try:
        asyncio.run(supervisor.run(say_ready))
    except CannotStart as problem:
        print(problem, flush=True)
        sys.exit(3)
