"""Which projections a name on the command line means."""

from collections.abc import Sequence

from dinkop.system import Misused


def meant(name: str, every: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the (service, projection) of `every` that a name means.

    `reporting.health_status`, a short name that is unique, or `all`. Raises Misused.
    """
    if name == "all":
        return list(every)
    found = [(service, short) for service, short in every if name in (f"{service}.{short}", short)]
    if len(found) == 1:
        return found
    what = "several projections" if found else "no projection"
    there = ", ".join(f"{service}.{short}" for service, short in found or every)
    raise Misused(f"{name} names {what}. There are: {there}, or all.")
