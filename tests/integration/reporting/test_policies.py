"""Policies are rows: the table refuses what can't be, and verdicts go by the row of their day."""

from typing import Any

import asyncpg
import httpx
import pytest
from behind import Behind
from monitored import MELATI, held, registered
from whole_service import Others, serving

from chassis.settings import Settings
from chassis.storage.database import Database
from chassis.storage.read_models import ReadModels
from services.reporting.domain.policy import RAT_3Y_2024
from services.reporting.projections.health_status import projection
from services.reporting.tables import policies

CLOSED = "UPDATE policies SET valid_to = '2023-12-31' WHERE name = 'rat-3y-2024'"


def policy(name: str, valid_from: str | None, valid_to: str | None, due: str = "06-30", window: int = 2) -> str:
    period = ", ".join("NULL" if end is None else f"'{end}'" for end in (valid_from, valid_to))
    return f"INSERT INTO policies VALUES ('{name}', {period}, {window}, '{due}', '03-31', '06-30', '12-31')"


async def test_an_office_starts_with_the_policy_of_2024(service_database: Database) -> None:
    read_models = ReadModels(service_database)
    await read_models.live(projection).checkpoint()
    assert await policies.policies(read_models, projection) == [RAT_3Y_2024]


@pytest.mark.parametrize(
    "row",
    [
        policy("another", None, None),
        policy("another", "2023-12-31", None),
        policy("another", "2020-01-01", "2020-01-01"),
        policy("rat-3y-2024", "2024-01-01", None),
        policy("another", "2025-01-01", "2024-12-31"),
        policy("another", "2024-01-01", None, due="02-29"),
        policy("another", "2024-01-01", None, due="13-01"),
        policy("another", "2024-01-01", None, due="6-30"),
        policy("another", "2024-01-01", None, window=0),
        policy("Another One", "2024-01-01", None),
    ],
    ids=[
        "a second for all days",
        "the last day twice",
        "one day within",
        "a name twice",
        "ends before it begins",
        "a day not every year has",
        "no such month",
        "not MM-DD",
        "no year counts",
        "a name that is none",
    ],
)
async def test_a_row_that_cannot_be_right_is_refused(behind: Behind, row: str) -> None:
    await behind(CLOSED)
    with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)):
        await behind(row)
    await behind(policy("another", "2024-01-01", None))


async def answered(client: httpx.AsyncClient, path: str, status: int = 200, **params: str | int) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_verdicts_go_by_the_row_of_their_day(
    settings: Settings, others: Others, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "FRESH", 0.0)
    path = f"/v1/health/{MELATI}"
    async with serving(settings) as client:
        at_least = await others.tell(registered(MELATI), held(MELATI, 2021), held(MELATI, 2022))
        before = await answered(client, path, at_least=at_least, as_of="2024-01-01")
        assert (before["status"], before["policy"]) == ("inconsistent", "rat-3y-2024")
        await behind(CLOSED)
        await answered(client, path, 422, as_of="2024-01-01")
        await behind(policy("rat-2y-2024", "2024-01-01", None))
        after = await answered(client, path, as_of="2024-01-01")
        assert (after["status"], after["policy"]) == ("healthy", "rat-2y-2024")
        assert "rat-2y-2024" in after["because"]["rule"]
        earlier = await answered(client, path, as_of="2023-12-31")
        assert (earlier["status"], earlier["policy"]) == ("inconsistent", "rat-3y-2024")


async def test_the_policies_are_listed_by_their_periods_in_pages(
    settings: Settings, others: Others, behind: Behind
) -> None:
    for statement in (CLOSED, policy("b", "2026-01-01", None), policy("c", "2024-01-01", "2025-12-31")):
        await behind(statement)
    async with serving(settings) as client:
        first = await answered(client, "/v1/policies", limit=2)
        assert first["items"] == [
            {
                "name": "rat-3y-2024",
                "valid_from": None,
                "valid_to": "2023-12-31",
                "window": 3,
                "due": "06-30",
                "primary_deadline": "03-31",
                "secondary_deadline": "06-30",
                "attested_from": "12-31",
            },
            {**first["items"][1], "name": "c", "valid_from": "2024-01-01", "valid_to": "2025-12-31", "window": 2},
        ]
        rest = await answered(client, "/v1/policies", limit=2, cursor=first["next_cursor"])
        assert [item["name"] for item in rest["items"]] == ["b"]
        assert rest["next_cursor"] is None
        await answered(client, "/v1/policies", 422, cursor="bWVsYXRp")
