"""Seeds that once failed: `make faults` runs each of them first."""

from typing import NamedTuple


class Kept(NamedTuple):
    """A seed, on which system it failed and how long it ran, and why it failed."""

    mode: str
    seed: int
    seconds: float
    why: str


KEPT: tuple[Kept, ...] = ()
