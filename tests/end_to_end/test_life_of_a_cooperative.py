"""From a registration to the numbers of its kecamatan, and every past state of knowledge again."""

from typing import Any

from running import Installation

WAGIR, DAU = "35.07.21", "35.07.22"
FOUNDED_ON = "2022-05-02"
AS_OF = "2025-09-01"  # book years 2022 to 2024 are due


def rat(system: Installation, cooperative_id: str, position: str, book_year: int) -> str:
    """Record a meeting in March of the year after; return the position."""
    body = {
        "book_year": book_year,
        "held_on": f"{book_year + 1}-03-10",
        "members_total": 40,
        "members_present": 31,
    }
    _, after = system.post("rat", f"/v1/cooperatives/{cooperative_id}/rats", body, at_least=position)
    return after


def health(system: Installation, cooperative_id: str, **params: str) -> dict[str, Any]:
    answer: dict[str, Any] = system.get("reporting", f"/v1/health/{cooperative_id}", **params)
    return answer


def numbers(system: Installation, code: str, **params: str) -> dict[str, int]:
    """Return the counts of a kecamatan."""
    answer = system.get("reporting", f"/v1/kecamatan/{code}", **params)
    return {name: value for name, value in answer.items() if isinstance(value, int)}


def known_ids(system: Installation, cooperative_id: str) -> set[str]:
    histories = [system.get(service, f"/v1/cooperatives/{cooperative_id}/history") for service in ("registry", "rat")]
    return {item["event_id"] for history in histories for item in history["items"]}


def test_a_meeting_is_seen_in_health_and_in_the_numbers_and_because_names_its_event(system: Installation) -> None:
    before = numbers(system, WAGIR, as_of=AS_OF)
    cooperative_id, registered = system.register("Koperasi Satu Jalan", FOUNDED_ON)
    lapsed = health(system, cooperative_id, at_least=registered, as_of=AS_OF)
    assert (lapsed["status"], lapsed["kecamatan_code"], lapsed["existence"]) == ("lapsed", WAGIR, "registered")
    assert {year["book_year"]: year["state"] for year in lapsed["book_years"]} == dict.fromkeys(
        (2022, 2023, 2024), "missed"
    )
    counted = numbers(system, WAGIR, as_of=AS_OF, at_least=registered)
    assert counted == before | {name: before[name] + 1 for name in ("registered", "obliged", "lapsed")}

    for book_year in (2022, 2023, 2024):
        position = rat(system, cooperative_id, registered, book_year)
        after = health(system, cooperative_id, at_least=position, as_of=AS_OF)
        assert after["status"] == ("healthy" if book_year == 2024 else "inconsistent")
    assert {year["state"] for year in after["book_years"]} == {"on_time"}
    assert after["because"]["rule"]
    assert set(after["because"]["events"]) <= known_ids(system, cooperative_id)
    assert len(after["because"]["events"]) >= 4
    counted = numbers(system, WAGIR, as_of=AS_OF, at_least=position)
    assert counted == before | {name: before[name] + 1 for name in ("registered", "obliged", "healthy", "held_latest")}
    assert after["positions"]["rat"] >= int(position.partition(":")[2])
    assert after["policy"] == "rat-3y-2024"


def test_an_annulled_meeting_counts_no_longer_but_what_was_known_before_stays_answerable(system: Installation) -> None:
    cooperative_id, registered = system.register("Koperasi Batal", FOUNDED_ON)
    for book_year in (2022, 2023, 2024):
        position = rat(system, cooperative_id, registered, book_year)
    before = health(system, cooperative_id, at_least=position, as_of=AS_OF)
    assert before["status"] == "healthy"

    body = {"reason": "The minutes belong to a namesake"}
    _, annulled = system.post("rat", f"/v1/cooperatives/{cooperative_id}/rats/2024/annulments", body)
    now = health(system, cooperative_id, at_least=annulled, as_of=AS_OF)
    assert now["status"] == "inconsistent"
    assert {year["book_year"]: year["state"] for year in now["book_years"]}[2024] == "missed"

    then = health(system, cooperative_id, as_of=AS_OF, known_at=before["known_at"])
    assert {name: value for name, value in then.items() if name != "positions"} == {
        name: value for name, value in before.items() if name != "positions"
    }
    listed = system.get("rat", f"/v1/cooperatives/{cooperative_id}/rats")["items"]
    assert [(item["book_year"], item["annulled"]) for item in listed] == [(2022, False), (2023, False), (2024, True)]

    again = rat(system, cooperative_id, registered, 2024)
    assert health(system, cooperative_id, at_least=again, as_of=AS_OF)["status"] == "healthy"


