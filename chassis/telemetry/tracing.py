"""OpenTelemetry traces that follow a request through its events: the context travels as `traceparent`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("dinkop")


def configure(service: str, otlp_endpoint: str | None) -> None:
    """Export traces to a collector. Without an endpoint nothing is recorded, but `traceparent` still travels."""
    propagate.set_global_textmap(_propagator)
    if otlp_endpoint is None:
        return
    # The SDK and exporter cost memory: only who uses them pays.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"dinkop-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{otlp_endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, carrier: Mapping[str, str] | None = None) -> Iterator[Span]:
    """Open a span; `carrier` holds the `traceparent` of what caused it when that came from elsewhere."""
    parent = _propagator.extract(dict(carrier)) if carrier and "traceparent" in carrier else None
    token = context.attach(parent) if parent else None
    try:
        with _tracer.start_as_current_span(name, kind=kind) as current:
            yield current
    finally:
        if token:
            context.detach(token)


def traceparent() -> str | None:
    """Return the present context as a W3C `traceparent`, or None outside any trace."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")
