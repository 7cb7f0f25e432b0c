"""Whether a cooperative exists: tracings, the removal that only the Ministry decides, and what holds in the end."""

from datetime import date
from itertools import permutations
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from chassis.testing.decider_spec import DeciderSpec
from services.registry.domain import cooperative as co

TODAY = date(2024, 11, 14)
WAGIR, DAU = "35.07.21", "35.07.22"
spec = DeciderSpec(co.decider)

registered = co.CooperativeRegistered(
    name="Koperasi Wanita Melati", legal_entity_date=date(2015, 8, 3), kecamatan_code=WAGIR
)


def traced(day: date, finding: co.Finding = "not_found") -> co.CooperativeTraced:
    return co.CooperativeTraced(
        traced_on=day,
        signboard_found=False,
        office_found=finding == "dormant",
        members_reached=False,
        operating=finding == "found",
        finding=finding,
        kecamatan_code=WAGIR,
    )


in_may, in_august = traced(date(2024, 5, 7)), traced(date(2024, 8, 30))
proposed = co.RemovalProposed(
    letter_number="518/77/2024", letter_date=date(2024, 9, 30), grounds="traced twice", kecamatan_code=WAGIR
)
approved = co.RemovalApproved(
    decree_number="114/KEP/2024", decided_on=date(2024, 11, 1), authority="Kementerian Koperasi", kecamatan_code=WAGIR
)
rejected = co.RemovalRejected(**vars(approved))


def trace(**told: Any) -> co.TraceCooperative:
    nothing = dict.fromkeys(("signboard_found", "office_found", "members_reached", "operating"), False)
    return co.TraceCooperative.model_validate({"traced_on": "2024-05-07", **nothing, "today": TODAY, **told})


def propose(**told: Any) -> co.ProposeRemoval:
    values = {"letter_number": "518/77/2024", "letter_date": "2024-09-30", "grounds": "traced twice"}
    return co.ProposeRemoval.model_validate({**values, "today": TODAY, **told})


def decide(decision: str = "approved", **told: Any) -> co.DecideRemoval:
    values = {"decree_number": "114/KEP/2024", "decided_on": "2024-11-01", "authority": "Kementerian Koperasi"}
    return co.DecideRemoval.model_validate({"decision": decision, **values, "today": TODAY, **told})


def existence(*history: co.CooperativeEvent) -> co.Existence:
    return co.decider.fold(history).existence


def test_a_tracing_records_the_evidence_and_the_kecamatan_it_sits_in() -> None:
    spec.given(registered).when(trace()).then(in_may)
    moved = co.CooperativeRelocated(kecamatan_code=DAU, address="Jl. Raya Dau 1", effective_on=date(2020, 1, 1))
    told = trace(signboard_found=True, village_letter_number=" 470/118 ", notes="Kantor dipakai toko")
    [event] = spec.given(registered, moved).when(told).decided()
    assert isinstance(event, co.CooperativeTraced)
    assert (event.signboard_found, event.village_letter_number, event.notes) == (True, "470/118", "Kantor dipakai toko")
    assert event.kecamatan_code == DAU


@pytest.mark.parametrize(
    ("evidence", "finding"),
    [
        ({"operating": True}, "found"),
        ({"operating": True, "office_found": True, "members_reached": True}, "found"),
        ({"members_reached": True}, "dormant"),
        ({"office_found": True}, "dormant"),
        ({"signboard_found": True}, "not_found"),
        ({}, "not_found"),
    ],
)
def test_operating_is_found_members_or_an_office_are_dormant_and_a_signboard_alone_is_not_found(
    evidence: dict[str, bool], finding: str
) -> None:
    [event] = spec.given(registered).when(trace(**evidence)).decided()
    assert isinstance(event, co.CooperativeTraced)
    assert event.finding == finding


@pytest.mark.parametrize("finding", get_args(co.Finding.__value__))
def test_the_finding_that_an_officer_gives_goes_before_the_one_that_follows(finding: co.Finding) -> None:
    [event] = spec.given(registered).when(trace(operating=True, finding=finding)).decided()
    assert isinstance(event, co.CooperativeTraced)
    assert event.finding == finding