def test_a_correction_was_always_so_and_known_at_tells_what_was_believed(system: Installation) -> None:
    cooperative_id, registered = system.register("Koperasi Salah Tulis", FOUNDED_ON)
    position = rat(system, cooperative_id, registered, 2023)
    before = health(system, cooperative_id, at_least=f"{registered},{position}", as_of=AS_OF)
    body = {"changes": {"legal_entity_date": "2023-02-01"}, "reason": "As in the deed"}
    _, corrected = system.post("registry", f"/v1/cooperatives/{cooperative_id}/corrections", body)

    now = health(system, cooperative_id, at_least=corrected, as_of=AS_OF)
    assert [year["book_year"] for year in now["book_years"]] == [2023, 2024]
    assert [year["book_year"] for year in before["book_years"]] == [2022, 2023, 2024]
    answer = system.http.get(system.url("reporting", f"/v1/health/{cooperative_id}"), params={"as_of": "2022-12-31"})
    assert answer.status_code == 404, "it had not been founded then, as is known now"
    then = health(system, cooperative_id, as_of="2022-12-31", known_at=before["known_at"])
    assert then["status"] == "not_yet_due", "as was believed before the correction"


def test_a_relocation_moves_it_to_the_other_kecamatan_from_its_day_on(system: Installation) -> None:
    cooperative_id, position = system.register("Koperasi Pindah", FOUNDED_ON)
    before = health(system, cooperative_id, at_least=position, as_of=AS_OF)
    wagir, dau = numbers(system, WAGIR, as_of=AS_OF), numbers(system, DAU, as_of=AS_OF)
    body = {"kecamatan_code": DAU, "address": "Jl. Raya Dau 1", "effective_on": "2024-07-01"}
    answer, moved = system.post("registry", f"/v1/cooperatives/{cooperative_id}/relocations", body)
    assert answer["version"] == 2

    places = {
        as_of: health(system, cooperative_id, at_least=moved, as_of=as_of)["kecamatan_code"]
        for as_of in ("2024-06-30", "2024-07-01", AS_OF)
    }
    assert places == {"2024-06-30": WAGIR, "2024-07-01": DAU, AS_OF: DAU}
    assert health(system, cooperative_id, as_of=AS_OF, known_at=before["known_at"])["kecamatan_code"] == WAGIR
    moving = ("registered", "obliged", "lapsed")
    assert numbers(system, WAGIR, as_of=AS_OF) == wagir | {name: wagir[name] - 1 for name in moving}
    assert numbers(system, DAU, as_of=AS_OF) == dau | {name: dau[name] + 1 for name in moving}
    assert numbers(system, WAGIR, as_of=AS_OF, known_at=before["known_at"]) == wagir
    assert {item["type"] for item in system.get("registry", f"/v1/cooperatives/{cooperative_id}/history")["items"]} == {
        "CooperativeRegistered",
        "CooperativeRelocated",
    }


def test_a_request_for_mentoring_is_counted_where_it_was_asked_for(system: Installation) -> None:
    cooperative_id, registered = system.register("Koperasi Minta Tolong", FOUNDED_ON)
    before = numbers(system, DAU, at_least=registered)
    body = {
        "cooperative_id": cooperative_id,
        "cooperative_name": "Koperasi Minta Tolong",
        "location": {"kecamatan_code": DAU, "address": "Balai desa"},
        "people": [{"name": "Contoh", "role": "chair"}],
        "complaint": "No meeting since the chair moved away",
        "category": "rat",
        "channel": "letter",
        "received_on": "2025-08-01",
    }
    _, position = system.post("mentoring", "/v1/requests", body, at_least=registered)
    assert numbers(system, DAU, at_least=position) == before | {"mentoring_open": before["mentoring_open"] + 1}
    assert health(system, cooperative_id, at_least=position)["mentoring_open"] is True
    assert health(system, cooperative_id, as_of="2025-07-31")["mentoring_open"] is False


def test_a_key_used_twice_acts_once(system: Installation) -> None:
    body = {
        "name": "Koperasi Sekali",
        "legal_entity_number": "SEKALI/1",
        "legal_entity_date": FOUNDED_ON,
        "kecamatan_code": WAGIR,
    }
    headers = {"Idempotency-Key": "koperasi-sekali"}
    url = system.url("registry", "/v1/cooperatives")
    first, second = (system.http.post(url, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json()) == (201, second.json())
    assert first.headers["Dinkop-Position"] == second.headers["Dinkop-Position"]
    assert system.http.post(url, json=body | {"name": "Another"}, headers=headers).status_code == 422
    refused = system.http.post(url, json=body)
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/already-registered"
    assert first.json()["cooperative_id"] in refused.text
