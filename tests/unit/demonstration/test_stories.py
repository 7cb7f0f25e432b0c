"""The calls that tell the stories: each of them one the services can accept, in the order told."""

import re
from collections import Counter, defaultdict
from datetime import date
from typing import Any

from contracts.regions import all_kecamatan, village
from dinkop.demonstration.calls import COOPERATIVE_ID, REPORT_ID, REQUEST_ID, Call
from dinkop.demonstration.camat_reports import ISSUED_ON, LAST_DAY
from dinkop.demonstration.histories import Conduct
from dinkop.demonstration.petitions import PETITIONS
from dinkop.demonstration.regency import TODAY, WAGIR_NIK, regency
from dinkop.demonstration.register import PROPOSED_NIK, REFUSED_NIK
from dinkop.demonstration.stories import commands

CALLS = list(commands(regency()))
TO_COME = ("planned_on", "visit_on")
AT_THE_OFFICE = (
    *("received_on", "accepted_on", "visit_on", "declined_on", "redirected_on", "completed_on", "verified_on"),
    *("traced_on", "decided_on", "issued_on", "acknowledged_on", "done_on"),
)


def about(what: str) -> list[Call]:
    """Return the calls about a cooperative, request or report."""
    return [call for call in CALLS if call.about == what]


def days(call: Call) -> dict[str, date]:
    """Return the dates of a call, by name."""
    dated = {name: value for name, value in call.body.items() if name.endswith(("_on", "_date"))}
    return {name: date.fromisoformat(value) for name, value in dated.items()}


# ---------------------------------------------------------------- all of them


def test_every_call_is_about_a_cooperative_of_the_regency_and_has_its_own_key() -> None:
    assert {call.nik for call in CALLS if call.nik} <= regency().by_nik.keys()
    assert len({call.idempotency_key for call in CALLS}) == len(CALLS)
    assert [call.idempotency_key for call in CALLS] == [call.idempotency_key for call in commands(regency())]


def test_every_kind_of_record_is_told_of() -> None:
    assert Counter((call.service, call.kind) for call in CALLS) == {
        ("registry", "relocations"): 4,
        ("registry", "corrections"): 3,
        ("registry", "tracings"): 89,
        ("registry", "removal-proposals"): 2,
        ("registry", "removal-decisions"): 1,
        ("rat", "rats"): 35,
        ("rat", "verifications"): 67,
        ("rat", "annulments"): 1,
        ("rat", "corrections"): 7,
        ("rat", "warnings"): 97,
        ("rat", "rat-plans"): 47,
        ("mentoring", "requests"): 30,
        ("mentoring", "acceptances"): 20,
        ("mentoring", "declines"): 3,
        ("mentoring", "redirections"): 3,
        ("mentoring", "activities"): 37,
        ("mentoring", "completions"): 8,
        ("reporting", "camat-reports"): 33,
        ("reporting", "acknowledgements"): 13,
        ("reporting", "follow-ups"): 20,
    }


def test_an_id_that_a_call_needs_is_known_by_then() -> None:
    known: defaultdict[str, set[str]] = defaultdict(set)
    for call in CALLS:
        needed = set(re.findall(r"{[a-z_]+}", f"{call.path} {call.body.get('cooperative_id')}"))
        assert needed <= known[call.about] | ({COOPERATIVE_ID} if call.nik else set())
        known[call.about] |= {"requests": {REQUEST_ID}, "camat-reports": {REPORT_ID}}.get(call.kind, set())


def test_nothing_but_plans_and_visits_lies_ahead() -> None:
    told = [(name, day) for call in CALLS for name, day in days(call).items()]
    assert all(day <= TODAY for name, day in told if name not in TO_COME)
    assert {name for name, day in told if day > TODAY} == set(TO_COME)


def test_the_office_works_from_monday_to_friday() -> None:
    for call in CALLS:
        if call.service != "rat":
            assert all(day.weekday() < 5 for name, day in days(call).items() if name in AT_THE_OFFICE), call


