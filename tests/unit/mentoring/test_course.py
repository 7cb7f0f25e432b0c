"""The rules of a request's course: decided once, mentored when accepted, over when completed, forgotten at any time."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from chassis.definitions.sealed import Sealed
from chassis.testing.decider_spec import DeciderSpec
from services.mentoring.domain import request as rq

TODAY = date(2024, 11, 14)
RECEIVED = date(2024, 11, 4)
COOPERATIVE = None
ABOUT: dict[str, Any] = {"cooperative_id": COOPERATIVE, "kecamatan_code": "35.07.21"}

spec = DeciderSpec(rq.decider)

asked = rq.MentoringRequested(
    **ABOUT,
    cooperative_name=Sealed("sealed name"),
    address=Sealed("sealed address"),
    people=Sealed("sealed people"),
    complaint=Sealed("sealed complaint"),
    category="rat",
    channel="letter",
    received_on=RECEIVED,
)
accepted = rq.MentoringAccepted(
    **ABOUT, accepted_on=date(2024, 11, 6), team=Sealed("sealed team"), visit_on=date(2024, 11, 20)
)
declined = rq.MentoringDeclined(**ABOUT, declined_on=date(2024, 11, 6), reason=Sealed("sealed reason"))
redirected = rq.MentoringRedirected(
    **ABOUT, redirected_on=date(2024, 11, 6), to=Sealed("sealed office"), reason=Sealed("sealed reason")
)
visited = rq.MentoringActivityHeld(
    **ABOUT, kind="visit", held_on=date(2024, 11, 12), participants=4, notes=Sealed("sealed notes")
)
completed = rq.MentoringCompleted(
    **ABOUT, outcome="rat_held", completed_on=date(2024, 11, 13), notes=Sealed("sealed notes")
)
forgotten = rq.MentoringPeopleForgotten(**ABOUT, forgotten_on=TODAY)


def accept(**different: Any) -> rq.AcceptRequest:
    return rq.AcceptRequest(
        **{
            "team": Sealed("sealed team"),
            "visit_on": date(2024, 11, 20),
            "accepted_on": date(2024, 11, 6),
            "today": TODAY,
        }
        | different
    )


def decline(**different: Any) -> rq.DeclineRequest:
    return rq.DeclineRequest(
        **{"reason": Sealed("sealed reason"), "declined_on": date(2024, 11, 6), "today": TODAY} | different
    )


def redirect(**different: Any) -> rq.RedirectRequest:
    return rq.RedirectRequest(
        **{
            "to": Sealed("sealed office"),
            "reason": Sealed("sealed reason"),
            "redirected_on": date(2024, 11, 6),
            "today": TODAY,
        }
        | different
    )


def record(**different: Any) -> rq.RecordActivity:
    return rq.RecordActivity(
        **{
            "kind": "visit",
            "held_on": date(2024, 11, 12),
            "participants": 4,
            "notes": Sealed("sealed notes"),
            "today": TODAY,
        }
        | different
    )


def complete(**different: Any) -> rq.CompleteMentoring:
    return rq.CompleteMentoring(
        **{
            "outcome": "rat_held",
            "notes": Sealed("sealed notes"),
            "completed_on": date(2024, 11, 13),
            "today": TODAY,
        }
        | different
    )


forget = rq.ForgetPeople(today=TODAY)

DECISIONS: list[Any] = [accept, decline, redirect]
EVERY_COMMAND: list[Any] = [*DECISIONS, record, complete, lambda: forget]


def test_a_request_is_accepted_with_who_will_come_and_when() -> None:
    spec.given(asked).when(accept()).then(accepted)


def test_a_request_is_declined_with_a_reason() -> None:
    spec.given(asked).when(decline()).then(declined)


def test_a_request_is_handed_on_to_somebody_with_a_reason() -> None:
    spec.given(asked).when(redirect()).then(redirected)


def test_an_accepted_request_is_mentored_as_often_as_it_takes() -> None:
    spec.given(asked, accepted).when(record()).then(visited)
    spec.given(asked, accepted, visited, visited).when(record()).then(visited)


def test_what_was_done_is_written_down_in_any_order() -> None:
    earlier = visited.model_copy(update={"held_on": date(2024, 11, 5)})
    spec.given(asked, accepted, visited).when(record(held_on=date(2024, 11, 5))).then(earlier)


def test_a_mentoring_is_completed_with_what_came_of_it() -> None:
    spec.given(asked, accepted, visited).when(complete()).then(completed)


def test_a_mentoring_that_nothing_came_of_is_completed_without_any_activity() -> None:
    withdrawn = completed.model_copy(update={"outcome": "withdrawn"})
    spec.given(asked, accepted).when(complete(outcome="withdrawn")).then(withdrawn)


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_nothing_is_done_about_a_request_nobody_made(command: Callable[[], Any]) -> None:
    spec.given().when(command()).then_refused(rq.NoSuchRequest)


@pytest.mark.parametrize("command", DECISIONS)
@pytest.mark.parametrize("before", [[accepted], [declined], [redirected], [accepted, completed]])
def test_a_request_is_decided_once(before: list[Any], command: Callable[[], Any]) -> None:
    refusal = spec.given(asked, *before).when(command()).then_refused(rq.AlreadyDecided)
    assert refusal.facts == {"state": rq.decider.fold([asked, *before]).state}


@pytest.mark.parametrize("command", [record, complete])
@pytest.mark.parametrize("before", [[], [declined], [redirected]])
def test_only_an_accepted_request_is_mentored(before: list[Any], command: Callable[[], Any]) -> None:
    refusal = spec.given(asked, *before).when(command()).then_refused(rq.NotAccepted)
    assert refusal.facts == {"state": rq.decider.fold([asked, *before]).state}


@pytest.mark.parametrize("command", [record, complete])
def test_nothing_is_added_to_a_completed_mentoring(command: Callable[[], Any]) -> None:
    spec.given(asked, accepted, completed).when(command()).then_refused(rq.AlreadyCompleted)


@pytest.mark.parametrize(
    ("before", "command", "field"),
    [
        ([], accept, "accepted_on"),
        ([], decline, "declined_on"),
        ([], redirect, "redirected_on"),
        ([accepted], record, "held_on"),
        ([accepted], complete, "completed_on"),
    ],
)
def test_nothing_was_done_tomorrow_nor_before_the_request_came(
    before: list[Any], command: Callable[..., Any], field: str
) -> None:
    here = spec.given(asked, *before)
    here.when(command(**{field: date(2024, 11, 15)})).then_refused(rq.NotYet, field)
    here.when(command(**{field: date(2024, 11, 3)})).then_refused(rq.BeforeReceipt, field)
    assert len(here.when(command(**{field: TODAY})).decided()) == 1


def test_what_is_done_on_the_day_the_request_came_is_in_time() -> None:
    for command, field in zip(DECISIONS, ("accepted_on", "declined_on", "redirected_on"), strict=True):
        assert len(spec.given(asked).when(command(**{field: RECEIVED})).decided()) == 1
    assert len(spec.given(asked, accepted).when(record(held_on=RECEIVED)).decided()) == 1


def test_a_visit_may_be_planned_ahead_or_written_down_late_but_not_before_the_request_came() -> None:
    for day in (RECEIVED, TODAY, date(2025, 11, 20)):
        spec.given(asked).when(accept(visit_on=day)).then(accepted.model_copy(update={"visit_on": day}))
    spec.given(asked).when(accept(visit_on=date(2024, 11, 3))).then_refused(rq.BeforeReceipt, "visit_on")


def test_a_mentoring_is_not_over_before_it_was_accepted_nor_before_its_last_activity() -> None:
    begun = spec.given(asked, accepted)
    begun.when(complete(completed_on=date(2024, 11, 5))).then_refused(rq.CompletedTooEarly, "completed_on")
    same_day = date(2024, 11, 6)
    begun.when(complete(completed_on=same_day)).then(completed.model_copy(update={"completed_on": same_day}))
    earlier = visited.model_copy(update={"held_on": RECEIVED})
    active = spec.given(asked, accepted, visited, earlier)
    active.when(complete(completed_on=date(2024, 11, 11))).then_refused(rq.CompletedTooEarly, "completed_on")
    same_day = date(2024, 11, 12)
    active.when(complete(completed_on=same_day)).then(completed.model_copy(update={"completed_on": same_day}))


WORDS: list[Any] = [
    ([], accept, "team", accepted),
    ([], decline, "reason", declined),
    ([], redirect, "to", redirected),
    ([], redirect, "reason", redirected),
    ([accepted], record, "notes", visited),
    ([accepted], complete, "notes", completed),
]


@pytest.mark.parametrize(("before", "command", "field", "event"), WORDS)
def test_names_and_words_are_needed(before: list[Any], command: Callable[..., Any], field: str, event: Any) -> None:
    spec.given(asked, *before).when(command(**{field: None})).then_refused(rq.WordsMissing, field)


@pytest.mark.parametrize(("before", "command", "field", "event"), WORDS)
def test_after_forgetting_a_request_goes_on_without_words(
    before: list[Any], command: Callable[..., Any], field: str, event: Any
) -> None:
    wordless = {name: None for _, each, name, _ in WORDS if each is command}
    here = spec.given(asked, forgotten, *before)
    here.when(command(**wordless)).then(event.model_copy(update=wordless))
    here.when(command(**wordless | {field: Sealed("sealed after all")})).then_refused(rq.WordsAfterForgetting)


@pytest.mark.parametrize("before", [[], [accepted, visited], [declined], [redirected], [accepted, completed]])
def test_people_are_forgotten_once_in_whatever_state(before: list[Any]) -> None:
    spec.given(asked, *before).when(forget).then(forgotten)
    spec.given(asked, *before, forgotten).when(forget).then_nothing()


def test_forgetting_leaves_the_state_as_it_is() -> None:
    before = rq.decider.fold([asked, accepted, visited])
    after = rq.decider.fold([asked, accepted, visited, forgotten])
    assert (after.state, after.activities, after.forgotten_on) == (before.state, before.activities, TODAY)


def test_a_request_is_open_until_it_is_declined_redirected_or_completed() -> None:
    closed: dict[str, list[rq.RequestEvent]] = {
        "requested": [asked],
        "accepted": [asked, accepted, visited],
        "declined": [asked, declined],
        "redirected": [asked, redirected],
        "completed": [asked, accepted, completed],
    }
    states = {name: rq.decider.fold(events) for name, events in closed.items()}
    assert {name: state.state for name, state in states.items()} == {name: name for name in closed}
    assert {name: state.closed_on for name, state in states.items()} == {
        "requested": None,
        "accepted": None,
        "declined": date(2024, 11, 6),
        "redirected": date(2024, 11, 6),
        "completed": date(2024, 11, 13),
    }
