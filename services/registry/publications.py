"""Which of the registry's events the world gets to know, and in which words: one public event for each."""

from typing import assert_never
from uuid import UUID

from contracts import registry
from services.registry.domain.cooperative import (
    CooperativeCorrected,
    CooperativeEvent,
    CooperativeRegistered,
    CooperativeRelocated,
    CooperativeTraced,
    MinistryRecordChanged,
    RemovalApproved,
    RemovalProposed,
    RemovalRejected,
)


def publish(stream_id: UUID, event: CooperativeEvent) -> registry.RegistryEvent:
    """Return the public event of a stored one; `stream_id` is the cooperative."""
    match event:
        case CooperativeRegistered():
            return registry.CooperativeRegistered(cooperative_id=stream_id, **vars(event))
        case CooperativeCorrected():
            return registry.CooperativeCorrected(cooperative_id=stream_id, **event.model_dump(mode="json"))
        case CooperativeRelocated():
            return registry.CooperativeRelocated(cooperative_id=stream_id, **vars(event))
        case MinistryRecordChanged():
            return registry.MinistryRecordChanged(cooperative_id=stream_id, **event.model_dump(mode="json"))
        case CooperativeTraced():
            # The notes stay with the office: they may name people.
            return registry.CooperativeTraced(cooperative_id=stream_id, **event.model_dump(exclude={"notes"}))
        case RemovalProposed():
            return registry.RemovalProposed(cooperative_id=stream_id, **vars(event))
        case RemovalApproved():
            return registry.RemovalApproved(cooperative_id=stream_id, **vars(event))
        case RemovalRejected():
            return registry.RemovalRejected(cooperative_id=stream_id, **vars(event))
        case _:
            assert_never(event)
