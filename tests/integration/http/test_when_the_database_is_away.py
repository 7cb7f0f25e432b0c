"""A service whose database is away says so, and serves again when it is back."""

import httpx
from documents import refused, registered, registration
from eventually import eventually
from system import System


async def test_a_service_without_its_database_is_alive_not_ready_and_recovers(
    system: System, registry: httpx.AsyncClient
) -> None:
    cooperative_id, position = await registered(registry)
    listed = await registry.get("/v1/cooperatives", params={"at_least": position})
    assert len(listed.json()["items"]) == 1
    await system.postgres.kill()
    try:
        assert (await registry.get("/livez")).status_code == 200
        refused(await registry.get("/readyz"), 503, "unavailable")
        answer = await registry.get("/v1/cooperatives")
        refused(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert (await registry.get("/openapi.json")).status_code == 200
        refused(await registry.post("/v1/cooperatives", json=registration(name="")), 422, "invalid", "name")
    finally:
        await system.postgres.start()

    async def ready() -> bool:
        return (await registry.get("/readyz")).status_code == 200

    await eventually(ready, 60)
    assert (await registry.get(f"/v1/cooperatives/{cooperative_id}")).status_code == 200
