"""A reader that waits for a position misses no move, whenever it comes."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from projecting import plots

from chassis.http import calls
from chassis.http.calls import Call, NotCaughtUp
from chassis.http.runtime import Runtime


class Positions:
    """Read models that stand somewhere, and tell of each time they are asked."""

    def __init__(self, at: Mapping[str, int]) -> None:
        self.at = dict(at)
        self.asked = 0

    async def positions(self, _: object) -> Mapping[str, int]:
        self.asked += 1
        return dict(self.at)


def call_on(read_models: Any) -> tuple[Call, Runtime]:
    """Return a call of a service with these read models."""
    runtime = Runtime(
        service="registry",
        known_services=frozenset({"field"}),
        store=None,  # type: ignore[arg-type]
        read_models=read_models,
        today=None,
        wake=lambda: None,
        reachable=lambda: None,
        operations=None,  # type: ignore[arg-type]
        door=None,  # type: ignore[arg-type]
    )
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(runtime=runtime)))
    return Call(request), runtime


async def test_a_move_while_the_positions_are_read_wakes_the_reader() -> None:
    read_models = Positions({"field": 1})
    call, runtime = call_on(read_models)
    ask = read_models.positions

    async def moved_meanwhile(projection: object) -> Mapping[str, int]:
        seen = await ask(projection)
        if read_models.asked == 1:
            runtime.note("plots", {"field": 2})  # after it was read, before it is compared
        return seen

    read_models.positions = moved_meanwhile  # type: ignore[method-assign]
    await asyncio.wait_for(call.caught_up(plots, {"field": 2}), 5)
    # It was told; who is not looks for itself once more.
    assert read_models.asked == 1


async def test_a_reader_that_is_told_nothing_looks_for_itself() -> None:
    read_models = Positions({"field": 1})
    call, runtime = call_on(read_models)
    runtime.note("plots", {"field": 1})
    waiting = asyncio.create_task(call.caught_up(plots, {"field": 2}))
    while not read_models.asked:
        await asyncio.sleep(0.01)
    read_models.at["field"] = 2  # another process projects
    await asyncio.wait_for(waiting, 2)


async def test_a_reader_is_sent_away_when_its_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.2)
    call, _ = call_on(Positions({"field": 1}))
    with pytest.raises(NotCaughtUp) as late:
        await call.caught_up(plots, {"field": 2})
    assert late.value.facts == {"positions": {"field": 1}, "wanted": {"field": 2}}


async def test_a_position_of_a_service_that_the_projection_does_not_read_is_not_waited_for() -> None:
    read_models = Positions({})
    call, _ = call_on(read_models)
    await asyncio.wait_for(call.caught_up(plots, {"rat": 9}), 1)
    assert read_models.asked == 0
