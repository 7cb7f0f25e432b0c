"""Loading the demonstration: what is sent, in which order, and what happens when a load is cut off and run again."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest

from dinkop.demonstration.calls import COOPERATIVE_ID, REPORT_ID, REQUEST_ID
from dinkop.demonstration.load import LoadFailed, Summary, load
from dinkop.demonstration.regency import SNAPSHOTS, regency
from dinkop.demonstration.stories import commands

URLS = {name: f"http://{name}" for name in ("registry", "rat", "mentoring", "reporting")}

NAMED = {"/v1/requests": "request_id", "/v1/camat-reports": "report_id"}
"""What is made anew gets an id in the answer."""


class System:
    """A stand-in for the services that answers as the interface says, and remembers what it accepted."""

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
            return self.listed(request) if request.url.path == "/v1/cooperatives" else httpx.Response(200, json={})
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
        headers = {"Dinkop-Position": f"{request.url.host}:{1000 + len(self.accepted)}"}
        if request.url.path in NAMED:
            name = NAMED[request.url.path]
            return httpx.Response(201, json={name: f"{name} {len(self.accepted)}", "version": 1}, headers=headers)
        if request.url.path != "/v1/imports":
            return httpx.Response(201, json={"version": 1}, headers=headers)
        rejected = 1 if self.reject_rows else 0
        return httpx.Response(200, json={"rows": 1387, "rejected": rejected, "rejections": []}, headers=headers)

    def listed(self, request: httpx.Request) -> httpx.Response:
        """Answer a page of cooperatives."""
        start, limit = int(request.url.params.get("cursor", "0")), int(request.url.params.get("limit", "100"))
        cooperatives = regency().cooperatives
        items = [{"nik": one.nik, "cooperative_id": id_of(one.nik)} for one in cooperatives[start : start + limit]]
        following = str(start + limit) if start + limit < len(cooperatives) else None
        return httpx.Response(200, json={"items": items, "next_cursor": following})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.handle))


def id_of(nik: str) -> str:
    """Return the id this stand-in gave a cooperative."""
    return str(uuid5(NAMESPACE_URL, nik))


def shape(made: tuple[str, str]) -> tuple[str, str]:
    """Return a service and a path without the id in it."""
    service, path = made
    return service, re.sub(r"^(/v1/[a-z-]+)/[^/]+", r"\1/…", path)


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
    assert Counter(map(shape, made)) == Counter(shape((call.service, call.path)) for call in commands(regency()))
    about = {call.nik for call in commands(regency()) if call.nik and COOPERATIVE_ID in call.path}
    assert {path.split("/")[3] for _, path in made if path.startswith("/v1/cooperatives/")} == set(map(id_of, about))
    assert summary.cooperatives == 1387
    assert summary.calls == len(made)
    assert [len(answers) for answers in summary.imports.values()] == [4, 4]


async def test_calls_about_the_same_keep_their_order() -> None:
    system = System()
    await loaded_into(system)
    keys = [request.headers["Idempotency-Key"] for request in system.requests if request.method == "POST"]
    places = {key: place for place, key in enumerate(keys)}
    told = defaultdict(list)
    for call in commands(regency()):
        told[call.about].append(places[str(call.idempotency_key)])
    assert max(map(len, told.values())) > 10
    assert all(order == sorted(order) for order in told.values())


async def test_what_is_done_about_a_request_or_report_carries_the_id_it_was_given() -> None:
    system = System()
    await loaded_into(system)
    answers = {key: answer.json() for (_, key), (_, answer) in system.answers.items()}
    paths = {request.headers.get("Idempotency-Key"): request.url.path for request in system.requests}
    given: dict[str, str] = {}
    followed = 0
    for call in commands(regency()):
        key = str(call.idempotency_key)
        if name := NAMED.get(call.path):
            given[call.about] = answers[key][name]
        elif REQUEST_ID in call.path or REPORT_ID in call.path:
            assert given[call.about] in paths[key]
            followed += 1
    assert followed > 100


async def test_bodies_name_the_cooperative_they_are_about() -> None:
    system = System()
    await loaded_into(system)
    bodies = {
        request.headers["Idempotency-Key"]: json.loads(request.content)
        for request in system.requests
        if request.method == "POST" and request.url.path != "/v1/imports"
    }
    named = [call for call in commands(regency()) if call.body.get("cooperative_id")]
    assert {call.kind for call in named} == {"requests", "follow-ups"}
    for call in named:
        assert call.nik
        assert bodies[str(call.idempotency_key)] == call.body | {"cooperative_id": id_of(call.nik)}


async def test_mentoring_is_told_how_far_registry_was_always_the_same_way() -> None:
    system = System()
    await loaded_into(system)
    told = {r.url.params["at_least"] for r in system.requests if r.url.host == "mentoring" and r.method == "POST"}
    assert told == {"registry:1007"}


async def test_reports_are_issued_when_reporting_knows_of_everything_else() -> None:
    system = System()
    await loaded_into(system)
    [asked] = [at for at, request in enumerate(system.requests) if request.url.path == "/v1/kecamatan"]
    accepted = {request.url.host for request in system.requests[:asked] if request.method == "POST"}
    after = [request for request in system.requests[asked:] if request.method == "POST"]
    assert accepted == {"registry", "rat", "mentoring"}
    assert {request.url.host for request in after} == {"reporting"}
    answers = [answer for (service, _), (_, answer) in system.answers.items() if service == "rat"]
    last = max(answers, key=lambda answer: int(answer.headers["Dinkop-Position"].removeprefix("rat:")))
    assert last.headers["Dinkop-Position"] in system.requests[asked].url.params["at_least"].split(",")


@pytest.mark.parametrize("requests", [0, 1, 2, 8, 9, 12, 40, 300, 466, 530])
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
    calls = list(commands(regency()))
    totals = {"exports": 4, "records": sum(call.service != "reporting" for call in calls)}
    totals["camat reports"] = len(calls) - totals["records"]
    assert told == [(what, done, total) for what, total in totals.items() for done in range(total + 1)]
