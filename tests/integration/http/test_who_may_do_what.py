"""Every role at every route of the running services, and every camat's kecamatan: section 8 of the interface."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import issuing
import pytest
from documents import NOBODY, TUMPANG, WAGIR, refused, registered, report, request
from fresh import SERVICES
from roles_by_the_text import EVERY_ROLE, EXPECTED
from structlog.testing import capture_logs
from system import System

from contracts.roles import AGENCY, CAMAT, HEAD, MENTOR, OFFICER

WORDS = ("cooperative_name", "complaint", "letter_number", "team", "redirected_to", "reason", "notes")
OF_NO_KECAMATAN = {"GET /metrics", "GET /v1/policies"}


@dataclass
class Places:
    """In each of two kecamatan a cooperative with a meeting, a plan, a request and an issued report; by its code."""

    cooperatives: dict[str, str]
    requests: dict[str, str]
    reports: dict[str, str]

    def path(self, route: str, code: str, **different: str) -> str:
        """Return the path of a route, about what lies in a kecamatan."""
        named = {
            "cooperative_id": self.cooperatives[code],
            "request_id": self.requests[code],
            "report_id": self.reports[code],
            "report": f"{code}.json",
            "kecamatan_code": code,
            "name": "nothing",
            "key": "nothing",
            "book_year": "2023",
            "rebuild_id": NOBODY,
            "id": NOBODY,
        }
        return route.partition(" ")[2].format(**(named | different))


@pytest.fixture(scope="module")
def places(system: System) -> Places:
    """Make what lies in Wagir and in Tumpang."""
    return asyncio.run(_made(system))


async def _made(system: System) -> Places:
    made = Places({}, {}, {})
    async with (
        system.client("registry") as registry,
        system.client("rat") as rat,
        system.client("mentoring") as mentoring,
        system.client("reporting") as reporting,
    ):
        for code in (WAGIR, TUMPANG):
            id, position = await registered(registry, kecamatan_code=code)
            made.cooperatives[code] = id
            at_least = {"at_least": position}
            for path, body in (
                ("rats", report()),
                ("rat-plans", {"book_year": 2024, "planned_on": "2025-02-01", "venue": "Balai desa"}),
            ):
                answer = await rat.post(f"/v1/cooperatives/{id}/{path}", json=body, params=at_least)
                assert answer.status_code == 201, answer.text
            asked = request(
                cooperative_id=id,
                location={"kecamatan_code": code, "address": "Jl. Raya 12"},
                people=[{"name": "Nama Pemohon", "role": "ketua"}],
                letter_number="1/2024",
            )
            answer = await mentoring.post("/v1/requests", json=asked, params=at_least)
            assert answer.status_code == 201, answer.text
            made.requests[code] = answer.json()["request_id"]
            at_least = {"at_least": f"{position},{answer.headers['dinkop-position']}"}
            issued = {"kecamatan_code": code, "period": "2024-Q3"}
            answer = await reporting.post("/v1/camat-reports", json=issued, params=at_least)
            assert answer.status_code == 201, answer.text
            made.reports[code] = answer.json()["report_id"]
            listed = {"at_least": answer.headers["dinkop-position"]}
            assert (await reporting.get("/v1/camat-reports", params=listed)).status_code == 200
        await mentoring.get("/v1/requests", params={"at_least": "mentoring:2"})
    return made


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends no token unless told so."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        yield client


def camat_of(code: str) -> dict[str, str]:
    """Return the token of a camat."""
    return issuing.bearer(CAMAT, sub=f"camat of {code}", kecamatan_code=code)


WHO: dict[str, dict[str, str]] = {"nobody": {}} | {
    role: camat_of(WAGIR) if role == CAMAT else issuing.bearer(role, sub=role) for role in EVERY_ROLE
}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_role_at_every_route(service: str, system: System, places: Places, http: httpx.AsyncClient) -> None:
    found, expected = {}, {}
    for route, callers in EXPECTED[service].items():
        method = route.partition(" ")[0]
        # What would erase something is asked of what there is not.
        about = {"request_id": NOBODY} if method == "DELETE" else {}
        url = system.urls[service] + places.path(route, WAGIR, **about)
        on_this_machine = route == "GET /metrics"
        for who, token in WHO.items():
            json = {} if method == "POST" else None
            answer = await http.request(method, url, json=json, headers=token)
            if answer.status_code in (401, 403):
                refused(answer, answer.status_code, {401: "unauthenticated", 403: "forbidden"}[answer.status_code])
            assert answer.status_code < 500, (route, who, answer.text)
            found[route, who] = answer.status_code if answer.status_code in (401, 403) else "let in"
            let_in = not callers or who in callers or on_this_machine
            expected[route, who] = "let in" if let_in else 401 if who == "nobody" else 403
    assert found == expected


def routes_of_a_camat() -> list[tuple[str, str]]:
    """Return every route on which it matters where something lies."""
    return [
        (service, route)
        for service, routes in EXPECTED.items()
        for route, callers in routes.items()
        if CAMAT in callers and route not in OF_NO_KECAMATAN
    ]


BODIES: dict[str, Any] = {
    "acknowledgements": {},
    "follow-ups": {"cooperative_id": NOBODY, "action": "Kunjungan"},
}


@pytest.mark.parametrize(("service", "route"), routes_of_a_camat())
async def test_a_camat_stays_in_their_kecamatan(
    service: str, route: str, system: System, places: Places, http: httpx.AsyncClient
) -> None:
    method = route.partition(" ")[0]
    url, body = system.urls[service], BODIES.get(route.rpartition("/")[2])
    own, elsewhere = (places.path(route, code) for code in (WAGIR, TUMPANG))

    async def asked(path: str, who: dict[str, str]) -> httpx.Response:
        return await http.request(method, url + path, json=body, headers=who)

    for token in (camat_of(WAGIR), WHO[OFFICER]):
        # A follow-up about a cooperative that the report does not list is a matter of the report's rules.
        assert (await asked(own, token)).status_code in (200, 201, 409, 422), (await asked(own, token)).text
    if "{" in route:
        refused(await asked(elsewhere, camat_of(WAGIR)), 403, "forbidden")
        assert (await asked(elsewhere, camat_of(TUMPANG))).status_code not in (401, 403)
        return
    everything = (await asked(own, WHO[OFFICER])).json()["items"]
    assert {WAGIR, TUMPANG} <= {item["kecamatan_code"] for item in everything}
    for path in (own,) if route == "GET /v1/kecamatan" else (own, f"{own}?kecamatan_code={WAGIR}"):
        theirs = (await asked(path, camat_of(WAGIR))).json()["items"]
        assert theirs == [item for item in everything if item["kecamatan_code"] == WAGIR]
        assert theirs
    if route != "GET /v1/kecamatan":
        refused(await asked(f"{own}?kecamatan_code={TUMPANG}", camat_of(WAGIR)), 403, "forbidden")


UNKNOWN = {"cooperative_id": NOBODY, "request_id": NOBODY, "report_id": NOBODY, "report": f"{NOBODY}.pdf"}


@pytest.mark.parametrize(
    ("service", "route"), [each for each in routes_of_a_camat() if any(f"{{{name}}}" in each[1] for name in UNKNOWN)]
)
async def test_what_there_is_not_a_camat_does_not_find_as_nobody_does(
    service: str, route: str, system: System, places: Places, http: httpx.AsyncClient
) -> None:
    method, path = route.partition(" ")[0], places.path(route, WAGIR, **UNKNOWN)
    body = BODIES.get(route.rpartition("/")[2])
    answers = [
        await http.request(method, system.urls[service] + path, json=body, headers=who)
        for who in (WHO[OFFICER], camat_of(WAGIR))
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()


async def test_the_total_a_camat_sees_is_of_their_kecamatan(
    system: System, places: Places, http: httpx.AsyncClient
) -> None:
    url = f"{system.urls['reporting']}/v1/kecamatan"
    one = (await http.get(f"{url}/{WAGIR}", headers=WHO[OFFICER])).json()
    theirs = (await http.get(url, headers=camat_of(WAGIR))).json()
    assert (theirs["items"], theirs["total"]) == (one["items"], one["total"])
    every = (await http.get(url, headers=WHO[OFFICER])).json()
    assert every["total"]["registered"] > theirs["total"]["registered"] > 0


async def test_a_cooperative_that_moved_is_its_new_camats_and_its_past_the_former_ones(
    system: System, http: httpx.AsyncClient
) -> None:
    async with system.client("registry") as registry:
        id, _ = await registered(registry, kecamatan_code=TUMPANG)
        moved = await registry.post(
            f"/v1/cooperatives/{id}/relocations",
            json={"kecamatan_code": WAGIR, "address": "Jl. Raya Wagir 1", "effective_on": "2024-03-01"},
        )
    at_least = {"at_least": moved.headers["dinkop-position"]}
    for service, path in (
        ("registry", f"/v1/cooperatives/{id}"),
        ("rat", f"/v1/cooperatives/{id}/rats"),
        ("reporting", f"/v1/health/{id}"),
        ("reporting", f"/v1/cooperatives/{id}/timeline"),
    ):
        url, params = system.urls[service] + path, at_least if service != "registry" else {}
        assert (await http.get(url, params=params, headers=camat_of(WAGIR))).status_code == 200, url
        refused(await http.get(url, params=params, headers=camat_of(TUMPANG)), 403, "forbidden")
        if service == "reporting":
            then = params | {"as_of": "2024-02-29"}
            assert (await http.get(url, params=then, headers=camat_of(TUMPANG))).status_code == 200, url
            refused(await http.get(url, params=then, headers=camat_of(WAGIR)), 403, "forbidden")


async def test_only_who_mentors_reads_the_words_of_a_request(
    system: System, places: Places, http: httpx.AsyncClient
) -> None:
    url = f"{system.urls['mentoring']}/v1/requests/{places.requests[WAGIR]}"
    for role in (OFFICER, MENTOR, HEAD):
        item = (await http.get(url, headers=WHO[role])).json()
        assert (item["complaint"], item["location"]["address"]) == ("RAT belum terlaksana", "Jl. Raya 12")
        people = await http.get(f"{url}/people", headers=WHO[role])
        assert people.json()["items"][0]["name"] == "Nama Pemohon"
    for role in (CAMAT, AGENCY):
        item = (await http.get(url, headers=WHO[role])).json()
        assert [item[name] for name in WORDS] == [None] * len(WORDS)
        assert (item["location"]["address"], item["forgotten"], item["state"]) == (None, False, "requested")
        for path in ("", "/history"):
            text = (await http.get(url + path, headers=WHO[role])).text
            assert not [word for word in ("Nama Pemohon", "terlaksana", "Jl. Raya", "1/2024") if word in text]
        refused(await http.get(f"{url}/people", headers=WHO[role]), 403, "forbidden")


async def test_who_did_it_is_the_subject_of_the_token(system: System, http: httpx.AsyncClient, places: Places) -> None:
    url = f"{system.urls['reporting']}/v1/camat-reports/{places.reports[TUMPANG]}"
    done = {"cooperative_id": places.cooperatives[TUMPANG], "action": "Kunjungan"}
    answer = await http.post(f"{url}/follow-ups", json=done, headers=camat_of(TUMPANG))
    assert answer.status_code == 201, answer.text
    *_, last = (await http.get(f"{url}/history", headers=WHO[OFFICER])).json()["items"]
    assert (last["type"], last["actor"]) == ("CamatFollowUpRecorded", f"camat of {TUMPANG}")


async def test_a_refusal_is_logged_under_the_correlation_id_and_without_the_token(
    system: System, http: httpx.AsyncClient
) -> None:
    token = issuing.bearer(AGENCY, sub="badan-pusat")
    with capture_logs() as lines:
        await http.post(f"{system.urls['registry']}/v1/cooperatives", json={}, headers=token)
    [line] = [line for line in lines if line["event"] == "http.refused" and line["actor"] == "badan-pusat"]
    assert (line["status"], line["route"], line["address"]) == (403, "/v1/cooperatives", "127.0.0.1")
    assert token["Authorization"].split(".")[2] not in str(lines)


async def test_the_camats_page_shows_its_styles_and_nothing_may_frame_it(
    system: System, http: httpx.AsyncClient
) -> None:
    answer = await http.get(f"{system.urls['reporting']}/v1/camat-reports/{WAGIR}.html", headers=camat_of(WAGIR))
    assert "<style>" in answer.text
    assert "style-src 'unsafe-inline'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
