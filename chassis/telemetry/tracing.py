"""OpenTelemetry traces that follow a request through its events: the context travels as `traceparent`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import context, propagate, trace
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, Span, SpanKind, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_nowhere = NoOpTracer()
_unrecorded = nullcontext(INVALID_SPAN)
_tracer: Tracer = _nowhere


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
    record(provider)


def record(provider: TracerProvider | None) -> None:
    """Record spans from now on with this provider; with None, no more."""
    global _tracer
    _tracer = provider.get_tracer("dinkop") if provider else _nowhere


def recording() -> bool:
    """Tell whether spans are kept anywhere: work that only a trace needs is done only then."""
    return _tracer is not _nowhere


def follow(
    name: str, begun: int, messages: Iterable[tuple[str, Mapping[str, str]]], kind: SpanKind = SpanKind.CONSUMER
) -> None:
    """Record what was just done with messages: a span each, in the trace of what caused it.

    `begun` is in nanoseconds since 1970; each message is its type and its headers.
    """
    for type_, headers in messages:
        if "traceparent" in headers:
            parent = _propagator.extract(dict(headers))
            attributes = {"dinkop.event.id": headers["ce-id"], "dinkop.event.sequence": headers["ce-sequence"]}
            _tracer.start_span(f"{name} {type_}", parent, kind, attributes, start_time=begun).end()


def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, carrier: Mapping[str, str] | None = None
) -> AbstractContextManager[Span]:
    """Open a span; `carrier` holds the `traceparent` of what caused it when that came from elsewhere."""
    # Every command opens two, and mostly nobody looks: then they cost nothing.
    return _span(name, kind, carrier) if carrier or recording() else _unrecorded


@contextmanager
def _span(name: str, kind: SpanKind, carrier: Mapping[str, str] | None) -> Iterator[Span]:
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
