"""Clocks that a test can step: each a library that is preloaded into a process, and a file that says how far it is off.

It serves programs that ask libc for the time: the services and PostgreSQL. The NATS server is written in Go, which asks
the kernel by itself; its clock stays right.
"""

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def missing() -> str | None:
    """Return what keeps this machine from having such clocks; None when nothing does."""
    return None if shutil.which("gcc") else "gcc is not installed"


class Clocks:
    """The clocks of a system, by the name of a part."""

    def __init__(self, folder: Path) -> None:
        """Compile the library into a folder, which every account of the system must be able to read."""
        folder.mkdir(mode=0o755)
        self._folder = folder
        self._library = folder / "clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", self._library, SOURCE, "-ldl"], check=True)

    def environment(self, part: str) -> dict[str, str]:
        """Return what a process must be started with to have the clock of `part`."""
        if not self._file(part).exists():
            self.step(part, 0.0)
        return {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK": str(self._file(part))}

    def step(self, part: str, seconds: float) -> None:
        """Set the clock of a part off by so many seconds from now on, in a single write."""
        file = self._file(part)
        told = struct.pack("q", int(seconds * 1e9))
        if file.exists():
            with file.open("r+b", buffering=0) as opened:
                opened.write(told)
        else:
            file.write_bytes(told)
            file.chmod(0o644)

    def _file(self, part: str) -> Path:
        return self._folder / part
