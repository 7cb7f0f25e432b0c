"""Ports and socket folders: the numbers and paths that are fixed."""

from pathlib import Path

import pytest

from dinkop.embedded.postgres import EmbeddedPostgres, socket_folder
from dinkop.ports import Ports


def test_the_default_ports_are_those_of_the_contract() -> None:
    assert list(Ports()) == [
        ("registry", 8001),
        ("rat", 8002),
        ("mentoring", 8003),
        ("reporting", 8004),
        ("nats", 4222),
        ("nats_monitoring", 8222),
    ]


def test_a_port_base_gives_the_six_ports_after_it() -> None:
    assert [port for _, port in Ports.after(9000)] == [9001, 9002, 9003, 9004, 9005, 9006]
    assert Ports.after(65529).nats_monitoring == 65535


@pytest.mark.parametrize("base", [-1, 65530])
def test_a_port_base_beyond_the_ports_is_refused(base: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 65529"):
        Ports.after(base)


def test_a_plain_short_home_has_its_socket_inside() -> None:
    assert socket_folder(Path("/srv/dinkop/postgres")) == Path("/srv/dinkop/postgres/socket")


def test_the_longest_path_a_socket_may_have_is_107_bytes() -> None:
    fits = Path("/" + "x" * (107 - len("//socket/.s.PGSQL.5432")))
    assert socket_folder(fits) == fits / "socket"
    longer = Path(f"{fits}x")
    assert socket_folder(longer) != longer / "socket"


@pytest.mark.parametrize("name", ["x" * 200, "a,b", "with blank", "é"])
def test_any_other_home_has_it_in_a_short_folder_of_its_own_always_the_same(name: str) -> None:
    folder = socket_folder(Path("/srv", name))
    assert folder == socket_folder(Path("/srv", name))
    assert folder != socket_folder(Path("/srv", name + "2"))
    assert len(str(folder / ".s.PGSQL.5432")) <= 107


def test_a_temporary_folder_too_long_itself_gives_way_to_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/var/" + "y" * 120)
    assert socket_folder(Path("/srv/é")).parent == Path("/tmp")


def test_a_service_connects_to_its_own_database_as_itself() -> None:
    url = EmbeddedPostgres(Path("/srv/dinkop/postgres")).url("rat")
    assert url == (
        "postgresql://rat@/rat?host=/srv/dinkop/postgres/socket&port=5432&passfile=/srv/dinkop/postgres/passwords/rat"
    )
