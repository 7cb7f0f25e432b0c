"""What is seen of a service, as Prometheus takes it."""

from collections.abc import Iterator, Sequence

from chassis.operations.state import ServiceState
from chassis.storage.rebuilds import Record
from chassis.telemetry.metrics import Level


def levels(seen: ServiceState, running: Sequence[Record]) -> Iterator[Level]:
    """Yield how everything stands; what isn't known here, because another replica leads, is left out."""
    for name, labels, value in _levels(seen, running):
        if value is not None:
            yield name, labels, float(value)


def _levels(seen: ServiceState, running: Sequence[Record]) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    yield "dinkop_leading", (), seen.leading
    yield "dinkop_store_position", (), seen.store.position
    yield "dinkop_relay_backlog", (), seen.relay.backlog
    yield "dinkop_writes_accepted", (), seen.writes.accepted
    if seen.reconciled:
        yield "dinkop_reconcile_age_seconds", (), seen.reconciled.age_seconds
        yield "dinkop_reconcile_fine", (), seen.reconciled.fine
    for item in seen.items:
        if not item.live:
            continue
        label = (item.name.partition(".")[2],)
        yield "dinkop_projection_lag_events", label, item.lag_events
        yield "dinkop_projection_lag_seconds", label, item.lag_seconds
        yield "dinkop_projection_stalled", label, item.stalled
        yield "dinkop_projection_paused", label, item.paused
        yield "dinkop_projection_generation", label, item.generation
        yield "dinkop_parked_events", label, item.parked
        yield "dinkop_projection_outdated", label, item.version != item.code_version
    for consumer, count in seen.parked_reactions.items():
        yield "dinkop_parked_events", (consumer,), count
    for record in running:
        of = (record.projection, record.kind)
        yield "dinkop_rebuild_running", of, True
        yield "dinkop_rebuild_events_done", of, record.progress.get("events")
        yield "dinkop_rebuild_events_total", of, record.progress.get("total")
