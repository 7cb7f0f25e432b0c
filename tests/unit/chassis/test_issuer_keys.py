"""The issuer's keys: followed as they rotate, kept while it is away, asked for neither too often nor too seldom."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from joserfc.jwk import ECKey
from structlog.testing import capture_logs

from chassis.http import issuer_keys
from chassis.http.issuer_keys import IdentityUnavailable, IssuerKeys, keys_from_file

OLD, NEW = (ECKey.generate_key("P-256", {"kid": kid}).as_dict(private=False) for kid in ("old", "new"))


class Issuer:
    """An issuer that publishes what a test puts in, or is away."""

    def __init__(self, *keys: Any) -> None:
        self.keys: Any = list(keys)
        self.away = False
        self.asked = 0

    async def __call__(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.away:
            raise ConnectionError("nobody there")
        return {"keys": self.keys}


@asynccontextmanager
async def followed(keys: IssuerKeys) -> AsyncIterator[None]:
    """Follow the keys as a service does."""
    task = asyncio.create_task(keys.follow())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_is_new_is_asked_for_at_once() -> None:
    issuer = Issuer(OLD)
    keys = IssuerKeys(issuer, every=1000, ask_again=0)
    assert await keys.find("old")
    issuer.keys = [NEW, OLD]
    assert await keys.find("new")
    assert await keys.find("old")
    assert issuer.asked == 2


async def test_keys_that_nobody_knows_do_not_make_us_ask_all_the_time() -> None:
    issuer = Issuer(OLD)
    keys = IssuerKeys(issuer, every=1000, ask_again=1000)
    assert await asyncio.gather(*(keys.find(f"unknown {number}") for number in range(50))) == [None] * 50
    assert await keys.find("old")
    assert issuer.asked == 1


async def test_a_key_that_was_taken_back_ends_when_the_issuer_is_asked_again() -> None:
    issuer = Issuer(NEW, OLD)
    keys = IssuerKeys(issuer, every=0.01, ask_again=1000)
    async with followed(keys):
        await eventually(lambda: issuer.asked > 1)
        assert await keys.find("old")
        issuer.keys = [NEW]

        async def ended() -> bool:
            return await keys.find("old") is None

        await eventually(ended)
        assert await keys.find("new")


@pytest.mark.parametrize("answer", [None, [], "keys", {"keys": 7}])
async def test_keys_are_kept_while_the_issuer_is_away_or_talks_nonsense(answer: Any) -> None:
    issuer = Issuer(OLD)

    async def fetch() -> Any:
        return await issuer() if answer is None or issuer.asked == 0 else answer

    keys = IssuerKeys(fetch, every=0.001, ask_again=0)
    assert await keys.find("old")
    issuer.away = True
    with capture_logs() as lines:
        for _ in range(3):
            assert await keys.find("unknown") is None
            assert await keys.find("old")
    assert [line["event"] for line in lines] == ["identity.keys_not_had"], "told once an outage"


async def test_before_any_keys_were_had_nobody_can_be_recognised_and_then_they_can() -> None:
    issuer = Issuer(OLD)
    issuer.away = True
    keys = IssuerKeys(issuer, every=1000, ask_again=0)
    with pytest.raises(IdentityUnavailable) as unavailable:
        await keys.find("old")
    assert int(unavailable.value.headers["Retry-After"]) > 0
    issuer.away = False
    assert await keys.find("old")


async def test_an_issuer_that_has_no_keys_vouches_for_nobody() -> None:
    issuer = Issuer(OLD)
    keys = IssuerKeys(issuer, every=1000, ask_again=0)
    assert await keys.find("old")
    issuer.keys = []
    assert await keys.find("unknown") is None
    assert await keys.find("old") is None


async def test_a_file_of_keys_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "FILE_SECONDS", 0.01)
    file = tmp_path / "jwks.json"
    keys = keys_from_file(file)
    async with followed(keys):
        with pytest.raises(IdentityUnavailable):
            await keys.find("old")
        file.write_text(json.dumps({"keys": [OLD]}))
        assert await keys.find("old")
        file.write_text(json.dumps({"keys": [NEW, OLD]}))
        assert await keys.find("new")
        file.write_text(json.dumps({"keys": [NEW]}))

        async def ended() -> bool:
            return await keys.find("old") is None

        await eventually(ended)
        file.write_text("{ half a fi")
        assert await keys.find("unknown") is None
        assert await keys.find("new")
