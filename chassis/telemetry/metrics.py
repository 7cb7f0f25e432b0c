"""Prometheus metrics that every service has."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

requests = Histogram(
    "dinkop_http_request_seconds", "Time to answer, in seconds", ["method", "route", "status"], buckets=_SECONDS
)
appended = Counter("dinkop_events_appended_total", "Events appended to this service's store", ["type"])
published = Counter("dinkop_events_published_total", "Events the relay published")
relay_position = Gauge("dinkop_relay_published_position", "Last position that is on the stream")
projection_position = Gauge(
    "dinkop_projection_position", "Last sequence a projection applied", ["projection", "of_service"]
)
projection_batches = Histogram(
    "dinkop_projection_batch_seconds", "Time to fold and commit one batch, in seconds", ["projection"], buckets=_SECONDS
)
failures = Counter("dinkop_background_failures_total", "Times a background part had to start again", ["part"])
