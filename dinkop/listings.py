"""Importing a list into a running system: first the register, then the meetings it tells of."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from chassis.definitions.clock import new_id
from dinkop.system import System, explained

type Progress = Callable[[str, int, int], None]
"""Is told the service, rows done, and rows in all."""

PATIENCE = 600.0
WATCH = 0.1


async def import_list(system: System, source: str, file: Path, *, dry_run: bool, progress: Progress) -> dict[str, Any]:
    """Send a list to registry, then to rat once rat knows what registry registered.

    Returns {registry, rat}, each as the service answers. Raises Failed with a service's own words.
    """
    content = await asyncio.to_thread(file.read_bytes)
    query = {"source": source, "dry_run": str(dry_run).lower()}
    async with system.client(PATIENCE) as client:
        registry = await _send(client, system, "registry", file.name, content, query, progress)
        position = registry.headers.get("Dinkop-Position")
        known = {"at_least": position} if position else {}
        rat = await _send(client, system, "rat", file.name, content, query | known, progress)
    return {"registry": explained(registry), "rat": explained(rat)}


async def _send(
    client: httpx.AsyncClient,
    system: System,
    service: str,
    name: str,
    content: bytes,
    query: dict[str, str],
    progress: Progress,
) -> httpx.Response:
    url = f"{system.running.services[service]}/v1/imports"
    key = str(new_id())

    async def post() -> httpx.Response:
        return await client.post(url, params=query, files={"file": (name, content)}, headers={"Idempotency-Key": key})

    progress(service, 0, 0)
    answer = asyncio.create_task(post())
    try:
        while not (await asyncio.wait([answer], timeout=WATCH))[0]:
            state = await client.get(f"{url}/{key}")
            if state.is_success:
                progress(service, state.json()["done"], state.json()["rows"])
    finally:
        if not answer.done():
            answer.cancel()
    response = answer.result()
    if response.status_code == httpx.codes.GATEWAY_TIMEOUT:
        # The service is still catching up with what was registered a moment ago: ask again, patiently.
        return await _send(client, system, service, name, content, query, progress)
    rows = explained(response)["rows"]
    progress(service, rows, rows)
    return response


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the row-by-row report of an import as XLSX: one sheet a service, a line for every remark."""
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        bold = book.add_format({"bold": True})
        for service, answer in report.items():
            sheet = book.add_worksheet(service)
            counts = {name: value for name, value in answer.items() if not isinstance(value, list)}
            for line, (name, value) in enumerate(counts.items()):
                sheet.write_row(line, 0, [name, value])
            top = len(counts) + 1
            sheet.write_row(top, 0, ["row", "column", "value", "problem", "kind"], bold)
            notes = [(note, "rejected") for note in answer["rejections"]]
            notes += [(note, "warning") for note in answer["warnings"]]
            for line, (note, kind) in enumerate(sorted(notes, key=lambda each: each[0]["row"]), top + 1):
                sheet.write_row(line, 0, [note["row"], note["column"], note["value"], note["problem"], kind])
            sheet.set_column(0, 0, 18)
            sheet.set_column(1, 3, 40)
