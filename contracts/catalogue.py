"""Every public event there is."""

from collections.abc import Mapping

from contracts import mentoring, operations, rat, registry, reporting
from contracts.envelope import PublicEvent

type Address = tuple[str, str, int]
"""(service, event type, schema version)."""

EVENTS: tuple[type[PublicEvent], ...] = (
    *registry.EVENTS,
    *rat.EVENTS,
    *mentoring.EVENTS,
    *reporting.EVENTS,
    *operations.EVENTS,
)

CATALOGUE: Mapping[Address, type[PublicEvent]] = {
    (event.service, event.type_name(), event.schema_version): event for event in EVENTS
}