def test_nothing_happens_to_a_cooperative_before_it_was_founded() -> None:
    for call in CALLS:
        if call.nik:
            assert all(day > regency().by_nik[call.nik].legal_entity_date for day in days(call).values())


# ---------------------------------------------------------------- meetings


def test_recorded_meetings_have_a_quorum_and_books_that_balance() -> None:
    second_meetings = 0
    for call in CALLS:
        if call.kind == "rats":
            body = call.body
            assert date.fromisoformat(body["held_on"]) > date(body["book_year"], 12, 31)
            assert 0 < body["members_present"] <= body["members_total"]
            assert body["second_meeting"] or 2 * body["members_present"] > body["members_total"]
            assert body["total_assets"] == body["own_capital"] + body["outside_capital"]
            second_meetings += body["second_meeting"]
    assert second_meetings


def test_corrected_attendance_stays_within_the_membership() -> None:
    members = {call.about: call.body["members_total"] for call in CALLS if call.kind == "rats"}
    for call in CALLS:
        if call.service == "rat" and call.kind == "corrections":
            assert call.body["changes"].get("members_present", 0) <= members[call.about]


def test_meetings_are_reported_after_they_were_held_and_verified_after_that() -> None:
    last: defaultdict[str, date] = defaultdict(lambda: date.min)
    for call in CALLS:
        if call.kind == "rats":
            last[call.about] = date.fromisoformat(call.body["reported_on"])
            assert call.body["held_on"] <= call.body["reported_on"]
        if call.kind == "verifications":
            verified_on = date.fromisoformat(call.body["verified_on"])
            assert verified_on >= last[call.about]
            last[call.about] = verified_on


def test_only_who_had_not_met_by_then_is_warned_and_in_order() -> None:
    levels: Counter[str] = Counter()
    for call in CALLS:
        if call.kind == "warnings":
            levels[call.about] += 1
            assert call.body["level"] == levels[call.about]
            meeting = regency().by_nik[call.about].meeting(call.body["book_year"])
            assert meeting is None or meeting.held_on > days(call)["letter_date"]
    assert Counter(levels.values()).keys() == {1, 2}


def test_the_office_gives_a_number_to_one_letter_only() -> None:
    letters = [call.body["letter_number"] for call in CALLS if call.kind in ("warnings", "removal-proposals")]
    assert len(letters) == len(set(letters))


def test_only_a_meeting_that_is_not_on_record_is_announced() -> None:
    plans = [call for call in CALLS if call.kind == "rat-plans"]
    assert {call.body["book_year"] for call in plans} == {2023, 2024}
    for call in plans:
        planned_on = days(call)["planned_on"]
        assert planned_on > date(call.body["book_year"], 12, 31)
        meeting = regency().by_nik[call.about].meeting(call.body["book_year"])
        assert meeting is None or meeting.held_on == planned_on


# ---------------------------------------------------------------- the register


def test_relocations_lead_to_a_village_of_the_kecamatan_they_name() -> None:
    for call in CALLS:
        if call.kind == "relocations":
            there = village(call.body["village_code"])
            assert there is not None
            assert there.kecamatan_code == call.body["kecamatan_code"]
            assert there.kecamatan_code != regency().by_nik[call.about].kecamatan_code


def test_some_that_exist_on_paper_only_were_traced_twice_the_second_time_with_the_village() -> None:
    traced: defaultdict[str, list[Call]] = defaultdict(list)
    for call in CALLS:
        if call.kind == "tracings" and regency().by_nik[call.about].conduct is Conduct.ON_PAPER:
            traced[call.about].append(call)
    twice = [calls for calls in traced.values() if len(calls) >= 2]
    assert len(twice) >= 10
    assert sum(len(calls) == 1 for calls in traced.values()) >= 10
    for first, second, *_ in twice:
        assert days(first)["traced_on"] < days(second)["traced_on"]
        assert regency().by_nik[first.about].village_code in second.body["village_letter_number"]


