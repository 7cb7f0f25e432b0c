"""The list of plans, made anew from the stream."""

from typing import Any

import httpx
from nats.aio.client import Client
from rat_service import TUMPANG, Registry
from rebuilding import rebuild_from
from servers import Nats

from chassis.engine.rebuild import MEMORY
from services.rat.projections import plans


async def test_a_rebuild_lists_what_the_live_generation_listed(
    rat: httpx.AsyncClient, registry: Registry, database_url: str, nats: Nats, public_stream: Client
) -> None:
    position = ""
    for number in range(3):
        path = f"/v1/cooperatives/{await registry.register(f'{number}/BH')}/rat-plans"
        for book_year in (2023, 2024):
            plan = {"book_year": book_year, "planned_on": f"2025-02-2{number}", "venue": "Balai 'Desa' \\ \U0001f4a9"}
            answer = await rat.post(path, json=plan, params={"at_least": registry.position})
            position = answer.headers["dinkop-position"]
    await registry.relocate(await registry.register("9/BH"), TUMPANG)

    async def listed() -> list[dict[str, Any]]:
        answer = await rat.get("/v1/rat-plans", params={"at_least": f"{position},{registry.position}"})
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    before = await listed()
    assert len(before) == 6
    report = await rebuild_from(nats.url, database_url, plans.projection, lambda _: None, MEMORY)
    assert (report.generation, report.rows) == (2, 4)
    assert await listed() == before
