"""Importing a list into a running system: first the register, then the meetings it tells of."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from chassis.definitions.clock import new_id
from chassis.http.imports import XLSX
from contracts.roles import OFFICER
from dinkop.import_report import write_report
from dinkop.system import Failed, Misused, System, Unreachable, explained

type Progress = Callable[[str, int, int], None]
"""Is told the service, rows done, and rows in all."""

PATIENCE = 600.0
WATCH = 0.1


async def import_list(
    system: System, source: str, file: Path, *, dry_run: bool, report: Path | None, progress: Progress
) -> dict[str, Any]:
    """Send a list to registry, then to rat once rat knows what registry registered.

    Returns {registry, rat}, each as the service answers; `report` is then a workbook that tells it row by row. Raises
    Failed with a service's own words.
    """
    content = await asyncio.to_thread(file.read_bytes)
    query = {"source": source, "dry_run": str(dry_run).lower()}
    answers: dict[str, Any] = {}
    try:
        async with system.client(OFFICER, PATIENCE) as client:
            registry = _Import(client, system, "registry", file.name, content, query)
            answers["registry"] = await registry.carried_out(progress)
            # In a dry run nobody is registered whom rat could know.
            after = {"assume_registered": "true"} if dry_run else {"at_least": registry.position}
            rat = _Import(client, system, "rat", file.name, content, query | after)
            answers["rat"] = await rat.carried_out(progress)
            sheets = {each.service: await each.annotated() for each in (registry, rat)} if report else {}
    except (Failed, Unreachable) as problem:
        if answers.keys() != {"registry"}:
            raise
        raise type(problem)(f"{problem} registry has read the list, rat has not: import it again.") from problem
    if report:
        await asyncio.to_thread(write_report, report, answers, sheets)
    return answers


def must_be_writable(report: Path, file: Path) -> None:
    """Raise Misused for a report that could not be written when the import is done."""
    if report.resolve() == file.resolve():
        raise Misused(f"{report} is the list itself: name another file for the report.")
    if report.is_dir() or not os.access(report if report.exists() else report.parent, os.W_OK):
        raise Misused(f"{report} cannot be written: name another file for the report.")


class _Import:
    """One list on its way into one service. The key makes sure that it is read once, however often it is sent."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        system: System,
        service: str,
        name: str,
        content: bytes,
        query: dict[str, str],
    ) -> None:
        self.service = service
        self.position = ""
        self._client = client
        self._url = f"{system.running.services[service]}/v1/imports"
        self._file = (name, content)
        self._query = query
        self._key = str(new_id())

    async def carried_out(self, progress: Progress) -> dict[str, Any]:
        """Return what the service answers; tells the progress meanwhile."""
        progress(self.service, 0, 0)
        response = await self._watched(progress)
        while response.status_code == httpx.codes.GATEWAY_TIMEOUT:
            # The service is still catching up with what was registered a moment ago: ask again, patiently.
            response = await self._watched(progress)
        answer = explained(response)
        self.position = response.headers["Dinkop-Position"]
        progress(self.service, answer["rows"], answer["rows"])
        return answer

    async def annotated(self) -> bytes:
        """Return the same answer as a workbook: the list, with what became of every row."""
        response = await self._send({"Accept": XLSX})
        if not response.is_success:
            explained(response)
        return response.content

    async def _watched(self, progress: Progress) -> httpx.Response:
        sending = asyncio.create_task(self._send({}))
        try:
            while not (await asyncio.wait([sending], timeout=WATCH))[0]:
                state = await self._client.get(f"{self._url}/{self._key}")
                if state.is_success:
                    progress(self.service, state.json()["done"], state.json()["rows"])
        finally:
            sending.cancel()
        return sending.result()

    async def _send(self, headers: dict[str, str]) -> httpx.Response:
        headers = {"Idempotency-Key": self._key, **headers}
        return await self._client.post(self._url, params=self._query, files={"file": self._file}, headers=headers)