def test_one_removal_is_open_and_the_ministry_refused_another() -> None:
    assert [call.kind for call in about(PROPOSED_NIK) if call.service == "registry"] == [
        *("tracings", "tracings", "removal-proposals"),
    ]
    assert [call.kind for call in about(REFUSED_NIK)] == [
        *("tracings", "tracings", "removal-proposals", "removal-decisions", "tracings"),
    ]
    assert [call.body["decision"] for call in CALLS if call.kind == "removal-decisions"] == ["rejected"]
    for nik in (PROPOSED_NIK, REFUSED_NIK):
        on = [max(days(call).values()) for call in about(nik) if call.service == "registry"]
        assert on == sorted(on)


# ---------------------------------------------------------------- mentoring


def requests() -> list[list[Call]]:
    """Return every request with what was done about it, as the mentoring service sees them."""
    told: list[list[Call]] = []
    last: dict[str, list[Call]] = {}
    for call in CALLS:
        if call.kind == "requests":
            told.append([])
            last[call.about] = told[-1]
        if call.service == "mentoring":
            last[call.about].append(call)
    return told


def given(what: str) -> set[Any]:
    """Return the values that a field of any call to mentoring has."""
    return {call.body[what] for call in CALLS if call.service == "mentoring" and what in call.body}


def test_mentoring_is_asked_for_in_every_way_and_comes_to_everything_it_can_come_to() -> None:
    assert given("channel") == {"letter", "phone", "web", "visit", "camat"}
    assert given("category") == {
        *("rat", "bookkeeping", "vacant_board", "dispute", "legality", "business", "bad_loans", "other"),
    }
    assert given("kind") == {"visit", "training", "monitoring", "evaluation", "rat_attendance"}
    assert given("outcome") == {"rat_held", "active_again", "merged", "dissolution_path", "unreachable", "withdrawn"}
    decisions = Counter(course[1].kind if course[1:] else "undecided" for course in requests())
    assert decisions == {"acceptances": 20, "declines": 3, "redirections": 3, "undecided": 4}
    assert sum(course[0].nik is None for course in requests()) == 4


def test_a_request_runs_its_course_in_time() -> None:
    for asked, *course in requests():
        received_on = days(asked)["received_on"]
        assert days(asked).get("letter_date", received_on) <= received_on
        assert ("letter_date" in asked.body) == (asked.body["channel"] in ("letter", "camat"))
        on = [min(days(call).values()) for call in course]
        assert on == sorted(on)
        assert all(day >= received_on for day in on)
        visits = [call.body["held_on"] for call in course if call.body.get("kind") == "visit"]
        if course and course[0].kind == "acceptances":
            planned = course[0].body["visit_on"]
            assert visits[:1] == ([planned] if date.fromisoformat(planned) <= TODAY else [])
            assert days(course[0])["accepted_on"] > received_on


def test_the_team_has_visits_before_it() -> None:
    to_come = {call.body["visit_on"] for call in CALLS if call.kind == "acceptances" and days(call)["visit_on"] > TODAY}
    assert len(to_come) == 6


def test_help_is_needed_where_the_cooperative_sits_and_people_have_nobodys_number() -> None:
    for asked, *_ in requests():
        location = asked.body["location"]
        if code := location["village_code"]:
            here = village(code)
            assert here is not None
            assert here.kecamatan_code == location["kecamatan_code"]
        if asked.nik:
            assert location["kecamatan_code"] == regency().by_nik[asked.nik].kecamatan_code
        phones = [person["phone"] for person in asked.body["people"] if "phone" in person]
        assert phones
        assert all(re.fullmatch(r"0800-0000-\d{4}", phone) for phone in phones)


