"""The master key comes from the settings, and a wrong one is refused without being shown."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.settings import Settings

URL = "postgresql://somewhere"


def settings(**given: Any) -> Settings:
    """Return settings with what is given, as if by environment variables."""
    return Settings(database_url=URL, **given)


def test_thirty_two_bytes_in_base64_are_a_master_key() -> None:
    key = bytes(range(32))
    assert settings(master_key=base64.b64encode(key).decode() + "\n").master_key_bytes == key


def test_without_one_there_is_none() -> None:
    assert settings().master_key_bytes is None


@pytest.mark.parametrize("wrong", ["", "secret-but-wrong", base64.b64encode(b"secret-but-short").decode()])
def test_anything_else_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(ValidationError, match="32 random bytes in base64") as refused:
        settings(master_key=wrong)
    assert "secret" not in str(refused.value)


def test_settings_never_show_the_master_key() -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    assert key not in repr(settings(master_key=key))
