"""A system of real servers and fake services as a program: `HOME BASE`; exits 3 when it can't start."""

import asyncio
import sys
from pathlib import Path

from dinkop.home import Home, Running
from dinkop.ports import Ports
from dinkop.processes import CannotStart
from dinkop.supervisor import Supervisor


def command(service: str, *arguments: str) -> list[str]:
    """Return the command line of a fake service."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_service.py")), service, *arguments]


async def say_ready(running: Running) -> None:
    """Print what the tests wait for."""
    print("ready", running.services["registry"], flush=True)


if __name__ == "__main__":
    home, base = sys.argv[1:]
    try:
        asyncio.run(Supervisor(Home(Path(home)), Ports.after(int(base)), command=command).run(say_ready))
    except CannotStart as problem:
        print(problem, flush=True)
        sys.exit(3)
