"""Clients that work while the system breaks: they give commands under a key until answered, and read what follows."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx

from schedules.history import History, positions_of

WRITERS, READERS = 4, 2
ANSWER = 4.0
"""Seconds after which a client asks again, and another replica where there is one."""
TRY_AGAIN = (401, 408, 425, 429, 502, 503, 504)
"""What says that nothing was decided. 401: the service's clock may be wrong."""
KECAMATAN = ("35.07.21", "35.07.16", "35.07.33")
YEARS = (2021, 2022, 2023)

type Urls = Callable[[str], Sequence[str]]
"""service -> the base URL of each of its processes"""


class Clients:
    """A few writers and readers on one system, and what they know together."""

    def __init__(self, urls: Urls, token: str, history: History, seed: int) -> None:
        """Come with this token; what they do is drawn from the seed."""
        self._urls = urls
        self._history = history
        self._seed = seed
        self._done = False
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER,
            trust_env=False,
            limits=httpx.Limits(max_connections=60, keepalive_expiry=30),
        )
        self.acknowledged = 0
        self._cooperatives: list[tuple[str, int]] = []
        """(id, registry's position) of those that were acknowledged; anybody may work on them."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Clients"]:
        """Work meanwhile. At the end everybody finishes what he has begun."""
        async with self._http, asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(self._write(f"w{number}"))
            for number in range(READERS):
                group.create_task(self._read(f"r{number}"))
            try:
                yield self
            finally:
                self._done = True

    # ------------------------------------------------------------ writing

    async def _write(self, client: str) -> None:
        chance = Random(f"{self._seed} {client}")
        for number in itertools.count():
            if self._done:
                return
            key = f"{client}-{number}"
            service, path, body, params = self._drawn(chance, key)
            self._history.add("asked", key=key, client=client, service=service, path=path)
            answer = await self._told(chance, service, path, body, params, key)
            if service == "registry" and path == "/v1/cooperatives" and answer and answer[0] == 201:
                self._cooperatives.append(answer[1:])
            # Not what was refused: that may be tried again under its key, and be right by then.
            if chance.random() < 0.1 and answer:
                await self._told(chance, service, path, body, params, key, again=True)
            await asyncio.sleep(chance.random() * 0.1)

    def _drawn(self, chance: Random, key: str) -> tuple[str, str, dict[str, Any], dict[str, str]]:
        """Return a command: service, path, body and parameters."""
        what = chance.random()
        if what < 0.3 or len(self._cooperatives) < 5:
            body = {
                "name": f"Koperasi {key}",
                "legal_entity_number": f"{key}/BH",
                "legal_entity_date": chance.choice(("2015-08-03", "2022-03-01", "2024-02-02")),
                "kecamatan_code": chance.choice(KECAMATAN),
            }
            return "registry", "/v1/cooperatives", body, {}
        # Often one of the last few: so commands meet each other on one stream.
        id_, position = chance.choice(self._cooperatives[-5:] if chance.random() < 0.5 else self._cooperatives)
        cooperative, at_least = f"/v1/cooperatives/{id_}", {"at_least": f"registry:{position}"}
        if what < 0.55:
            year = chance.choice(YEARS)
            held_on = f"{year + 1}-{chance.choice(('02-01', '03-31', '04-01', '06-30', '09-09'))}"
            meeting = {"book_year": year, "held_on": held_on, "members_total": 9, "members_present": 9}
            return "rat", f"{cooperative}/rats", meeting, at_least
        if what < 0.65:
            year = chance.choice(YEARS)
            return "rat", f"{cooperative}/rats/{year}/verifications", {"verified_on": "2024-11-01"}, at_least
        if what < 0.75:
            seen = chance.random() < 0.6
            found = {"signboard_found": seen, "office_found": seen, "members_reached": seen, "operating": seen}
            return "registry", f"{cooperative}/tracings", {"traced_on": "2024-10-10", "notes": key, **found}, {}
        if what < 0.8:
            moved = {"kecamatan_code": chance.choice(KECAMATAN), "address": key, "effective_on": "2024-09-01"}
            return "registry", f"{cooperative}/relocations", moved, {}
        if what < 0.85:
            corrected = {"changes": {"name": f"Koperasi Baru {key}"}, "reason": "Salah tulis"}
            return "registry", f"{cooperative}/corrections", corrected, {}
        request = {
            "cooperative_id": None,
            "cooperative_name": f"Koperasi {key}",
            "location": {"kecamatan_code": chance.choice(KECAMATAN), "address": "Balai desa"},
            "people": [{"name": "Contoh", "role": "chair"}],
            "complaint": key,
            "category": "rat",
            "channel": "visit",
            "received_on": "2024-05-05",
        }
        return "mentoring", "/v1/requests", request, {}

    async def _told(
        self,
        chance: Random,
        service: str,
        path: str,
        body: dict[str, Any],
        params: dict[str, str],
        key: str,
        again: bool = False,
    ) -> tuple[int, str, int] | None:
        """Give a command until it is answered; return status, subject and position."""
        headers = {"Idempotency-Key": key, "X-Correlation-Id": key}
        for attempt in itertools.count(chance.randrange(2)):
            urls = self._urls(service)
            url = f"{urls[attempt % len(urls)]}{path}"
            try:
                answer = await self._http.post(url, json=body, params=params, headers=headers)
            except httpx.TransportError as error:
                self._history.add("unanswered", key=key, why=repr(error))
            else:
                if answer.status_code not in TRY_AGAIN and answer.status_code < 500:
                    return self._ended(service, path, key, answer, again)
                if answer.status_code == 500:
                    self._history.add("failed", service=service, path=path, status=500, text=answer.text)
                self._history.add("unanswered", key=key, why=f"{answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.05 + chance.random() * 0.2)
        raise AssertionError("unreachable")

    def _ended(
        self, service: str, path: str, key: str, answer: httpx.Response, again: bool
    ) -> tuple[int, str, int] | None:
        status = answer.status_code
        if status not in (200, 201):
            if status not in (404, 409, 412, 422):
                self._history.add("failed", service=service, path=path, status=status, text=answer.text)
            self._history.add("told", key=key, status=status, again=again, text=answer.text[:200])
            return None
        said = answer.json()
        subject = said.get("request_id") or said["cooperative_id"]
        position = positions_of(answer.headers["Dinkop-Position"])[service]
        self._history.add(
            "told", key=key, status=status, position=position, subject=subject, version=said["version"], again=again
        )
        if not again:
            self.acknowledged += 1
        return status, subject, position

    # ------------------------------------------------------------ reading

    async def _read(self, client: str) -> None:
        chance = Random(f"{self._seed} {client}")
        for number in itertools.count():
            if self._done:
                return
            await asyncio.sleep(0.05 + chance.random() * 0.1)
            if number % 2 and self._cooperatives:
                id_, position = chance.choice(self._cooperatives[-20:])
                at_least = {"registry": position}
                await self._seen(client, number, f"/v1/health/{id_}", at_least)
            else:
                code = chance.choice(KECAMATAN)
                await self._seen(client, number, f"/v1/kecamatan/{code}", {})

    async def _seen(self, client: str, number: int, path: str, at_least: dict[str, int]) -> None:
        """Read once; what isn't answered is not asked again."""
        params = {"at_least": ",".join(f"{name}:{at}" for name, at in at_least.items())} if at_least else None
        urls = self._urls("reporting")
        begun = self._history.now()
        try:
            answer = await self._http.get(f"{urls[number // 2 % len(urls)]}{path}", params=params)
        except httpx.TransportError:
            return
        status = answer.status_code
        if status in TRY_AGAIN:
            return
        if status == 500:
            self._history.add("failed", service="reporting", path=path, status=500, text=answer.text)
            return
        positions = answer.json()["positions"] if status == 200 else {}
        self._history.add(
            "read",
            client=client,
            path=path,
            status=status,
            begun=begun,
            positions=positions,
            at_least=at_least,
        )
