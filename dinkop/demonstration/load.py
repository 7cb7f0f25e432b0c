"""Fills an empty running system with the demonstration, through its HTTP interface only."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx

from dinkop.demonstration.regency import SEED, SNAPSHOTS, Regency
from dinkop.demonstration.regency import regency as demonstration_regency
from dinkop.demonstration.snapshots import ods_csv
from dinkop.demonstration.stories import Call, commands

type Progress = Callable[[str, int, int], None]
"""Is told what is being loaded, how much of it is done, and how much there is."""

IN_FLIGHT = 8
TIMEOUT = httpx.Timeout(120.0)
PAGE = 500
LISTED_ATTEMPTS = 300
LISTED_EVERY = 0.1
CAUGHT_UP_ATTEMPTS = 12

# A boundary that stays the same makes the body, and so the idempotent request, the same when a load is run again.
_BOUNDARY = "dinkop-demonstration"


class LoadFailed(RuntimeError):
    """The system did not take a part of the demonstration; the text says which, and what it answered."""


@dataclass(slots=True)
class Summary:
    """What was loaded: `imports` has the services' own answers, per service the oldest export first."""

    cooperatives: int = 0
    imports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: int = 0


async def load(
    urls: Mapping[str, str],
    progress: Progress = lambda what, done, total: None,
    *,
    regency: Regency | None = None,
    client: httpx.AsyncClient | None = None,
) -> Summary:
    """Load the regency into the services at `urls` (`registry` and `rat`, such as `http://127.0.0.1:8001`).

    A load that was interrupted can be run again: every request carries a key that is always the same.
    Raises LoadFailed on any answer but success, and httpx.TransportError when a service cannot be reached.
    """
    regency = regency or demonstration_regency()
    if client is not None:
        return await _load(_Services(client, urls), regency, progress)
    async with httpx.AsyncClient(timeout=TIMEOUT) as own:
        return await _load(_Services(own, urls), regency, progress)


async def _load(services: "_Services", regency: Regency, progress: Progress) -> Summary:
    summary = Summary(imports={"registry": [], "rat": []})
    for done, day in enumerate(SNAPSHOTS):
        progress("exports", done, len(SNAPSHOTS))
        name, content = f"ods-{day}.csv", ods_csv(regency, day)
        known = await services.import_ods("registry", name, content)
        summary.imports["registry"].append(known.answer)
        summary.imports["rat"].append((await services.import_ods("rat", name, content, known.position)).answer)
    progress("exports", len(SNAPSHOTS), len(SNAPSHOTS))

    calls = list(commands(regency))
    ids = await services.cooperative_ids({call.nik for call in calls})
    limit = asyncio.Semaphore(IN_FLIGHT)

    async def tell(told: list[Call]) -> None:
        async with limit:
            for call in told:
                await services.make(call, ids[call.nik])
                summary.calls += 1
                progress("records", summary.calls, len(calls))

    progress("records", 0, len(calls))
    try:
        async with asyncio.TaskGroup() as group:
            for told in _by_cooperative(calls):
                group.create_task(tell(told))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    summary.cooperatives = len(regency.cooperatives)
    return summary


def _by_cooperative(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Group the calls by cooperative, keeping the order within each: only that order matters."""
    for _, told in groupby(sorted(calls, key=lambda call: call.nik), key=lambda call: call.nik):
        yield list(told)


@dataclass(frozen=True, slots=True)
class _Imported:
    answer: dict[str, Any]
    position: str | None


@dataclass(frozen=True, slots=True)
class _Services:
    client: httpx.AsyncClient
    urls: Mapping[str, str]

    async def import_ods(self, service: str, name: str, content: bytes, at_least: str | None = None) -> _Imported:
        query = {"source": "ods"} | ({"at_least": at_least} if at_least else {})
        response = await self._post(
            service,
            "/v1/imports",
            key=str(uuid5(NAMESPACE_URL, f"{SEED} {service} {name}")),
            params=query,
            files={"file": (name, content, "text/csv")},
            headers={"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
        )
        answer: dict[str, Any] = response.json()
        if answer.get("rejected"):
            raise LoadFailed(f"{service} rejected rows of {name}: {answer.get('rejections')}")
        return _Imported(answer, response.headers.get("Dinkop-Position"))

    async def make(self, call: Call, cooperative_id: str) -> None:
        path = call.path.format(cooperative_id=cooperative_id)
        await self._post(call.service, path, key=str(call.idempotency_key), json=call.body)

    async def cooperative_ids(self, niks: set[str]) -> dict[str, str]:
        """Return the ids of the cooperatives with these NIKs, as soon as the registry lists them all."""
        for _ in range(LISTED_ATTEMPTS):
            ids = await self._listed()
            if niks <= ids.keys():
                return ids
            await asyncio.sleep(LISTED_EVERY)
        raise LoadFailed(f"registry still does not list {len(niks - ids.keys())} cooperatives that it has imported")

    async def _listed(self) -> dict[str, str]:
        ids: dict[str, str] = {}
        cursor: str | None = None
        while True:
            query = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            page = _succeeded(await self.client.get(f"{self.urls['registry']}/v1/cooperatives", params=query)).json()
            ids |= {item["nik"]: item["cooperative_id"] for item in page["items"]}
            if not (cursor := page["next_cursor"]):
                return ids

    async def _post(
        self, service: str, path: str, *, key: str, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        """POST; while the service answers that it has not caught up (having waited itself), ask again."""
        for _ in range(CAUGHT_UP_ATTEMPTS):
            response = await self.client.post(
                f"{self.urls[service]}{path}", headers={"Idempotency-Key": key, **(headers or {})}, **content
            )
            if response.status_code != httpx.codes.GATEWAY_TIMEOUT:
                break
        return _succeeded(response)


def _succeeded(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    request = response.request
    raise LoadFailed(f"{request.method} {request.url} answered {response.status_code}: {response.text[:500]}")
