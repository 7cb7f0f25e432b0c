"""Where a visitor is sent: to what is there, and never to what is not."""

from typing import Any

import httpx

from dinkop.demonstration.tour import sights

SERVICES = {name: f"http://{name}" for name in ("registry", "rat", "mentoring", "reporting")}
ITEMS = {
    "registry": {"cooperative_id": "c-1", "name": "Koperasi Tani Ngudi Saras"},
    "mentoring": {"request_id": "q-1"},
    "reporting": {"report_id": "r-1"},
}


async def seen(items: dict[str, Any], broken: str = "") -> list[str]:
    """Return where a visitor is sent when each service lists one of `items`, and one of them is broken."""

    def answer(request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if host == broken:
            raise httpx.ConnectError("connection refused", request=request)
        return httpx.Response(200, json={"items": [items[host]] if host in items else []})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return [command.rpartition(" ")[2].strip("'") async for _, command in sights(SERVICES, client=client)]


ANYWHERE = ["http://reporting/v1/kecamatan", "http://reporting/v1/kecamatan/35.07.21"]
REPORT = "http://reporting/v1/camat-reports/r-1.pdf"
COOPERATIVE = ["http://reporting/v1/health/c-1", "http://reporting/v1/cooperatives/c-1/timeline"]


async def test_a_visitor_is_sent_through_the_story_of_wagir() -> None:
    assert await seen(ITEMS) == [*ANYWHERE, REPORT, *COOPERATIVE, "http://mentoring/v1/requests/q-1"]


async def test_a_home_that_holds_something_else_has_no_story_to_show() -> None:
    assert await seen({}) == ANYWHERE


async def test_a_service_that_does_not_answer_hides_only_what_it_would_have_told() -> None:
    assert await seen(ITEMS, broken="registry") == [*ANYWHERE, REPORT]
    assert await seen(ITEMS, broken="mentoring") == [*ANYWHERE, REPORT, *COOPERATIVE]
