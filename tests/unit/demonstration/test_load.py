"""Loading the demonstration: what is sent, in which order, and what happens when a load is cut off and run again."""

import json
from collections import defaultdict
from collections.abc import Callable
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest

from dinkop.demonstration.load import LoadFailed, Summary, load
from dinkop.demonstration.regency import SNAPSHOTS, regency
from dinkop.demonstration.stories import commands

URLS = {"registry": "http://registry", "rat": "http://rat"}


class System:
    """A stand-in for registry and rat that answers as the interface says, and remembers what it accepted."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], tuple[bytes, httpx.Response]] = {}
        self.requests: list[httpx.Request] = []
        self.behind = 0
        self.breaks_after: int | None = None
        self.reject_rows = False

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.breaks_after is not None and len(self.requests) > self.breaks_after:
            raise httpx.ConnectError("connection refused", request=request)
        if request.method == "GET":
            return self.listed(request)
        key = (request.url.host, request.headers["Idempotency-Key"])
        if key in self.answers:
            body, answer = self.answers[key]
            return answer if body == request.content else httpx.Response(422, json={"title": "another body"})
        if "at_least" in request.url.params and self.behind:
            self.behind -= 1
            return httpx.Response(504, json={"type": "/problems/not-caught-up"})
        self.accepted.append((request.url.host, request.url.path))
        self.answers[key] = (request.content, self.answer(request))
        return self.answers[key][1]

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/imports":
            return httpx.Response(201, json={"version": 1})
        headers = {"Dinkop-Position": f"{request.url.host}:{1000 + len(self.accepted)}"}
        rejected = 1 if self.reject_rows else 0
        return httpx.Response(200, json={"rows": 1387, "rejected": rejected, "rejections": []}, headers=headers)

    def listed(self, request: httpx.Request) -> httpx.Response:
        """Answer a page of cooperatives."""
        start, limit = int(request.url.params.get("cursor", "0")), int(request.url.params["limit"])
        cooperatives = regency().cooperatives
        items = [{"nik": one.nik, "cooperative_id": id_of(one.nik)} for one in cooperatives[start : start + limit]]
        following = str(start + limit) if start + limit < len(cooperatives) else None
        return httpx.Response(200, json={"items": items, "next_cursor": following})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.handle))


def id_of(nik: str) -> str:
    """Return the id this stand-in gave a cooperative."""
    return str(uuid5(NAMESPACE_URL, nik))


async def loaded_into(system: System, progress: Callable[[str, int, int], None] = lambda *_: None) -> Summary:
    """Load the demonstration."""
    async with system.client() as client:
        return await load(URLS, progress, client=client)


async def test_exports_go_to_registry_and_then_to_rat_oldest_first() -> None:
    system = System()
    await loaded_into(system)
    imports = [request for request in system.requests if request.url.path == "/v1/imports"]
    assert [request.url.host for request in imports] == ["registry", "rat"] * len(SNAPSHOTS)
    for request, day in zip(imports, [day for day in SNAPSHOTS for _ in range(2)], strict=True):
        assert request.url.params["source"] == "ods"
        assert f'name="file"; filename="ods-{day}.csv"'.encode() in request.content


async def test_rat_is_told_how_far_registry_was() -> None:
    system = System()
    await loaded_into(system)
    told = [r.url.params["at_least"] for r in system.requests if r.url.path == "/v1/imports" and r.url.host == "rat"]
    assert told == ["registry:1001", "registry:1003", "registry:1005", "registry:1007"]


async def test_every_call_is_made_once_with_the_id_that_registry_gave() -> None:
    system = System()
    summary = await loaded_into(system)
    made = [accepted for accepted in system.accepted if accepted[1] != "/v1/imports"]
    expected = [(call.service, call.path.format(cooperative_id=id_of(call.nik))) for call in commands(regency())]
    assert sorted(made) == sorted(expected)
    assert summary.cooperatives == 1387
    assert summary.calls == len(expected)
    assert [len(answers) for answers in summary.imports.values()] == [4, 4]


async def test_calls_about_one_cooperative_keep_their_order() -> None:
    system = System()
    await loaded_into(system)
    made, told = defaultdict(list), defaultdict(list)
    for request in system.requests:
        if request.method == "POST" and request.url.path != "/v1/imports":
            made[request.url.path.split("/")[3]].append(json.loads(request.content))
    for call in commands(regency()):
        told[id_of(call.nik)].append(call.body)
    assert made == told


@pytest.mark.parametrize("requests", [0, 1, 2, 3, 8, 9, 12, 40, 100])
async def test_a_load_that_was_cut_off_can_be_run_again(requests: int) -> None:
    system = System()
    system.breaks_after = requests
    with pytest.raises(httpx.ConnectError):
        await loaded_into(system)
    system.breaks_after = None
    summary = await loaded_into(system)
    assert summary.calls == len(list(commands(regency())))
    assert len(system.accepted) == summary.calls + 2 * len(SNAPSHOTS)


async def test_a_service_that_has_not_caught_up_is_asked_again() -> None:
    system = System()
    system.behind = 3
    await loaded_into(system)
    assert system.behind == 0


async def test_a_refusal_ends_the_load_and_says_what_was_refused() -> None:
    system = System()
    original = system.answer
    system.answer = lambda request: (  # type: ignore[method-assign]
        httpx.Response(422, json={"type": "/problems/no-quorum"})
        if request.url.path.endswith("/rats")
        else original(request)
    )
    with pytest.raises(LoadFailed, match=r"POST http://rat/v1/cooperatives/.*/rats answered 422: .*no-quorum"):
        await loaded_into(system)


async def test_a_rejected_row_ends_the_load() -> None:
    system = System()
    system.reject_rows = True
    with pytest.raises(LoadFailed, match=r"registry rejected rows of ods-2021-12-31\.csv"):
        await loaded_into(system)


async def test_progress_is_told_from_start_to_end() -> None:
    told: list[tuple[str, int, int]] = []
    await loaded_into(System(), lambda *news: told.append(news))
    calls = len(list(commands(regency())))
    assert [news for news in told if news[0] == "exports"] == [("exports", done, 4) for done in range(5)]
    assert [news for news in told if news[0] == "records"] == [("records", done, calls) for done in range(calls + 1)]
