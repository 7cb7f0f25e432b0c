"""What a data key seals, only it opens, and only where it was sealed."""

import base64
from uuid import UUID

import pytest

from chassis.definitions.sealed import Sealed
from chassis.storage.vault import DataKey, Unreadable

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_what_was_sealed_opens_to_the_same() -> None:
    key = DataKey.new(ONE)
    assert key.open("name", key.seal("name", "Bu Sri ✓".encode())).decode() == "Bu Sri ✓"


def test_sealed_text_tells_nothing_and_never_repeats() -> None:
    key = DataKey.new(ONE)
    sealed = [key.seal("name", b"unmistakable") for _ in range(2)]
    assert sealed[0] != sealed[1]
    assert all(b"unmistakable" not in base64.b64decode(each.partition(".")[2]) for each in sealed)


def test_sealed_text_moved_to_another_field_does_not_open() -> None:
    key = DataKey.new(ONE)
    with pytest.raises(Unreadable):
        key.open("complaint", key.seal("name", b"text"))


def test_sealed_text_moved_to_another_subject_does_not_open_even_under_the_same_key() -> None:
    key = DataKey.new(ONE)
    with pytest.raises(Unreadable):
        DataKey(OTHER, key.key).open("name", key.seal("name", b"text"))


def test_another_subjects_key_does_not_open_it() -> None:
    with pytest.raises(Unreadable):
        DataKey.new(ONE).open("name", DataKey.new(ONE).seal("name", b"text"))


@pytest.mark.parametrize("damaged", ["", "1.", "1.AAAA", "2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "1.not base64"])
def test_damaged_text_does_not_open(damaged: str) -> None:
    with pytest.raises(Unreadable):
        DataKey.new(ONE).open("name", Sealed(damaged))
