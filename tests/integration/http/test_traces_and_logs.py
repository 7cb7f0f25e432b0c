"""One request makes one trace, through the store and the stream into every read model; its log line says which."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import httpx
import nats as nats_py
import pytest
from documents import refused, registration
from eventually import eventually
from fresh import SERVICES
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from system import System

from chassis.telemetry import tracing
from contracts.envelope import STREAM

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans(system: System) -> Iterator[InMemorySpanExporter]:
    """The spans that the services record meanwhile."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.record(provider)
    yield exporter
    tracing.record(None)
    provider.shutdown()


def of_trace(exporter: InMemorySpanExporter, trace_id: str) -> dict[str, ReadableSpan]:
    """Return the finished spans of a trace by name."""
    found = [span for span in exporter.get_finished_spans() if span.context]
    return {span.name: span for span in found if span.context and f"{span.context.trace_id:032x}" == trace_id}


async def test_a_request_is_followed_through_the_stream_into_every_read_model(
    system: System, registry: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Correlation-Id": "follow-me"}
    answer = await registry.post("/v1/cooperatives", json=registration(), headers=headers)
    assert answer.status_code == 201
    expected = {
        "POST /v1/cooperatives",
        "RegisterCooperative",
        "append",
        "publish CooperativeRegistered",
        "cooperatives CooperativeRegistered",
        "health_status CooperativeRegistered",
    }

    async def complete() -> bool:
        return expected <= of_trace(spans, TRACE).keys()

    await eventually(complete, 30)
    trace = of_trace(spans, TRACE)
    request, command, applied = (
        trace[name] for name in ("POST /v1/cooperatives", "RegisterCooperative", "health_status CooperativeRegistered")
    )
    assert request.parent
    assert f"{request.parent.span_id:016x}" == CALLER
    assert request.kind is SpanKind.SERVER
    assert request.attributes
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["dinkop.correlation_id"] == "follow-me"
    assert command.parent
    assert request.context
    assert command.parent.span_id == request.context.span_id
    assert applied.kind is SpanKind.CONSUMER
    assert command.context
    assert applied.parent
    assert applied.parent.span_id == command.context.span_id
    for name, kind in (("append", SpanKind.INTERNAL), ("publish CooperativeRegistered", SpanKind.PRODUCER)):
        assert trace[name].kind is kind
        parent = trace[name].parent
        assert parent
        assert parent.span_id == command.context.span_id, name

    client = await nats_py.connect(system.nats_url)
    message = await client.jetstream().get_last_msg(STREAM, "dinkop.v1.registry.CooperativeRegistered.350721")
    await client.close()
    assert message.headers
    assert message.headers["traceparent"] == f"00-{TRACE}-{command.context.span_id:016x}-01"
    assert applied.attributes
    assert applied.attributes["dinkop.event.id"] == message.headers["ce-id"]


async def test_a_request_without_a_trace_begins_one(registry: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    assert (await registry.post("/v1/cooperatives", json=registration())).status_code == 201

    async def followed() -> bool:
        names: dict[int, set[str]] = {}
        for span in spans.get_finished_spans():
            assert span.context
            names.setdefault(span.context.trace_id, set()).add(span.name)
        return any({"POST /v1/cooperatives", "health_status CooperativeRegistered"} <= each for each in names.values())

    await eventually(followed, 30)


async def test_nothing_is_recorded_when_tracing_is_off_but_a_traceparent_still_travels(
    system: System, registry: httpx.AsyncClient
) -> None:
    assert not tracing.recording()
    given = f"00-{TRACE[::-1]}-{CALLER}-01"
    answer = await registry.post("/v1/cooperatives", json=registration(), headers={"traceparent": given})
    cooperative_id = answer.json()["cooperative_id"]
    client = await nats_py.connect(system.nats_url)

    async def published() -> bool:
        message = await client.jetstream().get_last_msg(STREAM, "dinkop.v1.registry.CooperativeRegistered.350721")
        assert message.headers
        return (message.headers["ce-subject"], message.headers.get("traceparent")) == (cooperative_id, given)

    await eventually(published)
    await client.close()


async def test_a_log_line_tells_what_was_answered_under_which_correlation_id(registry: httpx.AsyncClient) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await registry.get("/nothing", headers={"X-Correlation-Id": "seek-me"})
        refused(answer, 404, "not-found")

        async def told() -> bool:
            return any(line.get("correlation_id") == "seek-me" for line in lines)

        await eventually(told)
    [line] = [line for line in lines if line.get("correlation_id") == "seek-me"]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("http.answered", "GET", "/nothing", 404)


async def test_probes_and_scrapes_leave_no_traces(registry: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/v1/cooperatives"):
        assert (await registry.get(path)).status_code == 200

    async def names() -> set[str]:
        return {span.name for span in spans.get_finished_spans()}

    await eventually(lambda: _contains(names, "GET /v1/cooperatives"))
    assert not {f"GET {path}" for path in ("/livez", "/readyz", "/metrics")} & await names()


async def _contains(names: Callable[[], Awaitable[set[str]]], name: str) -> bool:
    return name in await names()


async def test_one_correlation_id_leads_from_the_request_to_the_commit_of_every_read_model(
    system: System, registry: httpx.AsyncClient
) -> None:
    wanted = {("http.answered", None), ("events.appended", None), ("events.published", None)}
    wanted |= {
        ("projection.committed", projection.name)
        for service in SERVICES.values()
        for projection in service.projections
        if "registry" in projection.services
    }
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await registry.post(
            "/v1/cooperatives", json=registration(), headers={"X-Correlation-Id": "through-all-of-it"}
        )
        assert answer.status_code == 201

        def of_it() -> list[MutableMapping[str, Any]]:
            return [line for line in lines if "through-all-of-it" in str(line)]

        await eventually(lambda: {(line["event"], line.get("projection")) for line in of_it()} >= wanted, 30)
    number = int(answer.headers["dinkop-position"].partition(":")[2])
    told = of_it()
    assert {line["log_level"] for line in told} == {"info"}
    # What reporting announces of it soon bears the id too, in lines of reporting's own numbers.
    appended = [(line["types"], line["last"]) for line in told if line["event"] == "events.appended"]
    assert [each for each in appended if "CooperativeRegistered" in each[0]] == [({"CooperativeRegistered": 1}, number)]
    published = [line for line in told if line["event"] == "events.published"]
    assert any(line["first"] <= number <= line["last"] for line in published)
    committed = [line for line in told if line["event"] == "projection.committed"]
    assert all(line["positions"]["registry"] >= number for line in committed)
    assert len(told) < 2 * len(wanted), "one line a batch, not one an event"


async def test_an_import_of_many_rows_is_followed_in_a_line_a_batch(
    system: System, registry: httpx.AsyncClient
) -> None:
    rows = [f"KSP {n},L-{n}/BH,05/01/2010,Wagir,3507219{n:06d},,,42" for n in range(300)]
    header = "Koperasi,Nomor Badan Hukum Pendirian,Tanggal Badan Hukum Pendirian,Kecamatan,Nomor Induk Koperasi (NIK)"
    file = "\n".join([f"{header},Tanggal RAT Terakhir,Status Grade,Total Anggota", *rows]).encode()
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await registry.post(
            "/v1/imports?source=ods", files={"file": ("ods.csv", file)}, headers={"X-Correlation-Id": "a-whole-list"}
        )
        assert (answer.status_code, answer.json()["registered"]) == (200, 300), answer.text

        def of_it() -> list[MutableMapping[str, Any]]:
            return [line for line in lines if "a-whole-list" in str(line)]

        def committed() -> int:
            return sum(line.get("projection") == "timeline" for line in of_it())

        await eventually(committed, 30)
    appended = [line for line in of_it() if line["event"] == "events.appended"]
    assert sum(line["types"].get("CooperativeRegistered", 0) for line in appended) == 300
    assert len(of_it()) < 100
