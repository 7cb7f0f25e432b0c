"""The door before every route: who comes in, within which kecamatan, how often; and what is told of who does not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import httpx
import issuing
import pytest
from eventually import eventually
from fastapi import FastAPI, File, Query, Response, UploadFile
from structlog.testing import capture_logs

from chassis.definitions.decider import Missing
from chassis.engine.gate import Gate
from chassis.http.admission import ANYONE, Door, Within
from chassis.http.application import application
from chassis.http.calls import Body, CallOf
from chassis.http.identity import Identity
from chassis.http.issuer_keys import IssuerKeys
from chassis.http.limits import Limits
from chassis.http.routing import Routes
from chassis.http.runtime import Runtime
from contracts.roles import CAMAT, HEAD, OFFICER, OPERATOR

WAGIR, TUMPANG = "35.07.21", "35.07.16"
HERE, THERE, NOWHERE, UNKNOWN = (str(UUID(int=number)) for number in range(1, 5))
PLACES = {HERE: WAGIR, THERE: TUMPANG, NOWHERE: None}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
routes = Routes()


class NoSuchThing(Missing):
    """There is no such thing here."""


class Thing(Body):
    """What a command takes."""

    number: int


async def kecamatan_of(thing_id: UUID) -> str | None:
    """Return where a thing lies."""
    if str(thing_id) not in PLACES:
        raise NoSuchThing
    return PLACES[str(thing_id)]


@routes.get("/open", callers=ANYONE)
async def open_() -> dict[str, str]:
    return {}


@routes.get("/things", callers=(OFFICER, CAMAT), within=Within.LISTED)
async def listed(
    call: CallOf, q: str | None = None, kecamatan_code: Annotated[str | None, Query()] = None
) -> dict[str, Any]:
    return {"kecamatan_code": kecamatan_code, "q": q, "actor": call.metadata["actor"], "own": call.confined_to}


@routes.get("/places/{kecamatan_code}", callers=(OFFICER, CAMAT), within=Within.PATH)
async def place(kecamatan_code: str) -> dict[str, str]:
    return {"kecamatan_code": kecamatan_code}


@routes.get("/overview", callers=(OFFICER, CAMAT), within=Within.SHOWN)
async def overview(call: CallOf) -> dict[str, str | None]:
    return {"own": call.confined_to}


@routes.get("/things/{thing_id}", callers=(OFFICER, CAMAT), within=kecamatan_of)
async def thing(thing_id: UUID) -> dict[str, str]:
    if str(thing_id) not in PLACES:
        raise NoSuchThing
    return {"id": str(thing_id)}


@routes.post("/things/{thing_id}", callers=(OFFICER, CAMAT), within=kecamatan_of)
async def change(thing_id: UUID, body: Thing) -> dict[str, str]:
    return {"id": str(thing_id)}


@routes.post("/files", callers=(OFFICER,))
async def upload(file: Annotated[UploadFile, File()]) -> dict[str, int]:
    return {"size": len(await file.read())}


@routes.get("/page", callers=(OFFICER,))
async def page(response: Response) -> dict[str, str]:
    response.headers.update({"Cache-Control": "private, max-age=60", "Content-Security-Policy": "default-src 'self'"})
    return {}


runtimes: list[Runtime] = []
"""That of the latest service."""
begun: list[str] = []
"""Under which keys a slow command has begun."""
may_end = asyncio.Event()


@routes.post("/slow", callers=(OFFICER,))
async def slow(call: CallOf) -> dict[str, str]:
    begun.append(str(call._idempotency_key))
    await may_end.wait()
    return {}


class Keeps:
    """What a runtime has that these tests never come to."""

    seen = None
    running = ()
    gate = Gate()
    leading = False

    def work(self) -> "Keeps":
        """Return what carries the background work: none here."""
        return self


def service(door: Door) -> FastAPI:
    """Return a service with these routes behind a door."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Runtime]:
        nothing: Any = Keeps()
        runtime = Runtime("registry", frozenset(), nothing, nothing, None, lambda: None, lambda: True, nothing, door)
        runtimes[:] = [runtime]
        yield runtime

    return application("registry", "", [routes], lifespan, ())


