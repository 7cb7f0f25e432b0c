"""Runs a program that refuses to be root, inside a user namespace or as another account: a script of its own.

`python -I -S as_ordinary_user.py namespace|ACCOUNT PROGRAM [ARGUMENT …]`. Unsharing needs a process with one thread,
which a running event loop is not; a fresh interpreter that ends in exec is.
"""

import os
import pwd
import sys
from pathlib import Path

NAMESPACE = "namespace"
NOBODY = 65534


def enter_user_namespace() -> None:
    """Appear as `nobody` to oneself while keeping the caller's rights to its own files. Raises OSError if forbidden."""
    user, group = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def become(account: str) -> None:
    """Give up root for `account`, for good. Raises KeyError for an unknown one."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    _, how, *command = sys.argv
    if how == NAMESPACE:
        enter_user_namespace()
    else:
        become(how)
    os.execv(command[0], command)
