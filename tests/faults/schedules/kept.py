"""Seeds that once failed: `make faults` runs each of them first."""

from typing import NamedTuple


class Kept(NamedTuple):
    """A seed, on which system it failed and how long it ran, why, and with which kinds of faults (none: all)."""

    mode: str
    seed: int
    seconds: float
    why: str
    only: tuple[str, ...] = ()


KEPT = (
    Kept("one", 100, 75, "NATS kept nothing any more once its disk had been full, and nobody started it again"),
    Kept("servers", 103, 85, "so did a member of the cluster, which every relay took for one that doesn't sync"),
    Kept("servers", 400, 90, "a service that came while PostgreSQL was provisioned was turned away", ("kill",)),
    Kept("servers", 7601, 60, "two processes led once PostgreSQL had been killed", ("kill", "cut", "silence")),
    Kept("containers", 300, 150, "a leader whose server died with its network led on, and so did the next one"),
    Kept("containers", 700, 45, "power that was lost in the first minute took along who may enter PostgreSQL"),
    # The slice in end_to_end/test_faults.py is one too: PostgreSQL's full disk was answered by 500.
)