@pytest.mark.parametrize(
    "told", [{"operating": 1}, {"signboard_found": "yes"}, {"finding": "registered"}, {"notes": " "}, {"seen": True}]
)
def test_a_tracing_with_a_value_that_cannot_be_right_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trace(**told)


def test_a_tracing_is_neither_in_the_future_nor_before_the_cooperative_existed() -> None:
    spec.given(registered).when(trace(traced_on="2024-11-15")).then_refused(co.InTheFuture, "traced_on")
    spec.given(registered).when(trace(traced_on="2015-08-02")).then_refused(co.BeforeItExisted, "traced_on")
    assert spec.given(registered).when(trace(traced_on="2024-11-14")).decided()
    assert spec.given(registered).when(trace(traced_on="2015-08-03")).decided()


@pytest.mark.parametrize("command", [trace(), propose(), decide()])
def test_a_cooperative_nobody_registered_is_not_there(command: co.CooperativeCommand) -> None:
    spec.given().when(command).then_refused(co.NoSuchCooperative)


def test_before_anybody_went_to_look_it_is_registered_and_no_more() -> None:
    assert existence(registered) == "registered"


def test_the_last_finding_by_its_day_holds_in_whatever_order_tracings_become_known() -> None:
    tracings = [traced(date(2024, 5, 7), "found"), traced(date(2024, 6, 7), "moved"), traced(date(2024, 7, 7))]
    for order in permutations(tracings):
        assert existence(registered, *order) == "not_found"


def test_of_two_findings_on_one_day_the_later_recorded_holds() -> None:
    day = date(2024, 5, 7)
    assert existence(registered, traced(day, "dormant"), traced(day, "found")) == "found"
    assert existence(registered, traced(day, "found"), traced(day, "dormant")) == "dormant"


def test_a_removal_is_proposed_after_two_tracings_on_different_days() -> None:
    spec.given(registered, in_may, in_august).when(propose()).then(proposed)
    assert existence(registered, in_may, in_august, proposed) == "removal_proposed"


def test_dormant_and_not_found_together_are_enough_for_a_proposal() -> None:
    spec.given(registered, traced(date(2024, 5, 7), "dormant"), in_august).when(propose()).then(proposed)


@pytest.mark.parametrize(
    "tracings",
    [
        (),
        (in_may,),
        (in_may, in_may),
        (in_may, traced(in_may.traced_on, "dormant")),
        (in_may, traced(date(2024, 8, 30), "found")),
        (in_may, traced(date(2024, 8, 30), "moved")),
    ],
    ids=["none", "one", "twice a day", "both on one day", "found since", "moved since"],
)
def test_fewer_tracings_refuse_a_proposal(tracings: tuple[co.CooperativeTraced, ...]) -> None:
    spec.given(registered, *tracings).when(propose()).then_refused(co.TracingRequired)
    assert (co.TracingRequired.slug, co.TracingRequired.status) == ("tracing-required", 409)


def test_a_letter_is_neither_of_the_future_nor_older_than_the_cooperative() -> None:
    ready = spec.given(registered, in_may, in_august)
    ready.when(propose(letter_date="2024-11-15")).then_refused(co.InTheFuture, "letter_date")
    ready.when(propose(letter_date="2015-08-02")).then_refused(co.BeforeItExisted, "letter_date")


def test_a_removal_is_proposed_once_until_it_is_decided() -> None:
    history = (registered, in_may, in_august, proposed)
    spec.given(*history).when(propose()).then_refused(co.RemovalAlreadyProposed)
    spec.given(*history, rejected).when(propose(letter_date="2024-11-14")).then(
        proposed.model_copy(update={"letter_date": date(2024, 11, 14)})
    )


def test_a_proposal_goes_before_what_is_found_meanwhile() -> None:
    found = traced(date(2024, 10, 7), "found")
    spec.given(registered, in_may, in_august, proposed).when(trace(traced_on="2024-10-07", operating=True)).then(found)
    assert existence(registered, in_may, in_august, proposed, found) == "removal_proposed"


