"""The ports of the system on one machine, all on loopback."""

import dataclasses
import socket
from collections.abc import Iterator
from contextlib import closing

import psutil

from dinkop.processes import CannotStart

HOST = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Ports:
    """One port for each service, NATS, and the monitoring pages of NATS."""

    registry: int = 8001
    rat: int = 8002
    mentoring: int = 8003
    reporting: int = 8004
    nats: int = 4222
    nats_monitoring: int = 8222

    @classmethod
    def after(cls, base: int) -> "Ports":
        """Return base + 1 … base + 6, in the order of the fields. Raises ValueError when one is no port."""
        if not 0 <= base <= 65535 - len(dataclasses.fields(cls)):
            raise ValueError(f"the port base must lie between 0 and {65535 - len(dataclasses.fields(cls))}, not {base}")
        return cls(*range(base + 1, base + 1 + len(dataclasses.fields(cls))))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield (the part wanting it, port)."""
        yield from dataclasses.asdict(self).items()

    def refuse_taken(self) -> None:
        """Raise CannotStart naming every port that another program listens on."""
        taken = [f"port {port}, wanted by {part}, is taken{_by_whom(port)}" for part, port in self if not _free(port)]
        if taken:
            raise CannotStart(f"{'; '.join(taken)}. Stop what uses it, or choose other ports with --port-base N.")


def _free(port: int) -> bool:
    with closing(socket.socket()) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections don't matter
        try:
            attempt.bind((HOST, port))
            attempt.listen(1)
        except OSError:
            return False
    return True


def _by_whom(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens_there = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens_there and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, PermissionError):
        pass
    return ""
