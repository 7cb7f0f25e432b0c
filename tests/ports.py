"""Ports of loopback for servers that tests start, kill and start again."""

import os
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
ALL = range(10_000, 32_000)
"""Below those that the kernel gives to whoever connects: what was free stays so while a server is down."""


class Share:
    """The ports of one of the processes of a run, which no other of them gives away."""

    def __init__(self, number: int, processes: int, *, begin: int = 0) -> None:
        """Take share `number` of so many, from 0; give away its port `begin`, counted round and round, first."""
        size = len(ALL) // processes
        self._all = range(ALL.start + number * size, ALL.start + (number + 1) * size)
        self._next = self._all[begin % size]

    def take(self, count: int) -> list[int]:
        """Return ports in a row that nobody listens on, behind those given away last. Raises AssertionError."""
        for _ in range(len(self._all)):
            begin = self._next if self._next + count <= self._all.stop else self._all.start
            self._next = begin + count
            if _are_free(range(begin, begin + count)):
                return list(range(begin, begin + count))
        raise AssertionError(f"no {count} free ports in a row in {self._all}")


def free_ports(count: int) -> list[int]:
    """Return ports in a row that nobody listens on, and that nobody else in this run is given."""
    return _own.take(count)


def _are_free(ports: range) -> bool:
    with ExitStack() as taken:
        try:
            for port in ports:
                taken.enter_context(socket.socket()).bind((HOST, port))
        except OSError:
            return False
    return True


_own = Share(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
    begin=os.getpid() * 53,  # elsewhere for each of several runs
)
