"""Tracings and removals as a caller meets them: what is recorded, shown, listed, and every refusal."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from registry_service import (
    NOBODY,
    NOTHING,
    TUMPANG,
    Cooperative,
    decision,
    proposal,
    refused,
    registered,
    tracing,
)

TODAY, TOMORROW = "2024-11-14", "2024-11-15"


@pytest.fixture
async def melati(registry: httpx.AsyncClient) -> Cooperative:
    """A registered cooperative."""
    return await registered(registry)


@pytest.fixture
async def missing(melati: Cooperative) -> Cooperative:
    """One that was not found, twice."""
    for day in ("2024-05-07", "2024-08-30"):
        await melati.done("tracings", tracing(day))
    return melati


@pytest.fixture
async def proposed(missing: Cooperative) -> Cooperative:
    """One whose removal is proposed."""
    await missing.done("removal-proposals", proposal())
    return missing


async def test_a_tracing_is_201_with_version_etag_and_position(melati: Cooperative) -> None:
    answer = await melati.post("tracings", tracing("2024-05-07", office_found=True))
    assert (answer.status_code, answer.json()) == (201, {"cooperative_id": melati.id, "version": 2})
    assert (answer.headers["etag"], answer.headers["dinkop-position"]) == ('"2"', "registry:2")
    item = await melati.get()
    assert (item["existence"], item["finding"], item["traced_on"]) == ("dormant", "dormant", "2024-05-07")


async def test_a_tracing_without_a_day_is_of_today(melati: Cooperative) -> None:
    await melati.done("tracings", NOTHING | {"operating": True})
    assert (await melati.get())["traced_on"] == TODAY


async def test_the_last_finding_by_its_day_holds_and_of_two_on_one_day_the_later_recorded(melati: Cooperative) -> None:
    await melati.done("tracings", tracing("2024-08-30"))
    await melati.done("tracings", tracing("2024-05-07", operating=True))
    assert await melati.existence() == "not_found"
    await melati.done("tracings", tracing("2024-08-30", finding="moved"))
    assert await melati.existence() == "moved"


async def test_a_removal_runs_from_two_tracings_to_the_decision_and_is_told_in_history(missing: Cooperative) -> None:
    assert await missing.existence() == "not_found"
    await missing.done("removal-proposals", proposal())
    assert await missing.existence() == "removal_proposed"
    await missing.done("tracings", tracing("2024-10-14", operating=True))
    assert await missing.existence() == "removal_proposed"
    await missing.done("removal-decisions", decision("rejected"))
    assert await missing.existence() == "found"
    await missing.done("removal-proposals", proposal(letter_date=TODAY))
    await missing.done("removal-decisions", decision(decided_on=TODAY))
    assert await missing.existence() == "dissolved"
    items = (await missing.registry.get(f"{missing.path}/history")).json()["items"]
    assert [item["type"] for item in items] == [
        "CooperativeRegistered",
        "CooperativeTraced",
        "CooperativeTraced",
        "RemovalProposed",
        "CooperativeTraced",
        "RemovalRejected",
        "RemovalProposed",
        "RemovalApproved",
    ]
    assert items[3]["data"] == {**proposal(), "kecamatan_code": "35.07.21"}
    assert all(item["actor"] and datetime.fromisoformat(item["recorded_at"]) for item in items)


async def test_lists_show_and_find_what_exists_how(missing: Cooperative, registry: httpx.AsyncClient) -> None:
    other = await registered(registry)

    async def found(existence: str, at_least: str) -> list[tuple[str, str | None]]:
        answer = await registry.get("/v1/cooperatives", params={"existence": existence, "at_least": at_least})
        assert answer.status_code == 200, answer.text
        return [(item["cooperative_id"], item["traced_on"]) for item in answer.json()["items"]]

    position = await missing.done("tracings", tracing("2024-09-01", finding="dormant"))
    assert await found("dormant", position) == [(missing.id, "2024-09-01")]
    assert await found("registered", position) == [(other.id, None)]
    position = await missing.done("removal-proposals", proposal())
    assert await found("removal_proposed", position) == [(missing.id, "2024-09-01")]
    assert await found("dormant", position) == []
    position = await missing.done("removal-decisions", decision())
    assert await found("dissolved", position) == [(missing.id, "2024-09-01")]


async def test_notes_are_for_the_office_and_neither_in_history_nor_published(
    melati: Cooperative, registry: httpx.AsyncClient
) -> None:
    await melati.done("tracings", tracing("2024-05-07", notes="Stempel pada Pak Contoh", village_letter_number="470/1"))
    [item] = (await registry.get(f"{melati.path}/tracings")).json()["items"]
    assert (item["notes"], item["village_letter_number"], item["finding"]) == (
        "Stempel pada Pak Contoh",
        "470/1",
        "not_found",
    )
    history = await registry.get(f"{melati.path}/history")
    assert "470/1" in history.text
    assert "Contoh" not in history.text.replace("Koperasi Tani Contoh", "")
    refused(await registry.get(f"/v1/cooperatives/{NOBODY}/tracings"), 404, "no-such-cooperative")


async def test_both_truths_stand_side_by_side_with_their_days(registry: httpx.AsyncClient) -> None:
    """The Ministry lists it, the office looked for it in vain: neither overwrites the other."""
    listed = await registered(registry, source="ods", members_total=12)
    await listed.done("tracings", tracing("2024-08-30"))
    await listed.done("corrections", {"changes": {"members_total": 3}, "reason": "counted"})
    item = await listed.get()
    assert item["ministry"]["existence"]["value"] == "registered"
    office = item["office"]["existence"]
    assert (office["value"], office["on"]) == ("not_found", "2024-08-30")
    assert (item["ministry"]["members_total"]["value"], item["office"]["members_total"]["value"]) == (12, 3)
    assert item["differing"] == ["members_total"]
    assert all({"value", "on", "recorded_at"} == set(said) for said in item["office"].values())


REFUSED_TRACINGS: list[tuple[dict[str, Any], str, str]] = [
    ({"traced_on": TOMORROW}, "in-the-future", "traced_on"),
    ({"traced_on": "2010-01-04"}, "before-it-existed", "traced_on"),
    ({"traced_on": "30/08/2024"}, "invalid", "traced_on"),
    ({"operating": "no"}, "invalid", "operating"),
    ({"finding": "dissolved"}, "invalid", "finding"),
    ({"village_letter_number": ""}, "invalid", "village_letter_number"),
    ({"photo": "x"}, "invalid", "photo"),
]


@pytest.mark.parametrize(("different", "slug", "field"), REFUSED_TRACINGS, ids=lambda value: str(value))
async def test_a_tracing_that_cannot_be_right_is_422(
    melati: Cooperative, different: dict[str, Any], slug: str, field: str
) -> None:
    refused(await melati.post("tracings", tracing("2024-05-07") | different), 422, slug, field)
    assert (await melati.get())["version"] == 1


@pytest.mark.parametrize("lacking", NOTHING)
async def test_a_tracing_needs_all_its_evidence(melati: Cooperative, lacking: str) -> None:
    body = tracing("2024-05-07")
    del body[lacking]
    refused(await melati.post("tracings", body), 422, "invalid", lacking)


async def test_a_removal_needs_two_tracings_on_different_days(melati: Cooperative) -> None:
    refused(await melati.post("removal-proposals", proposal()), 409, "tracing-required")
    await melati.done("tracings", tracing("2024-05-07"))
    await melati.done("tracings", tracing("2024-05-07", office_found=True))
    await melati.done("tracings", tracing("2024-08-30", operating=True))
    refused(await melati.post("removal-proposals", proposal()), 409, "tracing-required")
    await melati.done("tracings", tracing("2024-08-31", members_reached=True))
    await melati.done("removal-proposals", proposal())


@pytest.mark.parametrize(
    ("different", "slug", "field"),
    [
        ({"letter_date": TOMORROW}, "in-the-future", "letter_date"),
        ({"letter_date": "2010-01-04"}, "before-it-existed", "letter_date"),
        ({"letter_date": None}, "invalid", "letter_date"),
        ({"letter_number": " "}, "invalid", "letter_number"),
        ({"grounds": ""}, "invalid", "grounds"),
    ],
)
async def test_a_proposal_that_cannot_be_right_is_422(
    missing: Cooperative, different: dict[str, Any], slug: str, field: str
) -> None:
    refused(await missing.post("removal-proposals", proposal() | different), 422, slug, field)


@pytest.mark.parametrize(
    ("different", "slug", "field"),
    [
        ({"decided_on": TOMORROW}, "in-the-future", "decided_on"),
        ({"decided_on": "2024-09-29"}, "before-the-proposal", "decided_on"),
        ({"decision": "postponed"}, "invalid", "decision"),
        ({"decree_number": ""}, "invalid", "decree_number"),
        ({"authority": ""}, "invalid", "authority"),
    ],
)
async def test_a_decision_that_cannot_be_right_is_422(
    proposed: Cooperative, different: dict[str, Any], slug: str, field: str
) -> None:
    refused(await proposed.post("removal-decisions", decision() | different), 422, slug, field)


async def test_a_removal_is_proposed_once_and_decided_once(proposed: Cooperative) -> None:
    refused(await proposed.post("removal-proposals", proposal()), 409, "removal-already-proposed")
    await proposed.done("removal-decisions", decision("rejected"))
    refused(await proposed.post("removal-decisions", decision()), 409, "no-open-proposal")


async def test_without_a_proposal_there_is_nothing_to_decide(missing: Cooperative) -> None:
    refused(await missing.post("removal-decisions", decision()), 409, "no-open-proposal")


EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("corrections", {"changes": {"name": "Koperasi Lain"}, "reason": "deed"}),
    ("relocations", {"kecamatan_code": TUMPANG, "address": "Jl. Raya Tumpang 1"}),
    ("tracings", tracing("2024-05-07")),
    ("removal-proposals", proposal()),
    ("removal-decisions", decision()),
]


async def test_the_record_of_a_dissolved_cooperative_is_closed_but_still_read(proposed: Cooperative) -> None:
    await proposed.done("removal-decisions", decision())
    for what, body in EVERYTHING:
        problem = refused(await proposed.post(what, body), 409, "cooperative-dissolved")
        assert "2024-11-01" in problem["detail"]
    assert await proposed.existence() == "dissolved"


@pytest.mark.parametrize(("what", "body"), EVERYTHING[2:], ids=[what for what, _ in EVERYTHING[2:]])
async def test_a_cooperative_nobody_registered_is_404(
    registry: httpx.AsyncClient, what: str, body: dict[str, Any]
) -> None:
    nobody = Cooperative(registry, NOBODY)
    refused(await nobody.post(what, body), 404, "no-such-cooperative")
    refused(await Cooperative(registry, "melati").post(what, body), 422, "invalid", "cooperative_id")


async def test_a_repeat_gets_the_first_answer_and_a_stale_version_is_412(melati: Cooperative) -> None:
    first = await melati.post("tracings", tracing("2024-05-07"), **{"Idempotency-Key": "a-tracing"})
    again = await melati.post("tracings", tracing("2024-05-07"), **{"Idempotency-Key": "a-tracing"})
    assert (again.status_code, again.content) == (201, first.content)
    assert (await melati.get())["version"] == 2
    stale = await melati.post("tracings", tracing("2024-05-08"), **{"If-Match": '"1"'})
    refused(stale, 412, "stale-version")
