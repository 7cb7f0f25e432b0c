"""Where a visitor of the demonstration looks first."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from dinkop.demonstration.camat_reports import PERIOD, WAGIR
from dinkop.demonstration.regency import WAGIR_NIK

CURL = 'curl -H "Authorization: Bearer $TOKEN"'
TIMEOUT = httpx.Timeout(30.0)

type Sight = tuple[str, str]
"""What there is to see, and the command that shows it."""


async def sights(
    services: Mapping[str, str], *, auth: httpx.Auth | None = None, client: httpx.AsyncClient | None = None
) -> AsyncIterator[Sight]:
    """Yield what there is to see, with a token in $TOKEN; of the story of Wagir as much as can be found there."""
    reporting = services["reporting"]
    yield "How all kecamatan fare", f"{CURL} '{reporting}/v1/kecamatan'"
    yield "How Wagir does", f"{CURL} '{reporting}/v1/kecamatan/{WAGIR}'"
    try:
        async with client or httpx.AsyncClient(auth=auth, timeout=TIMEOUT) as asking:
            async for sight in _of_wagir(asking, services):
                yield sight
    except httpx.HTTPError:
        pass  # the system has more to do than to be looked at


async def _of_wagir(client: httpx.AsyncClient, services: Mapping[str, str]) -> AsyncIterator[Sight]:
    registry, mentoring, reporting = services["registry"], services["mentoring"], services["reporting"]
    if report := await _first(client, f"{reporting}/v1/camat-reports", kecamatan_code=WAGIR, period=PERIOD):
        yield "What its camat was told", f"{CURL} -o wagir.pdf '{reporting}/v1/camat-reports/{report['report_id']}.pdf'"
    if cooperative := await _first(client, f"{registry}/v1/cooperatives", q=WAGIR_NIK):
        its_id = cooperative["cooperative_id"]
        yield f"{cooperative['name']}: its health, and why", f"{CURL} '{reporting}/v1/health/{its_id}'"
        yield "All that happened to it", f"{CURL} '{reporting}/v1/cooperatives/{its_id}/timeline'"
        if request := await _first(client, f"{mentoring}/v1/requests", cooperative_id=its_id):
            yield (
                "Its letter, and the mentoring (PUAS)",
                f"{CURL} '{mentoring}/v1/requests/{request['request_id']}'",
            )


async def _first(client: httpx.AsyncClient, url: str, **query: str) -> dict[str, Any] | None:
    answer = (await client.get(url, params=query)).raise_for_status()
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[0] if items else None
