"""A disk of a test's own, which can lose its power, stall and be full: an ext4 in a file, on a loop device."""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from functools import cache
from pathlib import Path

# include/uapi/linux/ext4.h and fs.h: what xfstests uses to the same end.
EXT4_IOC_SHUTDOWN = 0x8004587D
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
NO_LOG_FLUSH = 2
"""What was not on disk before stays away, the file system's own journal too."""
PATIENCE = 20.0
"""Seconds that the last process using it may take to be gone."""


def missing() -> str | None:
    """Return what keeps this machine from having such disks; None when nothing does."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    if absent := [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]:
        return f"{', '.join(absent)} is not installed"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices"
    return None


@cache
def apart() -> None:
    """See to it that what this process mounts from here on is seen by itself and its children only, and ends with them.

    Else whoever makes a namespace of mounts at that time, such as a container, would keep a disk mounted that this
    process believes to have unmounted, and mounting it again would give the one back that has lost its power.
    """
    os.unshare(os.CLONE_NEWNS)
    _run("mount", "--make-rprivate", "/")


class Disk:
    """An ext4 file system of so many megabytes, on an image of its own, mounted at `place`."""

    def __init__(self, image: Path, place: Path, megabytes: int) -> None:
        """Make and mount it. Raises CalledProcessError."""
        self.place = place
        self._image = image
        self._ballast = place / "ballast"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", image)
        place.mkdir(parents=True)
        self._mount()

    def lose_power(self) -> None:
        """Lose what was not synced, at this moment: nothing is written any more, and whoever tries is told EIO.

        Who worked on it must be killed before it can `come_back`.
        """
        folder = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def come_back(self) -> None:
        """Mount it anew: the kernel forgets what it held in memory, and reads what was written."""
        self._unmount()
        self._mount()
        self.spare()  # that there is room again may not have been on disk

    def freeze(self) -> None:
        """Let every write wait until `thaw`, as a disk does that hangs."""
        self._tell(FIFREEZE)

    def thaw(self) -> None:
        """Let writes go on."""
        self._tell(FITHAW)

    def fill(self) -> int:
        """Take all the space there is; return how many bytes that were."""
        free = os.statvfs(self.place)
        size = free.f_bavail * free.f_frsize
        with self._ballast.open("wb") as file:
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    break
                except OSError:
                    size -= 256 << 10
            # What is left after rounding is taken block by block.
            file.seek(0, os.SEEK_END)
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                pass
            return file.tell()

    def spare(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def discard(self) -> None:
        """Unmount it and throw it away."""
        self._unmount()
        self._image.unlink()

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", "-o", "loop", self._image, self.place)

    def _unmount(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                _run("umount", self.place)
                return
            except subprocess.CalledProcessError as busy:
                if time.monotonic() > until:
                    raise AssertionError(f"{self.place} is still in use: {busy.stderr}") from busy
                time.sleep(0.05)

    def _tell(self, request: int) -> None:
        folder = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, request, 0)
        finally:
            os.close(folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
