"""Another agency is let in, reads the events with the official client, and is shown out."""

import asyncio
import json
from pathlib import Path

import nats
import psutil
import pytest
from running import Installation

type Given = dict[str, str]


async def first_id(given: Given) -> str:
    """Return the id of the first event that an agency has not acknowledged yet."""
    client = await nats.connect(
        given["url"],
        user=given["user"],
        password=given["password"],
        inbox_prefix=given["inbox_prefix"],
        allow_reconnect=False,
    )
    try:
        subscription = await client.jetstream().pull_subscribe_bind(given["durable"], given["stream"])
        [message] = await subscription.fetch(1, timeout=10)
        await message.ack_sync()
        return str(message.headers["ce-id"])
    finally:
        await client.close()


def secrets(system: Installation) -> list[bytes]:
    return [path.read_bytes() for path in (system.home / "doors" / "secrets").iterdir()]


def test_an_agency_reads_with_what_it_was_handed_until_it_is_revoked(system: Installation, tmp_path: Path) -> None:
    system.register("Koperasi Terbuka")
    file = tmp_path / "kominfo.json"
    given = system.json("agency", "add", "kominfo", "--out", file)
    assert given == json.loads(system.read(file))
    assert given.keys() == {"url", "user", "password", "stream", "durable", "inbox_prefix", "filter_subjects"}
    event = json.loads(system.dinkop("events", "show", asyncio.run(first_id(given))))
    assert event["sequence"] == "1"
    [item] = system.json("agency", "list")["items"]
    assert (item["name"], item["standing"], item["connections"]) == ("kominfo", "open", 0)
    assert item["lag"] == system.json("status")["stream"]["messages"] - item["position"]

    assert "has been added already" in system.dinkop("agency", "add", "kominfo", code=1)
    assert "There is no kecamatan" in system.dinkop("agency", "add", "bps", "--kecamatan", "99.99.99", code=2)
    assert "kominfo may not read any more" in system.dinkop("agency", "revoke", "kominfo")
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        asyncio.run(first_id(given))
    assert system.json("agency", "list")["items"] == []
    assert "There is no agency kominfo" in system.dinkop("agency", "revoke", "kominfo", code=1)


@pytest.mark.embedded
def test_no_password_is_told(system: Installation) -> None:
    hidden = secrets(system)
    assert len(hidden) == 5
    told = [path.read_bytes() for path in (system.home / "logs").iterdir()]
    told += [(system.home / "run.json").read_bytes(), system.output.encode(), system.dinkop("status").encode()]
    told += [" ".join(process.info["cmdline"] or []).encode() for process in psutil.process_iter(["cmdline"])]
    assert not [secret for secret in hidden for text in told if secret in text]
