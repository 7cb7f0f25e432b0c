"""Input that can't be right: every service answers with a problem document, and never with a 5xx."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from documents import JSON, NOBODY, WAGIR, refused, registered, registration, report, request
from fresh import SERVICES
from system import System

COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("registry", "/v1/cooperatives", registration()),
    ("registry", f"/v1/cooperatives/{NOBODY}/corrections", {"changes": {"name": "X"}, "reason": "-"}),
    ("registry", f"/v1/cooperatives/{NOBODY}/relocations", {"kecamatan_code": WAGIR, "address": "-"}),
    ("rat", f"/v1/cooperatives/{NOBODY}/rats", report()),
    ("rat", f"/v1/cooperatives/{NOBODY}/rats/2023/verifications", {"verified_on": "2024-05-01"}),
    ("rat", f"/v1/cooperatives/{NOBODY}/rats/2023/corrections", {"changes": {"members_present": 31}, "reason": "-"}),
    ("rat", f"/v1/cooperatives/{NOBODY}/rats/2023/annulments", {"reason": "-"}),
    ("mentoring", "/v1/requests", request()),
]
every_command = pytest.mark.parametrize(("service", "path", "body"), COMMANDS, ids=[path for _, path, _ in COMMANDS])

UNREADABLE = {
    "cut off": b'{"name":',
    "nothing": b"",
    "no JSON": b"name=KSP",
    "broken UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "KSP"}'.encode("utf-16"),
    "an integer of 5,000 digits": b'{"members_total": ' + b"9" * 5_000 + b"}",
    "100,000 arrays in each other": b"[" * 100_000,
    "500 objects in each other": b'{"a":' * 500 + b"1" + b"}" * 500,
    "no object": b"[]",
    "null": b"null",
    "a string": b'"KSP"',
    "not a number": b'{"members_total": NaN}',
    "infinity": b'{"members_total": 1e999}',
    "a lone surrogate as a field": b'{"\\ud800": 1}',
    "a lone surrogate as a value": b'{"name": "\\ud800"}',
    "a lone surrogate inside": b'{"changes": {"\\ud800": 1}, "location": {"\\udfff": 1}}',
}


@every_command
async def test_a_body_that_cannot_be_read_is_422(system: System, service: str, path: str, body: dict[str, Any]) -> None:
    async with system.client(service) as client:
        for what, content in UNREADABLE.items():
            answer = await client.post(path, content=content, headers=JSON)
            assert answer.status_code == 422, what
            refused(answer, 422, "invalid")


@every_command
async def test_a_body_of_another_content_type_is_422(
    system: System, service: str, path: str, body: dict[str, Any]
) -> None:
    async with system.client(service) as client:
        for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense", ""):
            headers = {"Content-Type": content_type}
            problem = refused(await client.post(path, content=json.dumps(body), headers=headers), 422, "invalid")
            assert "application/json" in problem["detail"]


@every_command
async def test_a_field_nobody_knows_is_422_naming_it(
    system: System, service: str, path: str, body: dict[str, Any]
) -> None:
    async with system.client(service) as client:
        refused(await client.post(path, json=body | {"surprise": 1}), 422, "invalid", "surprise")


@every_command
async def test_a_parameter_nobody_knows_is_422_naming_it(
    system: System, service: str, path: str, body: dict[str, Any]
) -> None:
    async with system.client(service) as client:
        for name in ("surprise", "limit", "\x00", "%ED%A0%80"):
            refused(await client.post(path, json=body, params={name: "1"}), 422, "invalid", name)


@every_command
async def test_a_missing_field_is_422_naming_it(system: System, service: str, path: str, body: dict[str, Any]) -> None:
    optional = {"verified_on", "village_code"}
    async with system.client(service) as client:
        for name in body.keys() - optional:
            left = {field: value for field, value in body.items() if field != name}
            refused(await client.post(path, json=left), 422, "invalid", name)


@every_command
async def test_headers_that_cannot_be_read_are_422_naming_them(
    system: System, service: str, path: str, body: dict[str, Any]
) -> None:
    headers: list[tuple[str, bytes]] = [
        ("Idempotency-Key", b""),
        ("Idempotency-Key", b"two words"),
        ("Idempotency-Key", b"k" * 256),
        ("Idempotency-Key", b"\xff\xfe"),
        ("Idempotency-Key", "schl\u00fcssel".encode()),
        ("If-Match", b""),
        ("If-Match", b"3"),
        ("If-Match", b'"three"'),
        ("If-Match", b'"-1"'),
        ("If-Match", b'"99999999999999999999"'),
        ("If-Match", b'"\xed\xa0\x80"'),
    ]
    async with system.client(service) as client:
        for name, value in headers:
            refused(await client.post(path, json=body, headers=[(name.encode(), value)]), 422, "invalid", name)


NO_TEXT = ["", "   ", "a\0b", "line\nbreak", "\u0085", "x" * 201, 1, True, None, ["x"], {"x": 1}]
NO_DATE = [
    "0001-01-01",
    "1899-12-31",
    "2200-01-01",
    "9999-12-31",
    "10000-01-01",
    "2024-02-30",
    "20240228",
    "2024-W05-1",
    "2024-02-28T00:00:00",
    "28/02/2024",
    "\u0662\u0660\u0662\u0664-01-01",
    1709078400,
    1709078400.5,
    0,
    "1709078400",
    True,
    "",
    None,
]
NO_COUNT = [-1, 1.0, 1.5, 1e3, True, "1", 10**8 + 1, 10**18, 2**64, 10**400, [], None]
NO_CODE = ["", "350721", "35.07.2", "35.07.21 ", "35.07.21\n", "35.07.21\0", "\u0663\u0665.07.21", 350721, None]
NO_NIK = ["", "123456789012", "12345678901234", "350721002000a", "\u0663" * 13, 3507210020001, True]

REGISTRATIONS: list[tuple[str, list[Any]]] = [
    ("name", NO_TEXT),
    ("legal_entity_number", NO_TEXT),
    ("legal_entity_date", NO_DATE),
    ("kecamatan_code", NO_CODE),
    ("village_code", ["", "35.07.21", "35.07.21.20030", 1, "35.07.21.2003\n"]),
    ("nik", NO_NIK),
    ("members_total", [value for value in NO_COUNT if value is not None]),
    ("tier", ["", "PRIMARY", 1, None]),
    ("scope", ["village", None]),
    ("type", ["bank"]),
    ("nik_grade", ["E", "a", 1]),
    ("source", ["web", None]),
    ("address", ["", "\0", "x" * 4_001, 1]),
    ("existence", ["found"]),
    ("cooperative_id", [NOBODY]),
]


@pytest.mark.parametrize(("field", "values"), REGISTRATIONS, ids=[field for field, _ in REGISTRATIONS])
async def test_a_registration_with_a_value_that_cannot_be_right_is_422(
    registry: httpx.AsyncClient, field: str, values: list[Any]
) -> None:
    for value in values:
        content = json.dumps(registration() | {field: value}).encode()
        refused(await registry.post("/v1/cooperatives", content=content, headers=JSON), 422, "invalid", field)


@pytest.fixture
async def somebody(registry: httpx.AsyncClient, rat: httpx.AsyncClient) -> str:
    """A cooperative with a meeting on record for 2022, known to rat."""
    cooperative_id, position = await registered(registry)
    body = report(book_year=2022, held_on="2023-02-17")
    answer = await rat.post(f"/v1/cooperatives/{cooperative_id}/rats", json=body, params={"at_least": position})
    assert answer.status_code == 201, answer.text
    return cooperative_id


NO_MONEY = [1.5, "1000000", True, 10**15 + 1, -(10**15) - 1, 10**400]
REPORTS: list[tuple[str, list[Any]]] = [
    ("book_year", [0, 1, 1899, 2200, 9999, 2023.0, "2023", True, None, 10**30]),
    ("held_on", NO_DATE),
    ("reported_on", [value for value in NO_DATE if value is not None]),
    ("members_total", NO_COUNT),
    ("members_present", NO_COUNT),
    ("second_meeting", [0, 1, "true", None]),
    ("accountability_accepted", [0, "yes"]),
    ("mode", ["fax"]),
    ("minutes_number", ["", "a\0"]),
    *((name, NO_MONEY) for name in ("own_capital", "outside_capital", "total_assets", "turnover", "net_surplus")),
    ("source", ["ods"]),
    ("verified_on", ["2024-05-01"]),
]


@pytest.mark.parametrize(("field", "values"), REPORTS, ids=[field for field, _ in REPORTS])
async def test_a_report_with_a_value_that_cannot_be_right_is_422(
    rat: httpx.AsyncClient, somebody: str, field: str, values: list[Any]
) -> None:
    for value in values:
        content = json.dumps(report() | {field: value}).encode()
        answer = await rat.post(f"/v1/cooperatives/{somebody}/rats", content=content, headers=JSON)
        refused(answer, 422, "invalid", field)


async def test_a_correction_with_a_value_that_cannot_be_right_is_422(
    registry: httpx.AsyncClient, rat: httpx.AsyncClient, somebody: str
) -> None:
    for client, path, given in (
        (registry, f"/v1/cooperatives/{somebody}/corrections", REGISTRATIONS),
        (rat, f"/v1/cooperatives/{somebody}/rats/2022/corrections", REPORTS),
    ):
        for field, values in given:
            for value in values:
                content = json.dumps({"changes": {field: value}, "reason": "-"}).encode()
                answer = await client.post(path, content=content, headers=JSON)
                refused(answer, 422, "invalid", f"changes.{field}")
        refused(await client.post(path, json={"changes": {}, "reason": "-"}), 422, "nothing-changed", "changes")
        refused(await client.post(path, json={"changes": None, "reason": "-"}), 422, "invalid", "changes")
        refused(await client.post(path, json={"changes": {}, "reason": "\0"}), 422, "invalid", "reason")


NO_UUID = ["1", "%00", "%ED%A0%80", "%F0%9F%92%A9", "nil", "0190b5a0-0000-7000-8000-00000000000g", "x" * 2_000, "'--"]


async def test_an_id_that_is_none_is_422(system: System) -> None:
    paths = {
        "registry": ["/v1/cooperatives/{}", "/v1/cooperatives/{}/history"],
        "rat": ["/v1/cooperatives/{}/rats", "/v1/cooperatives/{}/history"],
        "mentoring": ["/v1/requests/{}", "/v1/requests/{}/people", "/v1/requests/{}/history"],
        "reporting": ["/v1/health/{}"],
    }
    for service, templates in paths.items():
        async with system.client(service) as client:
            for template in templates:
                for value in NO_UUID:
                    refused(await client.get(template.format(value)), 422, "invalid")


async def test_a_thing_that_is_not_there_is_404_saying_what(system: System) -> None:
    missing = [
        ("registry", "GET", f"/v1/cooperatives/{NOBODY}", "no-such-cooperative"),
        ("registry", "GET", f"/v1/cooperatives/{NOBODY}/history", "no-such-cooperative"),
        ("registry", "GET", "/v1/imports/nothing", "no-such-import"),
        ("rat", "GET", f"/v1/cooperatives/{NOBODY}/rats", "no-such-cooperative"),
        ("rat", "GET", f"/v1/cooperatives/{NOBODY}/history", "no-such-cooperative"),
        ("rat", "GET", "/v1/imports/%00", "no-such-import"),
        ("mentoring", "GET", f"/v1/requests/{NOBODY}", "no-such-request"),
        ("mentoring", "GET", f"/v1/requests/{NOBODY}/people", "no-such-request"),
        ("mentoring", "GET", f"/v1/requests/{NOBODY}/history", "no-such-request"),
        ("reporting", "GET", f"/v1/health/{NOBODY}", "no-such-cooperative"),
        ("reporting", "GET", "/v1/kecamatan/35.07.99", "no-such-kecamatan"),
        ("reporting", "GET", "/v1/kecamatan/%00", "no-such-kecamatan"),
        *((service, "GET", path, "not-found") for service in SERVICES for path in ("/", "/v1", "/v2/x", "/%00")),
        *((service, "POST", "/nothing", "not-found") for service in SERVICES),
        ("registry", "GET", "/v1/cooperatives/", "not-found"),
        ("registry", "GET", "/V1/cooperatives", "not-found"),
    ]
    for service, method, path, slug in missing:
        async with system.client(service) as client:
            refused(await client.request(method, path), 404, slug)


async def test_a_method_that_a_path_has_not_is_405_saying_which_it_has(system: System) -> None:
    for service, method, path, allowed in [
        ("registry", "PUT", "/v1/cooperatives", "GET, POST"),
        ("registry", "PATCH", f"/v1/cooperatives/{NOBODY}", "DELETE, GET"),
        ("rat", "DELETE", f"/v1/cooperatives/{NOBODY}/rats", "GET, POST"),
        ("mentoring", "PUT", f"/v1/requests/{NOBODY}", "GET"),
        ("reporting", "POST", "/v1/health", "GET"),
        ("reporting", "DELETE", "/readyz", "GET"),
    ]:
        async with system.client(service) as client:
            answer = await client.request(method, path)
            refused(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == allowed


async def test_a_cooperative_cannot_be_deleted_and_the_refusal_says_what_to_do(registry: httpx.AsyncClient) -> None:
    cooperative_id, _ = await registered(registry)
    answer = await registry.delete(f"/v1/cooperatives/{cooperative_id}")
    problem = refused(answer, 405, "only-the-ministry-removes")
    assert "propose its removal" in problem["detail"]
    assert answer.headers["allow"] == "GET"
    assert (await registry.get(f"/v1/cooperatives/{cooperative_id}")).status_code == 200


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    """Yield that many bytes without saying before how many there are."""
    for _ in range(size // 100_000):
        yield b"x" * 100_000


@every_command
async def test_a_json_body_of_more_than_a_megabyte_is_413(
    system: System, service: str, path: str, body: dict[str, Any]
) -> None:
    async with system.client(service) as client:
        declared = await client.post(path, content=b" " * 1_000_001, headers=JSON)
        refused(declared, 413, "too-large")
        refused(await client.post(path, content=in_chunks(1_200_000), headers=JSON), 413, "too-large")
        padded = json.dumps(body | {"surprise": 1}).encode()
        just_right = padded + b" " * (1_000_000 - len(padded))
        refused(await client.post(path, content=just_right, headers=JSON), 422, "invalid", "surprise")


@pytest.mark.parametrize("service", ["registry", "rat"])
async def test_an_upload_of_more_than_25_megabytes_is_413(system: System, service: str) -> None:
    async def file() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        async for chunk in in_chunks(25_200_000):
            yield chunk
        yield b"\r\n--x--\r\n"

    async with system.client(service) as client:
        params = {"source": "ods"}
        declared = await client.post("/v1/imports", params=params, files={"file": ("a.csv", b"x" * 25_000_001)})
        refused(declared, 413, "too-large")
        for content_type in ("multipart/form-data; boundary=x", "Multipart/Form-Data; boundary=x"):
            headers = {"Content-Type": content_type, "Idempotency-Key": "too-large"}
            answer = await client.post("/v1/imports", params=params, content=file(), headers=headers)
            refused(answer, 413, "too-large")
