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


def enter(held_on: str = "2024-03-01", attested_years: int = 0, source: str = "ods") -> rat.EnterLastMeeting:
    return rat.EnterLastMeeting.model_validate(
        about(source=source, minutes={"held_on": held_on, "members_total": 40}, attested_years=attested_years)
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


@pytest.mark.parametrize("mode", ["in_person", "online", "written"])
def test_the_quorum_is_the_same_in_every_mode_for_answers_on_paper_count_as_presence(mode: str) -> None:
    assert spec.given().when(record(mode=mode)).decided()
    spec.given().when(record(mode=mode, members_present=20)).then_refused(rat.NoQuorum, "members_present")
    assert spec.given().when(record(mode=mode, members_present=20, second_meeting=True)).decided()


def test_the_days_of_holding_reporting_and_verifying_are_kept_apart() -> None:
    reported = held.model_copy(update={"reported_on": date(2024, 3, 20)})
    meeting = rat.decider.fold([reported, verified]).held[2023]
    assert (meeting.held_on, meeting.reported_on, meeting.verified_on) == (
        date(2024, 3, 1),
        date(2024, 3, 20),
        date(2024, 4, 1),
    )


def test_a_list_brings_back_no_record_of_the_office_that_is_void_or_was_corrected() -> None:
    spec.given(held, annulled).when(enter(source="office")).then_nothing()
    spec.given(held, corrected(held_on="2024-03-02"), annulled).when(enter()).then_nothing()


def test_what_a_list_tells_carries_its_source() -> None:
    of_office = listed.model_copy(update={"source": "office"})
    spec.given().when(enter(source="office")).then(of_office)
    spec.given(of_office, annulled).when(enter(source="office")).then_nothing()


# ---------------------------------------------------------------- plans

planned = rat.RATPlanned(kecamatan_code=WAGIR, book_year=2024, planned_on=date(2025, 2, 22), venue="Balai Desa")


def plan(**changes: Any) -> rat.PlanMeeting:
    told = {"book_year": 2024, "planned_on": "2025-02-22", "venue": "Balai Desa", **changes}
    return rat.PlanMeeting.model_validate(about(**told))


def test_a_meeting_is_planned_for_a_book_year() -> None:
    spec.given().when(plan()).then(planned)


def test_a_plan_may_be_noted_when_its_day_has_passed() -> None:
    past = plan(book_year=2023, planned_on="2024-02-17")
    spec.given().when(past).then(planned.model_copy(update={"book_year": 2023, "planned_on": date(2024, 2, 17)}))


def test_of_two_announcements_the_later_counts_and_the_same_one_twice_is_refused() -> None:
    elsewhere = planned.model_copy(update={"venue": "Kantor Kecamatan"})
    spec.given(planned).when(plan(venue="Kantor Kecamatan")).then(elsewhere)
    refusal = spec.given(planned).when(plan()).then_refused(rat.AlreadyPlanned)
    assert (refusal.slug, refusal.status) == ("already-planned", 409)
    spec.given(planned, elsewhere).when(plan()).then(planned)


def test_a_meeting_is_not_planned_before_its_book_year_has_ended() -> None:
    spec.given().when(plan(planned_on="2024-12-31")).then_refused(rat.BookYearNotOver, "planned_on")
    assert spec.given().when(plan(planned_on="2025-01-01")).decided()


def test_a_meeting_that_is_on_record_is_not_planned_unless_it_is_void() -> None:
    of_2023 = plan(book_year=2023, planned_on="2024-12-01")
    spec.given(held).when(of_2023).then_refused(rat.RATAlreadyRecorded)
    assert spec.given(held, annulled).when(of_2023).decided()


def test_a_planned_meeting_is_recorded_as_any_other() -> None:
    spec.given(planned.model_copy(update={"book_year": 2023})).when(record()).then(held)


# ---------------------------------------------------------------- warnings


def warning(level: Any = 1, letter_date: str = "2024-07-08", **changes: Any) -> rat.IssueWarning:
    told = {"book_year": 2023, "level": level, "letter_number": "518/1/2024", "letter_date": letter_date, **changes}
    return rat.IssueWarning.model_validate(about(**told))


def warned(level: Any = 1, letter_date: str = "2024-07-08") -> rat.WarningIssued:
    return rat.WarningIssued(
        kecamatan_code=WAGIR,
        book_year=2023,
        level=level,
        letter_number="518/1/2024",
        letter_date=date.fromisoformat(letter_date),
    )


def test_warnings_of_a_book_year_are_issued_in_order_and_there_are_three() -> None:
    history: list[rat.MeetingEvent] = []
    for level in (1, 2, 3):
        for other in {1, 2, 3} - {level}:
            refusal = spec.given(*history).when(warning(other)).then_refused(rat.WarningOutOfOrder)
            assert (refusal.slug, refusal.status) == ("warning-out-of-order", 409)
            assert f"level {level}" in refusal.detail
        spec.given(*history).when(warning(level)).then(warned(level))
        history.append(warned(level))
    for level in (1, 2, 3):
        refusal = spec.given(*history).when(warning(level)).then_refused(rat.WarningOutOfOrder)
        assert "All 3" in refusal.detail


def test_each_book_year_has_warnings_of_its_own() -> None:
    assert spec.given(warned(1), warned(2)).when(warning(1, book_year=2022)).decided()


def test_a_warning_letter_lies_between_the_end_of_the_book_year_and_today() -> None:
    spec.given().when(warning(letter_date="2023-12-31")).then_refused(rat.BookYearNotOver, "letter_date")
    spec.given().when(warning(letter_date="2024-11-15")).then_refused(rat.InTheFuture, "letter_date")
    assert spec.given().when(warning(letter_date="2024-01-01")).decided()
    assert spec.given().when(warning(letter_date="2024-11-14")).decided()


def test_a_warning_letter_is_not_older_than_the_one_before() -> None:
    spec.given(warned(1)).when(warning(2, "2024-07-07")).then_refused(rat.BeforeTheLastWarning, "letter_date")
    assert spec.given(warned(1)).when(warning(2, "2024-07-08")).decided()


def test_nobody_is_warned_of_a_meeting_that_the_office_knew_of() -> None:
    refusal = spec.given(held).when(warning(letter_date="2024-03-01")).then_refused(rat.WarningWithoutCause)
    assert (refusal.slug, refusal.status) == ("warning-without-cause", 409)
    assert spec.given(held, annulled).when(warning()).decided()


def test_a_letter_that_went_out_before_the_meeting_was_held_or_reported_can_still_be_noted() -> None:
    assert spec.given(held).when(warning(letter_date="2024-02-29")).decided()
    reported_late = held.model_copy(update={"reported_on": date(2024, 8, 1)})
    assert spec.given(reported_late).when(warning(letter_date="2024-07-31")).decided()
    spec.given(reported_late).when(warning(letter_date="2024-08-01")).then_refused(rat.WarningWithoutCause)


@pytest.mark.parametrize("level", [0, 4, -1, "1", 1.0, True, None])
def test_a_warning_has_level_1_2_or_3(level: Any) -> None:
    with pytest.raises(ValidationError):
        warning(level)


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
    st.builds(enter, meeting_days, st.sampled_from([0, 2]), st.sampled_from(["ods", "office"])),
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