@asynccontextmanager
async def served(door: Door | None = None, address: str = "10.1.2.3") -> AsyncIterator[httpx.AsyncClient]:
    """Serve these routes; yield a client at an address, that sends no token unless told so."""
    app = service(door or issuing.door())
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://r") as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client elsewhere, without a token."""
    async with served() as opened:
        yield opened


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check a refusal, and return it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status)
    return problem


OFFICE, CAMAT_OF_WAGIR = issuing.bearer(OFFICER), issuing.bearer(CAMAT, kecamatan_code=WAGIR)

# ---------------------------------------------------------------- who comes in


async def test_nobody_comes_in_without_a_token_and_is_told_how(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things")
    refused(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="dinkop"'
    assert (await client.get("/open")).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer x", "Basic c2l0aTpzaXRp", "token", "\xe9"])
async def test_a_token_that_is_none_is_no_token(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/things", headers=[(b"Authorization", given.encode("latin-1"))])
    refused(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].endswith('error="invalid_token"')


async def test_of_two_tokens_none_counts(client: httpx.AsyncClient) -> None:
    both = [("Authorization", OFFICE["Authorization"]), ("Authorization", CAMAT_OF_WAGIR["Authorization"])]
    refused(await client.get("/things", headers=both), 401, "unauthenticated")


async def test_a_scheme_is_written_in_any_case(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things", headers={"authorization": f"bEARER  {issuing.token(OFFICER)}"})
    assert answer.status_code == 200


async def test_a_role_that_may_not_is_told_who_may(client: httpx.AsyncClient) -> None:
    problem = refused(await client.get("/page", headers=issuing.bearer(HEAD, CAMAT)), 403, "forbidden")
    assert problem["detail"] == "Only officer may do this, and you come as camat, head."
    problem = refused(await client.get("/page", headers=issuing.bearer()), 403, "forbidden")
    assert problem["detail"].endswith("you come as nobody in particular.")


async def test_who_has_several_roles_may_what_any_of_them_may(client: httpx.AsyncClient) -> None:
    assert (await client.get("/page", headers=issuing.bearer(HEAD, OFFICER, "unheard of"))).status_code == 200


async def test_the_subject_of_the_token_is_the_actor(client: httpx.AsyncClient) -> None:
    answer = await client.get("/things", headers=issuing.bearer(OFFICER, sub="siti@kantor"))
    assert answer.json()["actor"] == "siti@kantor"


async def test_nothing_of_nobodys_request_is_read_or_judged(client: httpx.AsyncClient) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"x" * 30_000_000

    for path, headers in (("/files", MULTIPART), ("/files", {}), (f"/things/{HERE}", {}), ("/things/wrong?x=1", {})):
        refused(await client.post(path, content=body(), headers=headers), 401, "unauthenticated")
        refused(await client.post(path, content=body(), headers=headers | issuing.bearer(HEAD)), 403, "forbidden")
    assert not read
    assert (await client.post("/files", files={"file": b"1234"}, headers=OFFICE)).json() == {"size": 4}
    assert (await client.post("/files", content=body(), headers=MULTIPART | OFFICE)).status_code == 413


async def test_before_the_issuers_keys_were_had_nobody_is_called_a_liar() -> None:
    async def fetch() -> Mapping[str, Any]:
        raise OSError

    keys = IssuerKeys(fetch, every=1, ask_again=0)
    identity = Identity(keys, issuer=issuing.ISSUER, audience=issuing.AUDIENCE)
    async with served(Door(identity, Limits(10, 10))) as client:
        answer = await client.get("/things", headers=OFFICE)
        refused(answer, 503, "identity-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        refused(await client.get("/things"), 401, "unauthenticated")
        assert (await client.get("/open")).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_metrics_are_open_to_this_machine(address: str) -> None:
    async with served(address=address) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 200
        refused(await client.get("/things"), 401, "unauthenticated")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "unix"])
async def test_metrics_want_a_token_from_elsewhere_and_any_does(address: str) -> None:
    async with served(address=address) as client:
        refused(await client.get("/metrics"), 401, "unauthenticated")
        assert (await client.get("/metrics", headers=issuing.bearer(OPERATOR))).status_code == 200
        assert (await client.get("/metrics", headers=CAMAT_OF_WAGIR)).status_code == 200
        refused(await client.get("/metrics", headers=issuing.bearer("unheard of")), 403, "forbidden")


# ---------------------------------------------------------------- within which kecamatan


async def test_a_camats_list_is_of_their_kecamatan_asked_for_or_not(client: httpx.AsyncClient) -> None:
    for query in ("", f"?kecamatan_code={WAGIR}", "?q=a%26kecamatan_code%3D35.07.16"):
        shown = (await client.get(f"/things{query}", headers=CAMAT_OF_WAGIR)).json()
        assert (shown["kecamatan_code"], shown["own"]) == (WAGIR, WAGIR), query
    assert shown["q"] == f"a&kecamatan_code={TUMPANG}"
    assert (await client.get("/things", headers=OFFICE)).json()["kecamatan_code"] is None


@pytest.mark.parametrize(
    "query",
    [
        f"kecamatan_code={TUMPANG}",
        f"kecamatan_code={TUMPANG}&kecamatan_code={WAGIR}",
        f"kecamatan_code={WAGIR}&kecamatan_code={TUMPANG}",
        f"kecamatan%5Fcode={TUMPANG}",
        "kecamatan_code=",
        "kecamatan_code",
    ],
)
async def test_a_camat_lists_no_other_kecamatan(client: httpx.AsyncClient, query: str) -> None:
    refused(await client.get(f"/things?{query}", headers=CAMAT_OF_WAGIR), 403, "forbidden")


async def test_a_camat_looks_at_what_lies_in_their_kecamatan(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/things/{HERE}", headers=CAMAT_OF_WAGIR)).status_code == 200
    assert (await client.get(f"/places/{WAGIR}", headers=CAMAT_OF_WAGIR)).status_code == 200
    assert (await client.post(f"/things/{HERE}", json={"number": 1}, headers=CAMAT_OF_WAGIR)).status_code == 201
    assert (await client.get("/overview", headers=CAMAT_OF_WAGIR)).json() == {"own": WAGIR}


async def test_a_camat_is_refused_what_lies_elsewhere_or_nowhere(client: httpx.AsyncClient) -> None:
    for path in (f"/things/{THERE}", f"/things/{NOWHERE}", f"/places/{TUMPANG}"):
        problem = refused(await client.get(path, headers=CAMAT_OF_WAGIR), 403, "forbidden")
        assert WAGIR in problem["detail"]
        assert (await client.get(path, headers=OFFICE)).status_code == 200
    for body in ({"number": 1}, {"number": "none"}, {}):
        refused(await client.post(f"/things/{THERE}", json=body, headers=CAMAT_OF_WAGIR), 403, "forbidden")


async def test_what_there_is_not_is_not_found_for_a_camat_either(client: httpx.AsyncClient) -> None:
    for who in (CAMAT_OF_WAGIR, OFFICE):
        refused(await client.get(f"/things/{UNKNOWN}", headers=who), 404, "no-such-thing")
        problem = refused(await client.get("/things/none", headers=who), 422, "invalid")
        assert len(problem["errors"]) == 1, "told once"


@pytest.mark.parametrize("named", [None, [], [WAGIR, TUMPANG]])
async def test_a_camat_of_no_or_several_kecamatan_is_refused(client: httpx.AsyncClient, named: Any) -> None:
    who = issuing.bearer(CAMAT, kecamatan_code=named)
    for path in ("/things", f"/things/{HERE}", f"/places/{WAGIR}", "/overview"):
        assert "exactly one" in refused(await client.get(path, headers=who), 403, "forbidden")["detail"]


async def test_a_camat_who_is_an_officer_too_is_not_confined(client: httpx.AsyncClient) -> None:
    who = issuing.bearer(CAMAT, OFFICER, kecamatan_code=WAGIR)
    assert (await client.get(f"/things/{THERE}", headers=who)).status_code == 200
    assert (await client.get("/things", headers=who)).json()["kecamatan_code"] is None
    assert (await client.get("/overview", headers=who)).json() == {"own": None}


# ---------------------------------------------------------------- how often


async def test_commands_of_one_caller_are_limited_and_reads_and_others_are_not() -> None:
    door = Door(issuing.door().identity, Limits(writes_per_second=1, failed_tokens_per_minute=1))
    async with served(door) as client:

        async def sent(**who: str) -> httpx.Response:
            return await client.post(f"/things/{HERE}", json={"number": 1}, headers=issuing.bearer(OFFICER, **who))

        assert [(await sent()).status_code for _ in range(10)] == [201] * 10
        answer = await sent()
        refused(answer, 429, "too-many-requests")
        assert 0 < int(answer.headers["retry-after"]) <= 10
        assert (await client.get("/things", headers=OFFICE)).status_code == 200
        assert (await sent(sub="another")).status_code == 201


async def test_tokens_that_fail_are_limited_by_address_and_good_ones_go_on() -> None:
    door = Door(issuing.door().identity, Limits(writes_per_second=1, failed_tokens_per_minute=3))
    async with served(door) as client, served(door, "10.9.9.9") as elsewhere:
        wrong = {"Authorization": "Bearer x"}
        statuses = [(await client.get("/things", headers=wrong)).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        answer = await client.get("/things", headers=wrong)
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert (await client.get("/things", headers=OFFICE)).status_code == 200
        assert (await elsewhere.get("/things", headers=wrong)).status_code == 401


async def test_a_window_ends() -> None:
    limits = Limits(writes_per_second=1, failed_tokens_per_minute=1)
    begun = await asyncio.gather(*(limits.count_write("siti") for _ in range(30)), return_exceptions=True)
    assert sum(each is None for each in begun) == 10


# ---------------------------------------------------------------- what is told


async def test_every_refusal_is_logged_with_who_what_why_and_from_where_and_never_the_token(
    client: httpx.AsyncClient,
) -> None:
    expired, camat = issuing.bearer(OFFICER, exp=1), issuing.bearer(CAMAT, sub="pak-camat", kecamatan_code=WAGIR)
    with capture_logs() as lines:
        await client.get(f"/things/{HERE}")
        await client.get("/things", headers=expired)
        await client.post("/files", headers=camat)
        await client.get(f"/things/{THERE}", headers=camat)
    told = [line for line in lines if line["event"] == "http.refused"]
    assert [(line["status"], line["actor"], line["method"], line["route"]) for line in told] == [
        (401, None, "GET", "/things/{thing_id}"),
        (401, None, "GET", "/things"),
        (403, "pak-camat", "POST", "/files"),
        (403, "pak-camat", "GET", "/things/{thing_id}"),
    ]
    assert {line["address"] for line in told} == {"10.1.2.3"}
    assert "expired" in told[1]["reason"]
    assert told[2]["roles"] == [CAMAT]
    for header in (expired, camat):
        token = header["Authorization"].removeprefix("Bearer ")
        assert not [part for part in (token, *token.split(".")) if part in str(lines)]


async def test_no_answer_can_be_framed_guessed_or_kept(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get(path, headers=headers)
        for path, headers in (("/things", OFFICE), ("/things", {}), ("/open", {}), ("/none", {}), ("/files", {}))
    ]
    answers.append(await client.post("/files", content=b"x", headers={"Content-Length": "99999999"}))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]


async def test_a_route_may_say_otherwise(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/page", headers=OFFICE)).headers
    assert headers.get_list("cache-control") == ["private, max-age=60"]
    assert headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_the_page_of_the_document_may_run_what_it_consists_of(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "https://cdn.jsdelivr.net/" in page.text
    assert "script-src 'unsafe-inline' https://cdn.jsdelivr.net" in policy
    assert "connect-src 'self'" in policy
    assert (await client.get("/openapi.json")).status_code == 200


# ---------------------------------------------------------------- who waits


async def test_attempts_under_one_key_are_made_one_after_another_and_nobody_else_waits(
    client: httpx.AsyncClient,
) -> None:
    async def attempt(key: str | None) -> int:
        headers = OFFICE | ({"Idempotency-Key": key} if key else {})
        return (await client.post("/slow", headers=headers)).status_code

    attempts = [asyncio.create_task(attempt(key)) for key in ("same", "same", "other", None, None)]
    await eventually(lambda: len(begun) == 4)
    assert sorted(begun) == ["None", "None", "other", "same"]
    attempts[0].cancel()  # who gives up leaves the others their turn
    await eventually(lambda: begun.count("same") == 2)
    may_end.set()
    ended = await asyncio.gather(*attempts, return_exceptions=True)
    assert ended[1:] == [201] * 4
    [runtime] = runtimes
    assert len(runtime.turns._locks) == 0
