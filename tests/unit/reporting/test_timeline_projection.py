"""The timeline projection: every public event about a cooperative, once, with when it happened and was recorded."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.definitions.projection import Received
from contracts import mentoring, rat, registry, reporting
from contracts.envelope import PublicEvent
from contracts.examples import EXAMPLES, Example
from services.reporting.api.sentences import sentence
from services.reporting.projections.timeline import HAPPENED_ON, TimelineRow, event_of, projection

ABOUT_COOPERATIVES = [
    event
    for contract in (registry, rat, mentoring, reporting)
    for event in contract.EVENTS
    if "cooperative_id" in event.model_fields
]
TOLD = [
    replace(example, event=example.event.model_copy(update={"cooperative_id": UUID(int=1)}))
    for example in EXAMPLES
    if type(example.event) in ABOUT_COOPERATIVES
]


def received(example: Example) -> Received[Any]:
    envelope, event = example.envelope, example.event
    data = projection.decoders[envelope.service, envelope.type](event.model_dump_json(by_alias=True).encode())
    return Received.of(envelope, data)


def rows_of(examples: Iterable[Example]) -> dict[Any, TimelineRow]:
    return projection.fold(received(example) for example in examples)


def an(event: PublicEvent, recorded: datetime) -> Example:
    like = next(example for example in EXAMPLES if type(example.event) is type(event))
    return replace(like, event=event, envelope=like.envelope._replace(time=recorded))


def test_every_public_event_about_a_cooperative_belongs_to_its_timeline() -> None:
    assert set(HAPPENED_ON) == set(ABOUT_COOPERATIVES)


@pytest.mark.parametrize("example", TOLD, ids=[example.envelope.type for example in TOLD])
def test_an_entry_holds_the_event_as_it_was_published_and_can_be_told(example: Example) -> None:
    [row] = rows_of([example]).values()
    assert (row.event_id, row.service, row.type) == (
        example.envelope.id,
        example.envelope.service,
        example.envelope.type,
    )
    assert row.cooperative_id == getattr(example.event, "cooperative_id")  # noqa: B009
    assert row.recorded_at == example.envelope.time
    assert json.loads(row.data) == example.event.model_dump(mode="json")
    assert event_of(row) == example.event
    told = sentence(event_of(row))
    assert told.endswith(".")
    assert not told.endswith("..")
    assert "None" not in told


def test_one_row_an_event_however_often_it_is_told_and_in_whatever_order() -> None:
    assert len(rows_of(TOLD)) == len(TOLD)
    assert rows_of([*TOLD[::-1], *TOLD]) == rows_of(TOLD)


def test_an_event_happened_on_its_own_day_and_else_when_it_was_recorded_in_jakarta() -> None:
    about: dict[str, Any] = {"cooperative_id": UUID(int=1), "kecamatan_code": None, "book_year": 2023}
    late_in_the_evening = datetime(2024, 3, 1, 18, 0, tzinfo=UTC)
    held = rat.RATHeld(**about, held_on=date(2024, 2, 1), source="office")
    annulled = rat.RATAnnulled(**about, reason="x")
    planned = rat.RATPlanned(**about, planned_on=date(2024, 5, 6), venue="x")
    days = [
        row.happened_on
        for event in (held, annulled, planned)
        for row in rows_of([an(event, late_in_the_evening)]).values()
    ]
    assert days == [date(2024, 2, 1), date(2024, 3, 2), date(2024, 3, 2)]


def test_a_cooperative_without_a_founding_day_was_registered_when_it_was_recorded() -> None:
    event = registry.CooperativeRegistered(
        cooperative_id=UUID(int=1), kecamatan_code=None, name="x", legal_entity_number=None, legal_entity_date=None
    )
    [row] = rows_of([an(event, datetime(2024, 3, 1, 5, 0, tzinfo=UTC))]).values()
    assert row.happened_on == date(2024, 3, 1)


def test_a_request_for_a_cooperative_nobody_knows_is_on_no_timeline() -> None:
    example = next(each for each in EXAMPLES if isinstance(each.event, mentoring.MentoringRequested))
    unknown = replace(example, event=example.event.model_copy(update={"cooperative_id": None}))
    assert rows_of([unknown]) == {}


def test_the_row_has_the_columns_of_the_table_in_its_order() -> None:
    assert [column.name for column in projection.table.columns] == list(TimelineRow.__struct_fields__)
