"""An address of NATS is read whole, refused with words, and never shows a password."""

from pathlib import Path

import pytest

from chassis.messaging.address import Address
from chassis.settings import Settings


def test_user_and_password_are_unquoted_and_kept_apart_from_the_servers() -> None:
    address = Address.parse("nats://re%40der:p%40ss%3Aw%2Frd@one:4223,nats://two,tls://[::1]:4224")
    assert address.servers == ("nats://one:4223", "nats://two:4222", "tls://[::1]:4224")
    assert (address.user, address.password) == ("re@der", "p@ss:w/rd")
    assert address.inbox_prefix == "_INBOX.re@der"


def test_it_shows_no_password() -> None:
    settings = Settings(database_url="postgresql://x", nats_url="nats://rat:hidden@one")
    address = Address.of(settings)
    assert address.password == "hidden"
    assert str(address) == "nats://one:4222"
    assert "hidden" not in f"{address!r} {settings!r}"


@pytest.mark.parametrize(
    "urls", ["", "one:4222", "http://rat:hidden@one", "nats://", "nats://rat:hidden@one,nats://rat:other@two"]
)
def test_what_is_no_address_is_refused_without_showing_a_password(urls: str) -> None:
    with pytest.raises(ValueError) as refused:
        Address.parse(urls)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "ca", "secure"),
    [("nats://one", None, False), ("tls://one", None, True), ("nats://one", Path("ca.pem"), True)],
)
def test_it_is_encrypted_where_the_scheme_or_an_authority_says_so(url: str, ca: Path | None, secure: bool) -> None:
    assert Address.parse(url, ca=ca).secure is secure


def test_authorities_that_cannot_be_read_are_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        Address.parse("nats://one", ca=Path("/nowhere/ca.pem")).tls()


def test_a_replay_in_a_process_of_its_own_is_told_all_of_it() -> None:
    settings = Settings(database_url="postgresql://x", nats_url="tls://rat:hidden@one", nats_ca=Path("/ca.pem"))
    told = settings.environment()
    assert (told["DINKOP_NATS_URL"], told["DINKOP_NATS_CA"]) == ("tls://rat:hidden@one", "/ca.pem")
