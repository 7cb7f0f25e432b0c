"""The digests by which an agency finds out whether it has every event."""

import subprocess
from hashlib import sha256
from itertools import permutations

import pytest

from contracts.completeness import Manifest, OutOfOrder, Part, differences, filed_under, fingerprint, overall
from contracts.examples import EXAMPLES

EVENT = (
    7,
    "018fd5a0-6c00-7e00-8000-000000000001",
    "RATHeld",
    "018fd5a0-6c00-7a10-8000-000000000001",
    b'{"x":"\xc3\xa9"}',
)


def some(*numbers: int, service: str = "rat", kecamatan: str = "350721", salt: str = "") -> Manifest:
    manifest = Manifest()
    for number in numbers:
        manifest.add(service, kecamatan, number, fingerprint(number, f"id {number}{salt}", "RATHeld", "subject", b"{}"))
    return manifest


def test_a_fingerprint_is_what_sha256sum_says_of_the_line() -> None:
    line = " ".join(map(str, EVENT[:4])).encode() + b" " + EVENT[4]
    told = subprocess.run(["sha256sum"], input=line, capture_output=True, check=True).stdout.split()[0].decode()
    assert fingerprint(*EVENT) == told == "f89c5b97c2066935110116354ad1c9bfd00fffbe605e77d4477ccf774b8c337b"


@pytest.mark.parametrize("place", range(5))
def test_every_part_of_an_event_is_in_its_fingerprint(place: int) -> None:
    other = (8, "another", "RATPlanned", "another", b"{}")
    assert fingerprint(*EVENT[:place], other[place], *EVENT[place + 1 :]) != fingerprint(*EVENT)


def test_a_digest_is_what_sha256sum_says_of_the_lines_of_fingerprints() -> None:
    lines = "".join(fingerprint(n, f"id {n}", "RATHeld", "subject", b"{}") + "\n" for n in (1, 2, 5))
    assert some(1, 2, 5).parts[Part("rat", "350721")].digest == sha256(lines.encode()).hexdigest()


def test_a_service_has_the_events_of_its_kecamatan_in_its_own_order() -> None:
    manifest = Manifest()
    for number, kecamatan in enumerate(("350721", "350714", "350721", "000000"), 1):
        manifest.add("rat", kecamatan, number, fingerprint(number, "id", "RATHeld", "subject", b"{}"))
    assert [(i["kecamatan"], i["first"], i["last"], i["count"]) for i in manifest.items()] == [
        ("000000", 4, 4, 1),
        ("350714", 2, 2, 1),
        ("350721", 1, 3, 2),
        ("all", 1, 4, 4),
    ]
    assert manifest.events == 4
    assert [item["kecamatan"] for item in manifest.only({"350721"}).items()] == ["350721"]


def test_the_order_between_services_does_not_matter() -> None:
    events = [("rat", 1), ("rat", 2), ("registry", 1), ("mentoring", 1)]
    digests = set()
    for order in permutations(events):
        if order.index(("rat", 1)) < order.index(("rat", 2)):
            manifest = Manifest()
            for service, number in order:
                manifest.add(service, "350721", number, fingerprint(number, service, "T", "s", b"{}"))
            digests.add(manifest.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("numbers", [(1, 1), (2, 1), (1, 2, 2)])
def test_an_event_twice_or_too_late_is_no_manifest(numbers: tuple[int, ...]) -> None:
    with pytest.raises(OutOfOrder, match=f"{numbers[-1]} came after {max(numbers)}"):
        some(*numbers)


def test_a_limit_is_kept_part_by_part() -> None:
    manifest = Manifest({Part("rat", "350721"): 3, Part("rat", "all"): 2})
    for number in range(1, 6):
        manifest.add("rat", "350721", number, "f")
        manifest.add("registry", "350721", number, "f")
    assert [(i["service"], i["kecamatan"], i["last"]) for i in manifest.items()] == [
        ("rat", "350721", 3),
        ("rat", "all", 2),
    ]


def test_the_digest_over_all_is_over_the_items_whatever_their_order() -> None:
    items = some(1, 2).items() + some(1, 2, service="registry", kecamatan="000000").items()
    parts = [item for item in items if item["kecamatan"] != "all"]
    lines = [f"rat 350721 1 2 2 {parts[0]['digest']}\n", f"registry 000000 1 2 2 {parts[1]['digest']}\n"]
    assert overall(items) == overall(items[::-1]) == sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("had", "words"),
    [
        (some(1, 3), "rat, 350721: 2 events up to 3, where the stream has 3"),
        (some(1, 2, 4), "rat, 350721: events 1 to 4, where the stream has 1 to 3"),
        (some(1, 2, 3, salt="!"), "rat, 350721: as many events as the stream has up to 3, but others"),
        (some(1, kecamatan="350714"), "rat, 350714: 1 events up to 1, where the stream has 0"),
    ],
)
def test_what_is_missing_is_said_in_words(had: Manifest, words: str) -> None:
    assert any(words in line for line in differences(had.items(), some(1, 2, 3).items()))


def test_what_is_complete_differs_in_nothing() -> None:
    assert list(differences(some(1, 2, 3).items(), some(1, 2, 3).items())) == []


def test_every_event_is_filed_where_its_data_says() -> None:
    for example in EXAMPLES:
        message = example.message()
        assert message["subject"].endswith("." + filed_under(message["data"].get("kecamatan_code")))
    assert filed_under(None) == "000000"