def test_an_approved_removal_dissolves_the_cooperative() -> None:
    history = (registered, in_may, in_august, proposed)
    spec.given(*history).when(decide()).then(approved)
    assert existence(*history, approved) == "dissolved"


def test_a_rejected_removal_lets_the_last_finding_hold_again_also_one_made_meanwhile() -> None:
    history = (registered, in_may, in_august, proposed)
    spec.given(*history).when(decide("rejected")).then(rejected)
    assert existence(*history, rejected) == "not_found"
    assert existence(*history, traced(date(2024, 10, 7), "found"), rejected) == "found"


def test_without_an_open_proposal_there_is_nothing_to_decide() -> None:
    assert (co.NoOpenProposal.slug, co.NoOpenProposal.status) == ("no-open-proposal", 409)
    spec.given(registered, in_may, in_august).when(decide()).then_refused(co.NoOpenProposal)
    spec.given(registered, in_may, in_august, proposed, rejected).when(decide()).then_refused(co.NoOpenProposal)


def test_a_decision_is_neither_in_the_future_nor_before_the_proposal() -> None:
    pending = spec.given(registered, in_may, in_august, proposed)
    pending.when(decide(decided_on="2024-11-15")).then_refused(co.InTheFuture, "decided_on")
    pending.when(decide(decided_on="2024-09-29")).then_refused(co.BeforeTheProposal, "decided_on")
    assert pending.when(decide(decided_on="2024-09-30")).decided()


@pytest.mark.parametrize(
    "command",
    [
        trace(),
        propose(),
        decide(),
        co.CorrectCooperative(changes={"name": "Mawar"}, reason="deed", today=TODAY),
        co.RelocateCooperative(kecamatan_code=DAU, address="A", effective_on=date(2024, 1, 1), today=TODAY),
    ],
    ids=lambda command: type(command).__name__,
)
def test_the_record_of_a_dissolved_cooperative_is_closed(command: co.CooperativeCommand) -> None:
    refusal = spec.given(registered, in_may, in_august, proposed, approved).when(command)
    assert "2024-11-01" in refusal.then_refused(co.CooperativeDissolved).detail


def test_a_dissolved_cooperative_keeps_its_keys() -> None:
    with_nik = registered.model_copy(update={"nik": "3507210030001", "legal_entity_number": "1/BH"})
    before = co.decider.fold([with_nik, in_may, in_august, proposed])
    assert co.holds(before) == co.holds(co.decider.fold([approved], before)) != frozenset()


@pytest.mark.parametrize("source", ["ods", "office"])
def test_a_list_neither_brings_back_what_is_dissolved_nor_overrules_a_finding(source: co.ListSource) -> None:
    listing = co.EnterListing(listing={"name": "Melati", "members_total": 12}, source=source, today=TODAY)
    spec.given(registered, in_may, in_august, proposed, approved).when(listing).then_nothing()
    history = (registered, in_may)
    state = co.decider.fold([*history, *spec.given(*history).when(listing).decided()])
    assert (state.name, state.existence) == ("Melati", "not_found")


def test_each_list_is_compared_with_what_it_said_itself_so_that_two_that_disagree_do_not_take_turns() -> None:
    def entered(source: co.ListSource, members: int) -> co.EnterListing:
        return co.EnterListing(listing={"members_total": members}, source=source, today=TODAY)

    history: list[co.CooperativeEvent] = [registered]
    for source, members in (("ods", 12), ("office", 15)):
        history += spec.given(*history).when(entered(source, members)).decided()  # type: ignore[arg-type]
    assert co.decider.fold(history).members_total == 15
    spec.given(*history).when(entered("ods", 12)).then_nothing()
    spec.given(*history).when(entered("office", 15)).then_nothing()
    spec.given(*history).when(entered("ods", 13)).then(
        co.MinistryRecordChanged(changes={"members_total": 13}, source="ods", kecamatan_code=WAGIR)
    )
