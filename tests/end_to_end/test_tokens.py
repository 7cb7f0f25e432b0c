"""Who comes in, and as whom, through the commands and HTTP of a running system."""

import json
import time

import httpx
from running import PATIENCE, SERVICES, Installation


def test_a_token_opens_what_its_role_may_and_its_bearer_stands_in_the_history(system: Installation) -> None:
    with httpx.Client(timeout=PATIENCE, trust_env=False) as http:
        url = system.url("registry", "/v1/cooperatives")
        assert http.get(url).status_code == 401
        words = ("token", "--role", "camat", "--kecamatan", "Wagir", "--ttl", "5m")
        camat = {"Authorization": f"Bearer {system.dinkop(*words).strip()}"}
        officer = system.json("token", "--role", "officer", "--sub", "siti@kantor")
        assert http.post(url, json={}, headers=camat).status_code == 403
        assert {item["kecamatan_code"] for item in http.get(url, headers=camat).json()["items"]} <= {"35.07.21"}
        body = {
            "name": "Koperasi Token",
            "legal_entity_number": "TOKEN/1",
            "legal_entity_date": "2022-05-02",
            "kecamatan_code": "35.07.21",
        }
        answer = http.post(url, json=body, headers={"Authorization": f"Bearer {officer['token']}"})
        assert answer.status_code == 201, answer.text
        history = http.get(f"{url}/{answer.json()['cooperative_id']}/history", headers=camat).json()
    assert [item["actor"] for item in history["items"]] == ["siti@kantor"]
    refusals = [
        json.loads(line[line.index("{") :]) for line in system.log("registry").splitlines() if '"http.refused"' in line
    ]
    assert {(line["status"], line["actor"]) for line in refusals} >= {(401, None), (403, system.account)}
    assert camat["Authorization"].split()[1] not in str(refusals)


def test_when_all_tokens_are_ended_every_service_notices_within_seconds(system: Installation) -> None:
    token = {"Authorization": f"Bearer {system.dinkop('token', '--role', 'operator').strip()}"}
    urls = [system.url(service, "/v1/projections") for service in SERVICES]
    with httpx.Client(timeout=PATIENCE, trust_env=False, headers=token) as http:
        assert [http.get(url).status_code for url in urls] == [200] * 4
        assert "signs from now on" in system.dinkop("issuer", "rotate")
        assert [http.get(url).status_code for url in urls] == [200] * 4
        system.dinkop("issuer", "rotate", "--now")
        until = time.monotonic() + PATIENCE
        # One after another, each asked until it notices and then no more: a service that has refused a token often
        # enough answers 429 for the rest of a minute.
        for url in urls:
            while (status := http.get(url).status_code) != 401:
                assert time.monotonic() < until, f"{url}: {status}"
                time.sleep(0.1)
    # Commands make tokens of their own, with the key that is there.
    assert all(service["ready"] for service in system.json("status")["services"])
