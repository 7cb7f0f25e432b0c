"""The calls that tell the stories: each of them one the services can accept, in the order told."""

from collections import Counter, defaultdict
from datetime import date

from contracts.regions import village
from dinkop.demonstration.regency import TODAY, WAGIR_NIK, regency
from dinkop.demonstration.stories import commands


def test_every_call_is_about_a_cooperative_of_the_regency_and_has_its_own_key() -> None:
    calls = list(commands(regency()))
    assert {call.nik for call in calls} <= regency().by_nik.keys()
    assert len({call.idempotency_key for call in calls}) == len(calls)
    assert [call.idempotency_key for call in calls] == [call.idempotency_key for call in commands(regency())]


def test_every_kind_of_record_is_told_of() -> None:
    assert Counter(call.path.rpartition("/")[2] for call in commands(regency())) == {
        "rats": 35,
        "verifications": 67,
        "annulments": 1,
        "relocations": 4,
        "corrections": 10,
    }


def test_recorded_meetings_have_a_quorum_and_books_that_balance() -> None:
    second_meetings = 0
    for call in commands(regency()):
        if call.path.endswith("/rats"):
            body = call.body
            assert date.fromisoformat(body["held_on"]) > date(body["book_year"], 12, 31)
            assert 0 < body["members_present"] <= body["members_total"]
            assert body["second_meeting"] or 2 * body["members_present"] > body["members_total"]
            assert body["total_assets"] == body["own_capital"] + body["outside_capital"]
            second_meetings += body["second_meeting"]
    assert second_meetings


def test_corrected_attendance_stays_within_the_membership() -> None:
    members = {call.nik: call.body["members_total"] for call in commands(regency()) if call.path.endswith("/rats")}
    for call in commands(regency()):
        if call.service == "rat" and call.path.endswith("/corrections"):
            assert call.body["changes"].get("members_present", 0) <= members[call.nik]


def test_nothing_happens_after_the_demonstrations_day_or_before_its_cause() -> None:
    last: defaultdict[str, date] = defaultdict(lambda: date.min)
    for call in commands(regency()):
        for name, value in call.body.items():
            if name.endswith("_on"):
                assert date.fromisoformat(value) <= TODAY
        if call.path.endswith("/rats"):
            last[call.nik] = date.fromisoformat(call.body["reported_on"])
            assert call.body["held_on"] <= call.body["reported_on"]
        if call.path.endswith("/verifications"):
            verified_on = date.fromisoformat(call.body["verified_on"])
            assert verified_on >= last[call.nik]
            last[call.nik] = verified_on


def test_relocations_lead_to_a_village_of_the_kecamatan_they_name() -> None:
    relocations = [call for call in commands(regency()) if call.path.endswith("/relocations")]
    for call in relocations:
        there = village(call.body["village_code"])
        assert there is not None
        assert there.kecamatan_code == call.body["kecamatan_code"]
        assert there.kecamatan_code != regency().by_nik[call.nik].kecamatan_code


def test_wagir_meets_again_and_is_verified() -> None:
    calls = [call for call in commands(regency()) if call.nik == WAGIR_NIK]
    assert [call.path.rpartition("/")[2] for call in calls] == ["rats", "verifications"]
    assert calls[0].body["held_on"] == "2024-09-21"
