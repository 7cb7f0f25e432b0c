"""The rules of one cooperative."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.definitions.decider import Claim, Invalid, Missing, Rejection
from chassis.testing.decider_spec import DeciderSpec
from services.registry.domain import cooperative as co

TODAY = date(2024, 11, 14)
WAGIR, DAU, LAWANG = "35.07.21", "35.07.22", "35.07.25"
NIK = "3507210030001"
spec = DeciderSpec(co.decider)

registered = co.CooperativeRegistered(
    name="Koperasi Wanita Melati",
    legal_entity_number="488/BH/XVI.14/ VIII /2015",
    legal_entity_date=date(2015, 8, 3),
    kecamatan_code=WAGIR,
    village_code=f"{WAGIR}.2003",
    address="Jl. Raya Wagir 12",
)
moved = co.CooperativeRelocated(kecamatan_code=DAU, address="Jl. Raya Dau 1", effective_on=date(2020, 1, 1))


def registration(**changes: Any) -> co.Registration:
    """Return what somebody tells, as the API hands it on."""
    return co.Registration.model_validate(
        {
            "name": "Koperasi Wanita Melati",
            "legal_entity_number": "488/BH/XVI.14/ VIII /2015",
            "legal_entity_date": "2015-08-03",
            "kecamatan_code": WAGIR,
            **changes,
        }
    )


def register(**changes: Any) -> co.RegisterCooperative:
    return co.RegisterCooperative(registration=registration(**changes), today=TODAY)


def correct(**changes: Any) -> co.CorrectCooperative:
    return co.CorrectCooperative.model_validate({"changes": changes, "reason": "seen on the deed", "today": TODAY})


def relocate(**changes: Any) -> co.RelocateCooperative:
    values = {"kecamatan_code": DAU, "address": "Jl. Raya Dau 1", "effective_on": "2020-01-01", "today": TODAY}
    return co.RelocateCooperative.model_validate({**values, **changes})


def enter(**listing: Any) -> co.EnterListing:
    return co.EnterListing.model_validate({"listing": listing, "source": "ods", "today": TODAY})


def test_a_registered_cooperative_is_a_primary_one_of_the_regency_entered_by_hand_unless_told_otherwise() -> None:
    spec.given().when(register(village_code=f"{WAGIR}.2003", address="Jl. Raya Wagir 12")).then(registered)
    assert (registered.tier, registered.scope, registered.source) == ("primary", "regency", "manual")


def test_a_cooperative_is_registered_once() -> None:
    spec.given(registered).when(register()).then_refused(co.AlreadyRegistered)
    assert co.AlreadyRegistered.slug == "already-registered"
    assert co.AlreadyRegistered.status == 409


def test_a_cooperative_cannot_have_become_a_legal_entity_in_the_future() -> None:
    spec.given().when(register(legal_entity_date="2024-11-15")).then_refused(co.InTheFuture, "legal_entity_date")
    assert spec.given().when(register(legal_entity_date="2024-11-14")).decided()


def test_a_village_must_lie_in_the_kecamatan() -> None:
    spec.given().when(register(village_code=f"{DAU}.2003")).then_refused(co.VillageElsewhere, "village_code")


@pytest.mark.parametrize(
    "told",
    [
        {"nik": "350721003000"},
        {"nik": "35072100300０1"},
        {"nik": 3507210030001},
        {"name": "  "},
        {"name": "Koperasi\0"},
        {"name": "Koperasi\nDua"},
        {"name": "Koperasi \ud800"},
        {"name": "K" * 201},
        {"name": None},
        {"legal_entity_date": 1439000000},
        {"legal_entity_date": "2015-8-3"},
        {"legal_entity_date": "2015-08-03T00:00:00"},
        {"legal_entity_date": "1899-12-31"},
        {"legal_entity_date": "2015-02-29"},
        {"kecamatan_code": "350721"},
        {"kecamatan_code": "35.07.21\n"},
        {"members_total": 12.0},
        {"members_total": True},
        {"members_total": -1},
        {"members_total": 10**8 + 1},
        {"tier": "tertiary"},
        {"existence": "found"},
        {"kecamatan_text": "Wagir"},
    ],
)
def test_a_registration_with_a_value_that_cannot_be_right_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registration(**told)


def test_text_is_trimmed() -> None:
    assert registration(name="  Koperasi Melati ").name == "Koperasi Melati"


def test_the_nik_and_the_number_in_its_normalised_form_are_claimed() -> None:
    state = co.decider.fold([registered.model_copy(update={"nik": NIK, "legal_entity_number": "488/bh/ viii /2015"})])
    assert co.holds(state) == {Claim("nik", NIK), Claim("legal_entity_number", "488/BH/VIII/2015", NIK)}
    assert co.holds(co.decider.fold([registered])) == {Claim("legal_entity_number", "488/BH/XVI.14/VIII/2015", None)}
    assert co.holds(co.decider.initial) == frozenset()


def test_a_corrected_nik_is_claimed_in_place_of_the_old_one() -> None:
    with_nik = registered.model_copy(update={"nik": "3507210030002"})
    corrected = co.CooperativeCorrected(changes={"nik": NIK}, reason="typing error", kecamatan_code=WAGIR)
    state = co.decider.fold([with_nik, corrected])
    assert {claim.key for claim in co.holds(state) if claim.space == "nik"} == {NIK}


def test_a_correction_records_only_what_really_differs() -> None:
    spec.given(registered).when(correct(name="Koperasi Wanita Mawar", address="Jl. Raya Wagir 12")).then(
        co.CooperativeCorrected(
            changes={"name": "Koperasi Wanita Mawar"}, reason="seen on the deed", kecamatan_code=WAGIR
        )
    )


@pytest.mark.parametrize("changes", [{}, {"name": "Koperasi Wanita Melati"}, {"nik": None}])
def test_a_correction_that_changes_nothing_is_refused(changes: dict[str, Any]) -> None:
    spec.given(registered).when(correct(**changes)).then_refused(co.NothingChanged, "changes")


@pytest.mark.parametrize(
    "changes", [{"existence": "found"}, {"name": None}, {"kecamatan_code": None}, {"legal_entity_date": None}]
)
def test_a_correction_of_an_unknown_field_or_to_nothing_at_all_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        correct(**changes)


def test_a_correction_needs_a_reason() -> None:
    with pytest.raises(ValidationError):
        co.CorrectCooperative(changes={"name": "Koperasi"}, reason="  ", today=TODAY)


def test_a_corrected_date_cannot_lie_in_the_future() -> None:
    command = correct(legal_entity_date="2024-12-01")
    spec.given(registered).when(command).then_refused(co.InTheFuture, "changes.legal_entity_date")


def test_a_corrected_village_must_lie_in_the_kecamatan_as_corrected() -> None:
    wrong = correct(kecamatan_code=DAU, village_code=f"{WAGIR}.2001")
    spec.given(registered).when(wrong).then_refused(co.VillageElsewhere, "changes.village_code")
    spec.given(registered).when(correct(village_code=f"{DAU}.2001")).then_refused(co.VillageElsewhere)
    spec.given(registered).when(correct(kecamatan_code=DAU, village_code=f"{DAU}.2001")).then(
        co.CooperativeCorrected(
            changes={"kecamatan_code": DAU, "village_code": f"{DAU}.2001"},
            reason="seen on the deed",
            kecamatan_code=DAU,
        )
    )


def test_a_corrected_kecamatan_takes_the_village_of_the_wrong_one_away() -> None:
    spec.given(registered).when(correct(kecamatan_code=DAU)).then(
        co.CooperativeCorrected(
            changes={"kecamatan_code": DAU, "village_code": None}, reason="seen on the deed", kecamatan_code=DAU
        )
    )


def test_a_corrected_kecamatan_replaces_the_registered_one_and_relocations_stay_on_top() -> None:
    corrected = spec.given(registered, moved).when(correct(kecamatan_code=LAWANG)).decided()
    assert corrected[0].kecamatan_code == DAU
    state = co.decider.fold([registered, moved, *corrected])
    assert state.place.kecamatan_code == DAU
    assert state.registered_place.kecamatan_code == LAWANG


def test_a_corrected_address_is_that_of_the_place_it_is_at_now() -> None:
    state = co.decider.fold([registered, moved])
    state = co.decider.fold(co.decide(correct(address="Jl. Raya Dau 2"), state), state)
    assert state.place == co.Place(DAU, None, "Jl. Raya Dau 2")
    assert state.registered_place.address == "Jl. Raya Wagir 12"


def test_an_address_corrected_together_with_the_kecamatan_is_that_of_the_registered_place() -> None:
    state = co.decider.fold([registered, moved])
    state = co.decider.fold(co.decide(correct(kecamatan_code=WAGIR, address="Jl. Raya Wagir 13"), state), state)
    assert state.registered_place == co.Place(WAGIR, f"{WAGIR}.2003", "Jl. Raya Wagir 13")
    assert state.place.address == "Jl. Raya Dau 1"


def test_a_relocated_cooperative_sits_at_its_new_seat() -> None:
    spec.given(registered).when(relocate()).then(moved)
    assert co.decider.fold([registered, moved]).place == co.Place(DAU, None, "Jl. Raya Dau 1")


def test_of_relocations_the_latest_by_its_date_counts_and_of_one_day_the_later_recorded() -> None:
    earlier = co.CooperativeRelocated(kecamatan_code=LAWANG, address="A", effective_on=date(2018, 1, 1))
    same_day = co.CooperativeRelocated(kecamatan_code=LAWANG, address="B", effective_on=moved.effective_on)
    assert co.decider.fold([registered, moved, earlier]).place.kecamatan_code == DAU
    assert co.decider.fold([registered, moved, same_day]).place.address == "B"


def test_a_relocation_is_neither_in_the_future_nor_before_the_cooperative_existed() -> None:
    given_registered = spec.given(registered)
    given_registered.when(relocate(effective_on="2024-11-15")).then_refused(co.InTheFuture, "effective_on")
    given_registered.when(relocate(effective_on="2015-08-02")).then_refused(co.BeforeItExisted, "effective_on")
    given_registered.when(relocate(village_code=f"{WAGIR}.2001")).then_refused(co.VillageElsewhere)


@pytest.mark.parametrize("command", [correct(name="Koperasi"), relocate()])
def test_a_cooperative_nobody_registered_is_not_there(command: co.CooperativeCommand) -> None:
    refusal = spec.given().when(command).then_refused(co.NoSuchCooperative)
    assert isinstance(refusal, Missing)
    assert refusal.slug == "no-such-cooperative"


def test_a_list_registers_a_cooperative_even_where_it_says_little() -> None:
    spec.given().when(enter(name="Koperasi", kecamatan_text="Wgr")).then(
        co.CooperativeRegistered(name="Koperasi", kecamatan_text="Wgr", source="ods")
    )


def test_a_list_that_says_the_same_again_changes_nothing() -> None:
    listing = {"name": "Koperasi", "kecamatan_code": WAGIR, "members_total": 12}
    spec.given(*co.decide(enter(**listing), co.decider.initial)).when(enter(**listing)).then_nothing()


def test_a_list_that_says_something_else_records_only_that() -> None:
    spec.given(registered).when(enter(name=registered.name, members_total=12)).then(
        co.MinistryRecordChanged(changes={"members_total": 12}, source="ods", kecamatan_code=WAGIR)
    )


def test_a_list_that_has_not_changed_leaves_what_the_office_corrected_alone() -> None:
    corrected = co.CooperativeCorrected(changes={"name": "Mawar"}, reason="deed", kecamatan_code=WAGIR)
    spec.given(registered, corrected).when(enter(name=registered.name)).then_nothing()
    spec.given(registered, corrected).when(enter(name="Melati Indah")).then(
        co.MinistryRecordChanged(changes={"name": "Melati Indah"}, source="ods", kecamatan_code=WAGIR)
    )


def test_a_list_knows_nothing_of_relocations() -> None:
    history: list[co.CooperativeEvent] = [registered, moved]
    changed = co.decide(enter(kecamatan_code=LAWANG, address="Jl. Lawang 1"), co.decider.fold(history))
    state = co.decider.fold([*history, *changed])
    assert state.place == co.Place(DAU, None, "Jl. Raya Dau 1")
    assert state.registered_place == co.Place(LAWANG, None, "Jl. Lawang 1")
    assert changed[0].kecamatan_code == DAU


def test_a_village_of_a_kecamatan_that_the_office_corrected_is_passed_over() -> None:
    corrected = co.CooperativeCorrected(
        changes={"kecamatan_code": DAU, "village_code": None}, reason="deed", kecamatan_code=DAU
    )
    listing = enter(kecamatan_code=WAGIR, village_code=f"{WAGIR}.2004")
    spec.given(registered, corrected).when(listing).then_nothing()


def test_a_list_cannot_name_a_day_in_the_future() -> None:
    command = enter(name="Koperasi", legal_entity_date="2025-01-01")
    spec.given().when(command).then_refused(co.InTheFuture, "legal_entity_date")
    spec.given().when(enter(nik=NIK)).then_refused(co.NameMissing, "name")


places = st.sampled_from([WAGIR, DAU, LAWANG])
villages = st.builds("{}.{}".format, places, st.sampled_from(["2001", "2002"]))
days = st.dates(date(2015, 1, 1), date(2025, 1, 1)).map(str)
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Melati", "Mawar"]),
        "nik": st.sampled_from([NIK, "3507210030002"]),
        "kecamatan_code": places,
        "village_code": villages,
        "address": st.sampled_from(["Jl. A", "Jl. B"]),
        "legal_entity_date": days,
    },
)
commands = st.one_of(
    st.builds(lambda place: register(kecamatan_code=place), places),
    changes.map(lambda each: correct(**each)),
    st.builds(lambda place, day: relocate(kecamatan_code=place, effective_on=day), places, days),
    changes.map(lambda each: enter(**each)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(commands, max_size=8))
def test_whatever_is_asked_the_village_lies_in_the_kecamatan_and_events_say_where_it_sits(
    sequence: list[co.CooperativeCommand],
) -> None:
    state = co.decider.initial
    for command in sequence:
        try:
            events = co.decide(command, state)
        except (Invalid, Rejection):
            continue
        state = co.decider.fold(events, state)
        for place in (state.registered_place, *(move.to for move in state.moves)):
            assert place.village_code is None or place.village_code.startswith(f"{place.kecamatan_code}.")
        assert [move.effective_on for move in state.moves] == sorted(move.effective_on for move in state.moves)
        assert state.registered
        for event in events:
            read_back = type(event).model_validate_json(event.model_dump_json())
            assert read_back == event
            if not isinstance(event, co.CooperativeRelocated):
                assert event.kecamatan_code == state.place.kecamatan_code
        if isinstance(command, co.EnterListing):
            assert co.decide(command, state) == []
        if isinstance(command, co.CorrectCooperative):
            with pytest.raises(co.NothingChanged):
                co.decide(command, state)
