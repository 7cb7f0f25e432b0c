"""The doors of NATS as files: private, the same again when written again, and new where they are asked to be."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from typer.testing import CliRunner

from contracts.envelope import SERVICES
from dinkop.cli import app
from dinkop.doors import USERS, Doors, hashed
from dinkop.nats_accounts import Agency, Standing
from dinkop.processes import CannotStart
from dinkop.secret_files import SecretFiles


def written(*words: str | Path, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["doors", *map(str, words), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.output) if code == 0 else done.output


def accounts(folder: Path) -> dict[str, Any]:
    text = (folder / "nats-accounts.conf").read_text().split("\n", 1)[1]
    return json.loads(text.removeprefix("accounts: "))  # type: ignore[no-any-return]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def agency(standing: Standing = Standing.OPEN) -> Agency:
    return Agency(
        "bps",
        "bps-0123",
        hashed("x" * 43),
        ("35.07.21", "35.07.01"),
        datetime(2026, 1, 1, tzinfo=UTC),
        standing=standing,
    )


def test_every_user_has_an_account_and_a_secret_that_only_its_owner_may_read(tmp_path: Path) -> None:
    answer = written(tmp_path / "doors")
    assert answer["secrets"].keys() == set(USERS)
    assert "CREATE ROLE" in Path(answer["roles"]).read_text()
    assert accounts(tmp_path / "doors").keys() == {"$SYS", "DINKOP", *(f"service-{name}" for name in SERVICES)}
    for path in map(Path, [answer["accounts"], *answer["secrets"].values()]):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "doors").stat().st_mode & 0o777 == 0o700


def test_the_server_gets_hashes_of_the_secrets_and_not_the_secrets(tmp_path: Path) -> None:
    secrets = written(tmp_path / "doors")["secrets"]
    found = {
        user["user"]: user["password"]
        for each in accounts(tmp_path / "doors").values()
        for user in each.get("users", ())
    }
    for user, path in secrets.items():
        secret = Path(path).read_bytes()
        assert len(secret) == 43
        assert bcrypt.checkpw(secret, found[user].encode())
        assert secret.decode() not in (tmp_path / "doors" / "nats-accounts.conf").read_text()


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    written(tmp_path / "doors")
    before = contents(tmp_path / "doors")
    written(tmp_path / "doors")
    assert contents(tmp_path / "doors") == before


def test_only_the_secret_that_is_rotated_becomes_another(tmp_path: Path) -> None:
    written(tmp_path / "doors")
    before = contents(tmp_path / "doors")
    written(tmp_path / "doors", "--rotate", "rat")
    after = contents(tmp_path / "doors")
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed == {"rat", "nats-accounts.conf"}


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert "holds something else" in written(tmp_path, code=2)
    assert contents(tmp_path) == {tmp_path / "letter.txt": b"dear"}


def test_passwords_that_are_kept_elsewhere_are_used_and_accounts_lie_where_the_server_is_shown_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SecretFiles(tmp_path / "secrets").write(postgres="postgres:5432", nats="nats:4222")
    (tmp_path / "shown").mkdir()
    monkeypatch.setenv("DINKOP_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("DINKOP_SHOWN", str(tmp_path / "shown"))
    answer = written(tmp_path / "doors")
    assert answer["accounts"] == str(tmp_path / "shown" / "nats-accounts.conf")
    hidden = (tmp_path / "secrets" / "doors" / "rat").read_bytes()
    [rat] = accounts(tmp_path / "shown")["service-rat"]["users"]
    assert bcrypt.checkpw(hidden, rat["password"].encode())
    assert not (tmp_path / "doors" / "secrets").exists()
    assert "change them there" in written(tmp_path / "doors", "--rotate", "rat", code=2)
    assert (tmp_path / "secrets" / "doors" / "rat").read_bytes() == hidden


def test_there_is_no_secret_to_rotate_for_who_is_no_user(tmp_path: Path) -> None:
    assert "There is no user nobody" in written(tmp_path / "doors", "--rotate", "nobody", code=2)


def test_an_agency_may_ask_for_its_own_consumer_and_nothing_else(tmp_path: Path) -> None:
    doors = Doors(tmp_path / "doors")
    doors.prepare()
    doors.record(agency())
    doors.prepare()
    account = accounts(tmp_path / "doors")["agency-bps"]
    may = [
        "$JS.API.CONSUMER.INFO.DINKOP.bps-0123",
        "$JS.API.CONSUMER.MSG.NEXT.DINKOP.bps-0123",
        "$JS.ACK.DINKOP.bps-0123.>",
    ]
    assert account["users"][0]["permissions"]["publish"] == {"allow": may}
    assert [each["service"]["subject"] for each in account["imports"]] == [*may, "$JS.API.INFO"]
    assert agency().filter_subjects == ["dinkop.v1.*.*.350721", "dinkop.v1.*.*.350701"]


@pytest.mark.parametrize(
    ("standing", "there"), [(Standing.ADDING, True), (Standing.OPEN, True), (Standing.REVOKING, False)]
)
def test_an_agency_that_is_being_revoked_has_no_account_any_more(
    tmp_path: Path, standing: Standing, there: bool
) -> None:
    doors = Doors(tmp_path / "doors")
    doors.prepare()
    doors.record(agency(standing))
    doors.prepare()
    assert ("agency-bps" in accounts(tmp_path / "doors")) is (standing is not Standing.REVOKING)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    doors = Doors(tmp_path / "doors")
    doors.prepare()
    doors.record(agency())
    record = tmp_path / "doors" / "agencies" / "bps.json"
    record.write_text(record.read_text()[:20])
    with pytest.raises(CannotStart, match=r"agencies/bps\.json is no record"):
        doors.prepare()


def test_the_address_of_a_user_holds_the_password_and_where_there_is_none_it_is_the_plain_one(tmp_path: Path) -> None:
    doors = Doors(tmp_path / "doors")
    assert doors.url("rat", "nats://127.0.0.1:4222") == "nats://127.0.0.1:4222"
    doors.prepare()
    assert doors.url("rat", "nats://127.0.0.1:4222") == f"nats://rat:{doors.secret('rat')}@127.0.0.1:4222"
