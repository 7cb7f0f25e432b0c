"""Which account a server runs as that refuses to be root."""

import os
import pwd
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dinkop.embedded import as_ordinary_user
from dinkop.processes import CannotStart


@dataclass(frozen=True)
class Account:
    """How a program is started (`prefix`, before its own command line) and who owns its files then."""

    prefix: tuple[str, ...]
    uid: int
    gid: int
    name: str

    @property
    def is_another(self) -> bool:
        """Whether its files must belong to somebody else than the caller."""
        return self.uid != os.geteuid()

    def stopped_at(self, path: Path) -> Path | None:
        """Return the outermost folder above `path` that this account may not enter; None when it gets there."""
        for folder in reversed(path.parents):
            entry = folder.stat()
            own, same_group = entry.st_uid == self.uid, entry.st_gid == self.gid
            if not entry.st_mode & (stat.S_IXUSR if own else stat.S_IXGRP if same_group else stat.S_IXOTH):
                return folder
        return None


def _through_launcher(how: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", as_ordinary_user.__file__, how)


def _namespaces_work() -> bool:
    test = [*_through_launcher(as_ordinary_user.NAMESPACE), sys.executable, "-I", "-S", "-c", ""]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def caller() -> Account:
    """Return the caller's own account."""
    return Account((), os.geteuid(), os.getegid(), str(os.geteuid()))


def ordinary_account() -> Account:
    """Choose: the caller, if not root; else the caller inside a user namespace; else `postgres` or `nobody`.

    A container engine's default profile forbids namespaces, hence the last. Raises CannotStart when none is left.
    """
    if os.geteuid() != 0:
        return caller()
    if _namespaces_work():
        return Account(_through_launcher(as_ordinary_user.NAMESPACE), 0, os.getegid(), "root")
    for name in ("postgres", "nobody"):
        try:
            return another(name)
        except KeyError:
            continue
    raise CannotStart(
        "PostgreSQL doesn't run as root, user namespaces aren't allowed here, and there is no account `postgres` or "
        "`nobody`. Run dinkop as an ordinary user."
    )


def another(name: str) -> Account:
    """Return the account called `name`, which only root can take. Raises KeyError when there is none."""
    entry = pwd.getpwnam(name)
    return Account(_through_launcher(name), entry.pw_uid, entry.pw_gid, name)
