"""What is seen of a service, as Prometheus takes it."""

from collections.abc import Iterator, Sequence

from chassis.operations.state import ServiceState
from chassis.storage.rebuilds import Record
from chassis.telemetry.metrics import Level


def levels(leading: bool, accepting: bool, seen: ServiceState | None, running: Sequence[Record]) -> Iterator[Level]:
    """Yield how everything stands; what isn't known here, because another replica leads, is left out.

    Whether this process leads and accepts commands it knows by itself, also while its database is away (`seen` is
    None): the moment at which somebody wants to be told.
    """
    yield "dinkop_leading", (), float(leading)
    yield "dinkop_writes_accepted", (), float(accepting)
    yield "dinkop_database_seen", (), float(seen is not None)
    if seen is None:
        return
    for name, labels, value in _levels(seen, running):
        if value is not None:
            yield name, labels, float(value)


def _levels(seen: ServiceState, running: Sequence[Record]) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    yield "dinkop_stream_seen", (), _stream_seen(seen)
    yield "dinkop_store_position", (), seen.store.position
    yield "dinkop_relay_backlog", (), seen.relay.backlog
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


def _stream_seen(seen: ServiceState) -> bool | None:
    """Tell whether the stream answered: who leads asks it how far it goes, as soon as there is a live generation."""
    live = [item for item in seen.items if item.live]
    return any(item.head for item in live) if seen.leading and live else None
