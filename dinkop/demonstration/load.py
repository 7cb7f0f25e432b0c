"""Fills an empty running system with the demonstration, through its HTTP interface only."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx

from dinkop.demonstration.calls import Call
from dinkop.demonstration.regency import SEED, SNAPSHOTS, Regency
from dinkop.demonstration.regency import regency as demonstration_regency
from dinkop.demonstration.snapshots import ods_csv
from dinkop.demonstration.stories import commands

type Progress = Callable[[str, int, int], None]
"""Is told what is being loaded, how much of it is done, and how much there is."""

IN_FLIGHT = 8
REPORTS_IN_FLIGHT = 2
TIMEOUT = httpx.Timeout(120.0)
PAGE = 500
LISTINGS = {"registry": "/v1/cooperatives", "mentoring": "/v1/requests", "reporting": "/v1/camat-reports"}
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
    auth: httpx.Auth | None = None,
    client: httpx.AsyncClient | None = None,
) -> Summary:
    """Load the regency into the services at `urls`, by name, such as `http://127.0.0.1:8001`, as `auth` says who.

    A load that was interrupted can be run again: every request carries a key that is always the same.
    Raises LoadFailed on any answer but success, and httpx.TransportError when a service cannot be reached.
    """
    regency = regency or demonstration_regency()
    if client is not None:
        return await _load(_Services(client, urls), regency, progress)
    async with httpx.AsyncClient(auth=auth, timeout=TIMEOUT) as own:
        return await _load(_Services(own, urls), regency, progress)


async def _load(services: "_Services", regency: Regency, progress: Progress) -> Summary:
    summary = Summary(imports={"registry": [], "rat": []})
    for done, day in enumerate(SNAPSHOTS):
        progress("exports", done, len(SNAPSHOTS))
        content = ods_csv(regency, day)
        for service, answers in summary.imports.items():
            answers.append(await services.import_ods(service, f"ods-{day}.csv", content))
    progress("exports", len(SNAPSHOTS), len(SNAPSHOTS))

    calls = list(commands(regency))
    reports = [call for call in calls if call.service == "reporting"]
    records = [call for call in calls if call.service != "reporting"]
    ids = await services.cooperative_ids({call.nik for call in calls if call.nik})
    await _tell(services, records, ids, IN_FLIGHT, lambda done: progress("records", done, len(records)))
    # A report says what was known when it was issued.
    await services.caught_up("reporting", "/v1/kecamatan")
    await _tell(services, reports, ids, REPORTS_IN_FLIGHT, lambda done: progress("camat reports", done, len(reports)))
    for service, listing in LISTINGS.items():
        await services.caught_up(service, listing)
    summary.calls = len(calls)
    summary.cooperatives = len(regency.cooperatives)
    return summary


async def _tell(
    services: "_Services",
    calls: Iterable[Call],
    cooperative_ids: Mapping[str, str],
    in_flight: int,
    progress: Callable[[int], None],
) -> None:
    """Make the calls, those about the same one after another, and so many at a time. Raises the first failure."""
    limit = asyncio.Semaphore(in_flight)
    done = 0
    progress(done)

    async def tell(told: list[Call]) -> None:
        nonlocal done
        async with limit:
            ids: dict[str, str] = {}
            for call in told:
                if call.nik:
                    ids["cooperative_id"] = cooperative_ids[call.nik]
                ids |= await services.make(call, ids)
                done += 1
                progress(done)

    try:
        async with asyncio.TaskGroup() as group:
            for told in _by_what_they_are_about(calls):
                group.create_task(tell(told))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _by_what_they_are_about(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Group the calls, keeping the order within each group: only that order matters."""
    for _, told in groupby(sorted(calls, key=lambda call: call.about), key=lambda call: call.about):
        yield list(told)


@dataclass(slots=True)
class _Services:
    """The running services. `imported` is where registry stood after its last import, `positions` where each stands."""

    client: httpx.AsyncClient
    urls: Mapping[str, str]
    imported: str | None = None
    positions: dict[str, int] = field(default_factory=dict)

    async def import_ods(self, service: str, name: str, content: bytes) -> dict[str, Any]:
        """Import an export; any service but registry waits until it knows of what registry has imported."""
        response = await self._post(
            service,
            "/v1/imports",
            key=str(uuid5(NAMESPACE_URL, f"{SEED} {service} {name}")),
            params={"source": "ods"} | ({} if service == "registry" else self._at_least_imported()),
            files={"file": (name, content, "text/csv")},
            headers={"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
        )
        answer: dict[str, Any] = response.json()
        if answer.get("rejected"):
            raise LoadFailed(f"{service} rejected rows of {name}: {answer.get('rejections')}")
        if service == "registry":
            self.imported = response.headers.get("Dinkop-Position")
        return answer

    async def make(self, call: Call, ids: Mapping[str, str]) -> dict[str, str]:
        """Make a call; return the ids in its answer."""
        path, body = call.filled(ids)
        # The one that has not yet been made to wait for the cooperatives.
        params = self._at_least_imported() if call.service == "mentoring" else {}
        response = await self._post(call.service, path, key=str(call.idempotency_key), json=body, params=params)
        return {name: value for name, value in response.json().items() if name.endswith("_id")}

    def _at_least_imported(self) -> dict[str, str]:
        return {"at_least": self.imported} if self.imported else {}

    async def caught_up(self, service: str, path: str) -> None:
        """Wait until what the service answers there knows of everything that was told so far."""
        at_least = ",".join(f"{each}:{position}" for each, position in sorted(self.positions.items()))
        await self._send("GET", service, path, params={"at_least": at_least})

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
        return await self._send("POST", service, path, headers={"Idempotency-Key": key, **(headers or {})}, **content)

    async def _send(self, method: str, service: str, path: str, **content: Any) -> httpx.Response:
        """Ask; while the service answers that it has not caught up (having waited itself), ask again."""
        for _ in range(CAUGHT_UP_ATTEMPTS):
            response = await self.client.request(method, f"{self.urls[service]}{path}", **content)
            if response.status_code != httpx.codes.GATEWAY_TIMEOUT:
                break
        _succeeded(response)
        if position := response.headers.get("Dinkop-Position"):
            number = int(position.rpartition(":")[2])
            self.positions[service] = max(number, self.positions.get(service, 0))
        return response


def _succeeded(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    request = response.request
    raise LoadFailed(f"{request.method} {request.url} answered {response.status_code}: {response.text[:500]}")
