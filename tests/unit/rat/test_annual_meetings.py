"""The rules of a cooperative's annual members' meetings."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.definitions.decider import Rejection
from chassis.testing.decider_spec import DeciderSpec
from services.rat.domain import annual_meetings as rat

TODAY = date(2024, 11, 14)
WAGIR = "35.07.21"
spec = DeciderSpec(rat.decider)

held = rat.RATHeld(kecamatan_code=WAGIR, book_year=2023, held_on=date(2024, 3, 1), members_total=40, members_present=21)
listed = rat.RATHeld(kecamatan_code=WAGIR, book_year=2023, held_on=date(2024, 3, 1), members_total=40, source="ods")
verified = rat.RATVerified(kecamatan_code=WAGIR, book_year=2023, verified_on=date(2024, 4, 1))
annulled = rat.RATAnnulled(kecamatan_code=WAGIR, book_year=2023, reason="another cooperative's")
attested = rat.RATAttested(kecamatan_code=WAGIR, book_year=2022, last_held_on=date(2024, 3, 1))


def about(**values: Any) -> dict[str, Any]:
    return {"kecamatan_code": WAGIR, "today": TODAY, **values}


def record(**changes: Any) -> rat.RecordMeeting:
    report = {"book_year": 2023, "held_on": "2024-03-01", "members_total": 40, "members_present": 21, **changes}
    return rat.RecordMeeting.model_validate(about(report=report))


def verify(verified_on: str = "2024-04-01", book_year: int = 2023) -> rat.VerifyMeeting:
    return rat.VerifyMeeting.model_validate(about(book_year=book_year, verified_on=verified_on))


def correct(book_year: int = 2023, **changes: Any) -> rat.CorrectMeeting:
    return rat.CorrectMeeting.model_validate(about(book_year=book_year, changes=changes, reason="seen in the minutes"))


def annul(book_year: int = 2023) -> rat.AnnulMeeting:
    return rat.AnnulMeeting.model_validate(about(book_year=book_year, reason="another cooperative's"))


def enter(held_on: str = "2024-03-01", attested_years: int = 0) -> rat.EnterLastMeeting:
    return rat.EnterLastMeeting.model_validate(
        about(minutes={"held_on": held_on, "members_total": 40}, attested_years=attested_years)
    )


def corrected(**changes: Any) -> rat.RATCorrected:
    return rat.RATCorrected.model_validate(
        {"kecamatan_code": WAGIR, "book_year": 2023, "changes": changes, "reason": "seen in the minutes"}
    )


def test_a_meeting_is_recorded_for_its_book_year() -> None:
    spec.given().when(record()).then(held)


@pytest.mark.parametrize(
    ("told", "rule", "slug", "field"),
    [
        ({"held_on": "2024-11-15"}, rat.InTheFuture, "in-the-future", "held_on"),
        ({"held_on": "2023-12-31"}, rat.BookYearNotOver, "book-year-not-over", "held_on"),
        ({"members_present": 41}, rat.MorePresentThanMembers, "more-present-than-members", "members_present"),
        ({"members_present": 20}, rat.NoQuorum, "no-quorum", "members_present"),
        ({"members_total": 0, "members_present": 0}, rat.NoQuorum, "no-quorum", "members_present"),
        ({"reported_on": "2024-02-29"}, rat.BeforeTheMeeting, "before-the-meeting", "reported_on"),
        ({"reported_on": "2024-11-15"}, rat.InTheFuture, "in-the-future", "reported_on"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused_when_recorded_and_when_corrected(
    told: dict[str, Any], rule: type[Rejection], slug: str, field: str
) -> None:
    spec.given().when(record(**told)).then_refused(rule, field)
    spec.given(held).when(correct(**told)).then_refused(rule, f"changes.{field}")
    assert (rule.slug, rule.status) == (slug, 422)


def test_a_meeting_may_be_held_today_on_new_years_day_and_by_one_more_than_half() -> None:
    for told in ({"held_on": "2024-11-14"}, {"held_on": "2024-01-01"}, {"members_total": 41}):
        assert spec.given().when(record(**told)).decided()


def test_a_second_meeting_needs_no_quorum() -> None:
    assert spec.given().when(record(members_present=3, second_meeting=True)).decided()
    second = corrected(members_present=3, second_meeting=True)
    spec.given(held).when(correct(members_present=3, second_meeting=True)).then(second)
    spec.given(held, second).when(correct(second_meeting=False)).then_refused(rat.NoQuorum)


def test_a_book_year_is_recorded_once() -> None:
    refusal = spec.given(held).when(record(held_on="2024-05-01")).then_refused(rat.RATAlreadyRecorded)
    assert (refusal.slug, refusal.status) == ("rat-already-recorded", 409)


@pytest.mark.parametrize(
    "told",
    [
        {"book_year": "2023"},
        {"book_year": 2023.0},
        {"members_total": None},
        {"members_present": True},
        {"net_surplus": 1.5},
        {"net_surplus": 10**15 + 1},
        {"own_capital": "100"},
        {"second_meeting": 1},
        {"second_meeting": None},
        {"mode": "by_phone"},
        {"verified_on": "2024-04-01"},
        {"chair": "somebody"},
    ],
)
def test_a_report_with_a_value_that_cannot_be_right_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        record(**told)


def test_a_net_surplus_may_be_a_loss() -> None:
    assert spec.given().when(record(net_surplus=-11_845_222)).decided()


def test_a_record_is_verified_once() -> None:
    spec.given(held).when(verify()).then(verified)
    refusal = spec.given(held, verified).when(verify("2024-05-01")).then_refused(rat.RATAlreadyVerified)
    assert (refusal.slug, refusal.status) == ("rat-already-verified", 409)


def test_a_verification_lies_between_the_meeting_and_today() -> None:
    spec.given(held).when(verify("2024-02-29")).then_refused(rat.BeforeTheMeeting, "verified_on")
    spec.given(held).when(verify("2024-11-15")).then_refused(rat.InTheFuture, "verified_on")


@pytest.mark.parametrize("command", [verify(), correct(members_total=41), annul()])
@pytest.mark.parametrize("history", [[], [held, annulled], [attested.model_copy(update={"book_year": 2023})]])
def test_what_is_not_recorded_is_neither_verified_nor_corrected_nor_annulled(
    command: rat.AnyMeetingCommand, history: list[rat.MeetingEvent]
) -> None:
    refusal = spec.given(*history).when(command).then_refused(rat.NoSuchRAT)
    assert (refusal.slug, refusal.status) == ("no-such-rat", 404)


def test_a_correction_records_only_what_really_differs() -> None:
    spec.given(held).when(correct(members_total=41, members_present=21)).then(corrected(members_total=41))
    spec.given(held).when(correct()).then_refused(rat.NothingChanged, "changes")
    spec.given(held).when(correct(members_total=40)).then_refused(rat.NothingChanged, "changes")


def test_a_correction_may_take_a_value_away_but_not_one_that_every_record_has() -> None:
    told = rat.decider.fold([held, corrected(turnover=12), corrected(turnover=None)])
    assert told.held[2023].turnover is None
    for name in ("held_on", "members_total", "members_present", "second_meeting"):
        with pytest.raises(ValidationError):
            correct(2023, **{name: None})
    with pytest.raises(ValidationError):
        correct(verified_on="2024-04-01")


def test_a_verification_falls_with_a_correction() -> None:
    history = (held, verified, corrected(members_total=41))
    assert rat.decider.fold(history).held[2023].verified_on is None
    spec.given(*history).when(verify()).then(verified)


def test_an_annulled_year_can_be_recorded_again_and_both_records_are_listed() -> None:
    spec.given(held).when(annul()).then(annulled)
    again = held.model_copy(update={"held_on": date(2024, 5, 1)})
    spec.given(held, annulled).when(record(held_on="2024-05-01")).then(again)
    records = rat.decider.fold([held, verified, annulled, again]).records()
    assert [(each.book_year, each.annulled) for each in records if isinstance(each, rat.Meeting)] == [
        (2023, True),
        (2023, False),
    ]


def test_an_attested_year_can_be_recorded_and_is_attested_again_when_the_record_is_void() -> None:
    year_2022 = record(book_year=2022, held_on="2023-03-01")
    recorded = spec.given(attested).when(year_2022).decided()
    state = rat.decider.fold([attested, *recorded])
    assert [type(each) for each in state.records()] == [rat.Meeting]
    state = rat.decider.fold(rat.decide(annul(2022), state), state)
    assert [type(each) for each in state.records()] == [rat.Meeting, rat.Attestation]


def test_a_list_records_the_last_meeting_for_the_year_before_and_attests_the_years_before_that() -> None:
    spec.given().when(enter(attested_years=2)).then(listed, attested, attested.model_copy(update={"book_year": 2021}))
    spec.given().when(enter()).then(listed)


def test_a_recorded_year_is_not_attested() -> None:
    recorded = held.model_copy(update={"book_year": 2022, "held_on": date(2023, 2, 1)})
    spec.given(recorded).when(enter(attested_years=2)).then(listed, attested.model_copy(update={"book_year": 2021}))


@pytest.mark.parametrize(
    "since",
    [
        [],
        [verified],
        [corrected(held_on="2024-03-02")],
        [annulled],
        [annulled, held.model_copy(update={"held_on": date(2024, 5, 1)})],
    ],
)
def test_the_same_list_again_changes_nothing_whatever_the_office_did_since(since: list[rat.MeetingEvent]) -> None:
    spec.given(listed, *since).when(enter()).then_nothing()


def test_a_list_overrules_no_record_of_the_office() -> None:
    spec.given(held).when(enter("2024-05-01")).then_nothing()


def test_a_list_that_names_another_day_for_a_void_meeting_records_it() -> None:
    spec.given(listed, annulled).when(enter("2024-05-01")).then(listed.model_copy(update={"held_on": date(2024, 5, 1)}))


def test_a_list_cannot_name_a_day_in_the_future() -> None:
    spec.given().when(enter("2024-11-15")).then_refused(rat.InTheFuture, "held_on")


book_years = st.sampled_from([2021, 2022, 2023])
meeting_days = st.dates(date(2022, 1, 1), date(2024, 12, 31)).map(str)
commands = st.one_of(
    st.builds(
        lambda book_year, held_on, present: record(book_year=book_year, held_on=held_on, members_present=present),
        book_years,
        meeting_days,
        st.sampled_from([10, 30, 41]),
    ),
    st.builds(verify, meeting_days, book_years),
    st.builds(annul, book_years),
    st.builds(
        lambda book_year, changes: correct(book_year, **changes),
        book_years,
        st.fixed_dictionaries(
            {},
            optional={
                "held_on": meeting_days,
                "members_present": st.sampled_from([10, 30]),
                "second_meeting": st.booleans(),
            },
        ),
    ),
    st.builds(enter, meeting_days, st.sampled_from([0, 2])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(commands, max_size=10))
def test_whatever_is_asked_no_book_year_has_two_valid_records_and_every_record_obeys_the_rules(
    sequence: list[rat.AnyMeetingCommand],
) -> None:
    state = rat.decider.initial
    valid: dict[int, int] = {}
    for command in sequence:
        try:
            events = rat.decide(command, state)
        except Rejection:
            continue
        for event in events:
            assert type(event).model_validate_json(event.model_dump_json()) == event
            if isinstance(event, rat.RATHeld | rat.RATAnnulled):
                change = 1 if isinstance(event, rat.RATHeld) else -1
                valid[event.book_year] = valid.get(event.book_year, 0) + change
        state = rat.decider.fold(events, state)
        assert all(count in (0, 1) for count in valid.values())
        assert {year for year, count in valid.items() if count} == set(state.held)
        for meeting in state.held.values():
            rat.check(meeting, TODAY)
            assert meeting.verified_on is None or meeting.verified_on >= meeting.held_on
        if isinstance(command, rat.EnterLastMeeting):
            assert rat.decide(command, state) == []
