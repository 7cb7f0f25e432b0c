"""Prometheus metrics that every service has."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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
failures = Counter("dinkop_background_failures_total", "Times a background part had to start again", ["part"])


def _version() -> str:
    try:
        return version("dinkop")
    except PackageNotFoundError:  # a copy of the code that was never installed
        return "unknown"


build = Gauge("dinkop_build_info", "1; its labels tell which code runs on what", ["version", "python"])
build.labels(_version(), platform.python_version()).set(1)

type Level = tuple[str, tuple[str, ...], float]
"""Name in LEVELS, values of its labels, and how high it stands."""

LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dinkop_leading": ("1 where this process carries the background work; of several replicas, one does", ()),
    "dinkop_writes_accepted": ("1 while commands are accepted", ()),
    "dinkop_database_seen": ("1 when the last look at the database succeeded; 0: what it knows is left out", ()),
    "dinkop_stream_seen": ("1 when the last look at the stream succeeded; told by the process that leads", ()),
    "dinkop_store_position": ("Number of the last event stored", ()),
    "dinkop_relay_backlog": ("Events stored and not on the stream yet", ()),
    "dinkop_reconcile_age_seconds": ("Seconds since store and stream were compared last", ()),
    "dinkop_reconcile_fine": ("1 when that comparison found every event once and in order", ()),
    "dinkop_projection_lag_events": ("Events on the stream that a projection has not applied", ("projection",)),
    "dinkop_projection_lag_seconds": ("Age of the first of them, in seconds; 0 when there is none", ("projection",)),
    "dinkop_projection_stalled": ("1 when nothing moved for a minute with something to do", ("projection",)),
    "dinkop_projection_paused": ("1 while an operator has paused it", ("projection",)),
    "dinkop_projection_generation": ("Number of the live generation", ("projection",)),
    "dinkop_projection_outdated": ("1 when the live generation is not of the code that runs", ("projection",)),
    "dinkop_parked_events": ("Events set aside because they could not be applied", ("consumer",)),
    "dinkop_rebuild_running": ("1 while it runs", ("projection", "kind")),
    "dinkop_rebuild_events_done": ("Events it has replayed", ("projection", "kind")),
    "dinkop_rebuild_events_total": ("Events it has to replay", ("projection", "kind")),
}
"""What stands at some height at any moment: name -> (meaning, labels)."""


class _OneMoment(Collector):
    def __init__(self, levels: Iterable[Level]) -> None:
        self._levels = levels

    def collect(self) -> Iterable[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in self._levels:
            meaning, named = LEVELS[name]
            family = families.setdefault(name, GaugeMetricFamily(name, meaning, labels=named))
            family.add_metric(labels, value)
        return families.values()


def exposed(levels: Iterable[Level]) -> bytes:
    """Return everything measured in Prometheus' text format, with these levels of the present.

    They are made for one answer and kept nowhere, so that what isn't known any more isn't told any more.
    """
    registry = CollectorRegistry()
    registry.register(_OneMoment(levels))
    return generate_latest() + generate_latest(registry)
