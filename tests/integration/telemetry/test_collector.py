"""Where a collector is named, a process sends it its traces, the last ones as it ends."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SENDS = """
from opentelemetry.trace import SpanKind
from chassis.telemetry import tracing
tracing.configure("registry", "{endpoint}")
caller = {{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
with tracing.span("POST /v1/cooperatives", SpanKind.SERVER, caller), tracing.span("append"):
    print(tracing.traceparent())
"""


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """Take OTLP over HTTP as the collector of deploy/observability does; yield its address and what came."""
    came: list[tuple[str, ExportTraceServiceRequest]] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_a_process_did_is_at_the_collector_when_it_has_ended() -> None:
    with collector() as (endpoint, came):
        script = SENDS.format(endpoint=endpoint)
        environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
    assert [path for path, _ in came] == ["/v1/traces"]
    [resource] = came[0][1].resource_spans
    of = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
    assert of["service.name"] == "dinkop-registry"
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert spans.keys() == {"POST /v1/cooperatives", "append"}
    assert {span.trace_id.hex() for span in spans.values()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert spans["POST /v1/cooperatives"].parent_span_id.hex() == "b7ad6b7169203331"
    assert spans["append"].parent_span_id == spans["POST /v1/cooperatives"].span_id
    assert spans["append"].span_id.hex() in done.stdout
