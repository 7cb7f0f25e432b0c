"""One request makes one trace, through the store and the stream into every read model; its log line says which."""

from collections.abc import Iterator

import httpx
import nats as nats_py
import pytest
from documents import refused, registration
from eventually import eventually
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
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    answer = await registry.post("/v1/cooperatives", json=registration(), headers=headers)
    assert answer.status_code == 201
    expected = {
        "POST /v1/cooperatives",
        "RegisterCooperative",
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
    assert command.parent
    assert request.context
    assert command.parent.span_id == request.context.span_id
    assert applied.kind is SpanKind.CONSUMER
    assert command.context
    assert applied.parent
    assert applied.parent.span_id == command.context.span_id

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
