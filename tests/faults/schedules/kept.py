"""Seeds that once failed: `make faults` runs each of them first."""

from typing import NamedTuple


class Kept(NamedTuple):
    """A seed, on which system it failed and how long it ran, and why it failed."""

    mode: str
    seed: int
    seconds: float
    why: str


KEPT = (
    Kept("one", 100, 110, "NATS kept nothing any more once its disk had been full, and nobody started it again"),
    Kept("servers", 103, 90, "so did a member of the cluster, which every relay took for one that doesn't sync"),
    Kept("servers", 400, 130, "a service that came while PostgreSQL was provisioned was told that it may not enter"),
    # The slice in end_to_end/test_faults.py is one too: PostgreSQL's full disk was answered by 500.
)
