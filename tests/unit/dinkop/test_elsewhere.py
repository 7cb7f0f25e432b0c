"""A system on servers of its own is what the environment says, and what it can't say is refused in words."""

import asyncio
from datetime import date
from pathlib import Path

import httpx
import pytest

from contracts.envelope import SERVICES
from dinkop import elsewhere, system
from dinkop.system import Misused, System, Unreachable

URLS = " ".join(f"{name}=http://{name}:8000/" for name in SERVICES)


def test_nothing_is_elsewhere_unless_it_is_named() -> None:
    assert elsewhere.told({}) is None
    assert elsewhere.told({"DINKOP_SERVICES": " "}) is None


def test_services_are_named_by_a_variable_and_what_holds_a_password_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "dinkop_nats_url").write_text("nats://dinkop:hidden@nats:4222\n")
    (tmp_path / "dinkop_rat_database_url").write_text("postgresql://rat:hidden@postgres/rat\n")
    environment = {"DINKOP_SERVICES": URLS, "DINKOP_SECRETS": str(tmp_path), "DINKOP_TODAY": "2024-11-14"}
    told = elsewhere.told(environment | {"DINKOP_NATS_MONITORING_URL": "http://nats:8222"})
    assert told is not None
    assert told.services == {name: f"http://{name}:8000" for name in SERVICES}
    assert told.nats_url == "nats://dinkop:hidden@nats:4222"
    assert told.databases == {"rat": "postgresql://rat:hidden@postgres/rat"}
    assert (told.monitoring_url, told.today) == ("http://nats:8222", date(2024, 11, 14))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DINKOP_SERVICES", "registry=http://registry:8000"),
        ("DINKOP_SERVICES", f"{URLS} weather=http://weather"),
        ("DINKOP_SERVICES", URLS.replace("http://rat", "rat")),
        ("DINKOP_TODAY", "yesterday"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("DINKOP_SERVICES", URLS)
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misused, match=variable):
        System.find(None)


def test_a_command_says_which_secret_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DINKOP_SERVICES", URLS)
    found = System.find(tmp_path)
    with pytest.raises(Unreachable, match="dinkop_rat_database_url"):
        found.database_url("rat")
    with pytest.raises(Unreachable, match="DINKOP_NATS_URL"):
        _ = found.nats
    with pytest.raises(Misused, match=r"servers of its own.*Do that instead\."):
        found.must_be_here("Do that instead.")


LEADING = {"10.0.0.1": False, "10.0.0.2": True}


def test_of_several_replicas_the_one_that_leads_is_shown_and_a_dead_one_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DINKOP_SERVICES", URLS)

    async def replicas(url: str) -> list[str]:
        return [f"http://{host}:8000" for host in (*LEADING, "10.0.0.3")]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host not in LEADING:
            raise httpx.ConnectError("refused")
        parts = dict.fromkeys(("store", "relay", "writes", "reconciled", "parked_reactions"))
        return httpx.Response(200, json={"leading": LEADING[request.url.host], "items": [], **parts})

    monkeypatch.setattr(system, "_replicas", replicas)

    async def ask() -> dict[str, object]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            told, _ = await System.find(tmp_path)._service(client, "rat", "http://rat:8000")
            return told

    told = asyncio.run(ask())
    assert (told["leading"], told["ready"], told["url"]) == (True, True, "http://rat:8000")


async def test_a_name_with_one_address_is_asked_by_its_name() -> None:
    assert await system._replicas("http://127.0.0.1:8000") == ["http://127.0.0.1:8000"]
    assert await system._replicas("https://127.0.0.1:8000") == ["https://127.0.0.1:8000"]