def test_the_team_attended_the_very_day_of_the_meeting() -> None:
    attended = {call.nik: days(call)["held_on"] for call in CALLS if call.body.get("kind") == "rat_attendance"}
    assert len(attended) == 2
    for nik, on in attended.items():
        assert nik
        assert on in {meeting.held_on for meeting in regency().by_nik[nik].meetings}


def test_no_more_come_than_there_are_members() -> None:
    for asked, *course in requests():
        if asked.nik and (total := regency().by_nik[asked.nik].members_total):
            assert all(call.body.get("participants", 0) <= total for call in course)


def test_nobody_is_asked_for_twice_while_being_helped_but_one_that_is_declined() -> None:
    asking = Counter(petition.who for petition in PETITIONS if isinstance(petition.who, str))
    [twice] = [nik for nik, times in asking.items() if times > 1]
    assert [course[1].kind for course in requests() if course[0].nik == twice] == ["acceptances", "declines"]


# ---------------------------------------------------------------- Wagir


def test_wagir_asks_by_letter_is_mentored_and_meets_again_with_the_team_attending() -> None:
    told = [(call.kind, call.body.get("kind", "")) for call in about(WAGIR_NIK)]
    assert told == [
        ("tracings", ""),
        ("warnings", ""),
        ("requests", ""),
        ("acceptances", ""),
        ("activities", "visit"),
        ("activities", "training"),
        ("activities", "monitoring"),
        ("rat-plans", ""),
        ("activities", "evaluation"),
        ("rats", ""),
        ("activities", "rat_attendance"),
        ("tracings", ""),
        ("verifications", ""),
        ("completions", ""),
        ("rat-plans", ""),
    ]


def test_wagirs_story_is_told_in_the_order_in_which_it_happened() -> None:
    # The meeting of the next year is announced last, and is yet to come; that of this year before it was ready.
    dated = [call for call in about(WAGIR_NIK) if call.kind != "rat-plans"]
    names = {"requests": "received_on", "acceptances": "accepted_on", "rats": "held_on"}
    on = [days(call)[names[call.kind]] if call.kind in names else min(days(call).values()) for call in dated]
    assert on == sorted(on)
    assert about(WAGIR_NIK)[7].body["planned_on"] == "2024-09-21"


def test_the_team_was_at_the_meeting_in_wagir_and_all_who_came_are_counted() -> None:
    [meeting] = [call for call in about(WAGIR_NIK) if call.kind == "rats"]
    [there] = [call for call in about(WAGIR_NIK) if call.body.get("kind") == "rat_attendance"]
    assert meeting.body["held_on"] == there.body["held_on"] == "2024-09-21"
    assert meeting.body["members_present"] == there.body["participants"] == 24


# ---------------------------------------------------------------- camat reports


def test_every_camat_gets_one_report_some_acknowledge_and_some_of_those_act() -> None:
    reports = {kecamatan.code: about(kecamatan.code) for kecamatan in all_kecamatan()}
    assert all([call.kind for call in calls][:1] == ["camat-reports"] for calls in reports.values())
    acknowledged = {code for code, calls in reports.items() if "acknowledgements" in {call.kind for call in calls}}
    acted = {code for code, calls in reports.items() if "follow-ups" in {call.kind for call in calls}}
    assert 3 < len(acted) < len(acknowledged) < 33
    assert acted < acknowledged
    assert "35.07.21" in acted


def test_camats_act_on_troubled_cooperatives_of_their_own_after_they_got_the_report() -> None:
    for call in CALLS:
        if call.kind == "follow-ups":
            assert call.nik
            cooperative = regency().by_nik[call.nik]
            assert cooperative.troubled
            assert cooperative.kecamatan_at(LAST_DAY) == call.about
            [got] = [each for each in about(call.about) if each.kind == "acknowledgements"]
            assert ISSUED_ON < days(got)["acknowledged_on"] < days(call)["done_on"]
