"""The register's list says of every cooperative what its stream says."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.definitions.decider import Rejection
from chassis.definitions.projection import Received
from services.registry.domain import cooperative as co
from services.registry.projections.cooperatives import CooperativeRow, projection
from services.registry.publications import publish

TODAY = date(2024, 11, 14)
MELATI = UUID(int=1)
PLACES = ("35.07.21", "35.07.22", "35.07.25")

registered = co.CooperativeRegistered(name="Melati", legal_entity_date=date(2024, 1, 1), kecamatan_code=PLACES[0])


def listed(events: Sequence[co.CooperativeEvent]) -> CooperativeRow:
    """Return the row that the list shows of these events of one cooperative."""
    time = datetime(2024, 11, 14, tzinfo=UTC)
    received: list[Received[Any]] = [
        Received("registry", type(event).__name__, n, str(UUID(int=n)), str(MELATI), n, time, publish(MELATI, event))
        for n, event in enumerate(events, 1)
    ]
    row = projection.fold(received)[MELATI]
    assert isinstance(row, CooperativeRow)
    return row


def traced(day: int, finding: co.Finding) -> co.TraceCooperative:
    evidence = dict.fromkeys(("signboard_found", "office_found", "members_reached", "operating"), False)
    return co.TraceCooperative(traced_on=date(2024, 2, day), **evidence, finding=finding, today=TODAY)


PROPOSE = co.ProposeRemoval(letter_number="1", letter_date=date(2024, 3, 1), grounds="traced twice", today=TODAY)
places = st.sampled_from(PLACES)
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Melati", "Mawar"]),
        "kecamatan_code": places,
        "village_code": st.builds("{}.2001".format, places),
        "address": st.sampled_from(["Jl. A", "Jl. B"]),
        "members_total": st.integers(0, 2),
    },
)
commands = st.one_of(
    st.builds(traced, st.integers(1, 3), st.sampled_from(["found", "moved", "dormant", "not_found"])),
    changes.map(lambda told: co.CorrectCooperative.model_validate({"changes": told, "reason": "deed", "today": TODAY})),
    st.builds(
        lambda told, source: co.EnterListing.model_validate({"listing": told, "source": source, "today": TODAY}),
        changes,
        st.sampled_from(["ods", "office"]),
    ),
    st.builds(
        lambda place, day: co.RelocateCooperative(
            kecamatan_code=place, address="Jl. C", effective_on=date(2024, 2, day), today=TODAY
        ),
        places,
        st.integers(1, 3),
    ),
    st.just(PROPOSE),
    st.builds(
        lambda decision: co.DecideRemoval(
            decision=decision, decree_number="2", decided_on=date(2024, 3, 2), authority="Ministry", today=TODAY
        ),
        st.sampled_from(["approved", "rejected"]),
    ),
)


PROPOSED = (traced(1, "found"), traced(2, "dormant"), traced(3, "not_found"), PROPOSE)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([(), PROPOSED[:3], PROPOSED]), st.lists(commands, max_size=8))
def test_the_list_shows_what_the_stream_says_whatever_was_asked(
    first: tuple[co.CooperativeCommand, ...], then: list[co.CooperativeCommand]
) -> None:
    history: list[co.CooperativeEvent] = [registered]
    for command in (*first, *then):
        try:
            history += co.decide(command, co.decider.fold(history))
        except Rejection:
            continue
        assert_listed_as_it_is(history)


def assert_listed_as_it_is(history: Sequence[co.CooperativeEvent]) -> None:
    state, row = co.decider.fold(history), listed(history)
    assert row.version == len(history)
    assert row.existence == state.existence
    assert (row.finding, row.traced_on) == (
        (state.found.finding, state.found.traced_on) if state.found else (None, None)
    )
    assert (row.kecamatan_code, row.village_code, row.address) == (
        state.place.kecamatan_code,
        state.place.village_code,
        state.place.address,
    )
    assert (row.name, row.members_total, row.source) == (state.name, state.members_total, state.source)
