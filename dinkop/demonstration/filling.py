"""Filling an empty home with the demonstration once, also when the first attempt was cut off."""

import httpx

from contracts.roles import HEAD, OPERATOR
from dinkop.demonstration.load import LoadFailed, Progress, load
from dinkop.home import Home, Running
from dinkop.system import Failed
from dinkop.tokens import OwnToken

LOADING, LOADED = "loading", "loaded"
ACTOR = "demonstration"
"""Who did it, in every history."""


async def fill_once(home: Home, running: Running, progress: Progress) -> bool:
    """Load the demonstration unless the home holds something; return whether it was loaded now.

    A load that was cut off goes on: its requests carry keys that are always the same. Raises Failed.
    """
    mark = home.directory / "demonstration"
    state = mark.read_text("utf-8") if mark.exists() else ""
    auth = OwnToken(home, [HEAD, OPERATOR], ACTOR)
    if state == LOADED or (state != LOADING and not await _empty(running, auth)):
        return False
    mark.write_text(LOADING, "utf-8")
    try:
        await load(running.services, progress, auth=auth)
    except LoadFailed as problem:
        raise Failed(str(problem)) from problem
    mark.write_text(LOADED, "utf-8")
    return True


async def _empty(running: Running, auth: httpx.Auth) -> bool:
    async with httpx.AsyncClient(auth=auth, timeout=10) as client:
        answer = (await client.get(f"{running.services['registry']}/v1/projections")).raise_for_status()
    return bool(answer.json()["store"]["position"] == 0)
