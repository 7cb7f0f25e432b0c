"""A backup is whole or none, its mirror of keys has no past, and a restore refuses what it would spoil."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from dinkop.backups import (
    RECORD,
    SERVICES,
    Backup,
    Dump,
    choose,
    keep,
    mirror_agencies,
    mirror_keys,
    restore,
    restore_one,
)
from dinkop.home import Home
from dinkop.system import Failed, Misused

KEY, FORGOTTEN = bytes(range(60)), bytes(60)


def a_backup(folder: Path, name: str) -> Path:
    """Make a backup whose dumps are no dumps, but what its record says."""
    chosen = folder / name
    chosen.mkdir(parents=True)
    files = {}
    for service in SERVICES:
        content = f"{service} {name}".encode()
        (chosen / f"{service}.dump").write_bytes(content)
        files[f"{service}.dump"] = Dump(len(content), hashlib.sha256(content).hexdigest())
    record = Backup(datetime(2024, 11, 14, tzinfo=UTC), {}, files)
    (chosen / RECORD).write_bytes(msgspec.json.encode(record))
    return chosen


def test_the_newest_backup_is_chosen_unless_another_is_named(tmp_path: Path) -> None:
    older, newest = a_backup(tmp_path, "2024-11-14T1"), a_backup(tmp_path, "2024-11-15T1")
    assert choose(tmp_path, None)[0] == newest
    assert choose(tmp_path, older.name)[0] == older


def test_what_was_not_finished_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Misused, match=r"holds no backup\. Make one with"):
        choose(tmp_path, None)
    whole = a_backup(tmp_path, "2024-11-14T1")
    (a_backup(tmp_path, "2024-11-15T1") / RECORD).unlink()
    assert choose(tmp_path, None)[0] == whole
    with pytest.raises(Misused, match="There are: 2024-11-14T1"):
        choose(tmp_path, "2024-11-15T1")


@pytest.mark.parametrize("damage", ["rat.dump", "mentoring.dump", RECORD])
def test_a_damaged_backup_is_refused_and_the_others_are_named(tmp_path: Path, damage: str) -> None:
    a_backup(tmp_path, "2024-11-14T1")
    (a_backup(tmp_path, "2024-11-15T1") / damage).write_bytes(b"{")
    with pytest.raises(Failed, match=r"damaged.* another backup: 2024-11-14T1"):
        choose(tmp_path, None)
    (tmp_path / "2024-11-14T1" / "registry.dump").unlink()
    with pytest.raises(Failed, match="missing or damaged"):
        choose(tmp_path, "2024-11-14T1")


def test_the_mirror_holds_what_the_folder_of_keys_does_and_forgets_with_it(tmp_path: Path) -> None:
    keys, mirror = tmp_path / "keys", tmp_path / "mirror"
    keys.mkdir()
    for name in ("one", "two"):
        (keys / f"{name}.key").write_bytes(KEY)
    assert mirror_keys(keys, mirror) == 2
    place = (mirror / "one.key").stat().st_ino
    (keys / "one.key").write_bytes(FORGOTTEN)
    assert mirror_keys(keys, mirror) == 2
    assert {path.name: path.read_bytes() for path in mirror.iterdir()} == {"one.key": FORGOTTEN, "two.key": KEY}
    assert (mirror / "one.key").stat().st_ino == place  # overwritten where it lay


def test_a_key_that_was_forgotten_does_not_come_back_into_the_mirror(tmp_path: Path) -> None:
    keys, mirror = tmp_path / "keys", tmp_path / "mirror"
    for folder, content in ((keys, KEY), (mirror, FORGOTTEN)):
        folder.mkdir()
        (folder / "one.key").write_bytes(content)
    with pytest.raises(Failed, match="was forgotten"):
        mirror_keys(keys, mirror)
    assert (mirror / "one.key").read_bytes() == FORGOTTEN


def test_the_mirror_holds_the_agencies_that_are_let_in_and_nobody_who_was_shown_out(tmp_path: Path) -> None:
    records, mirror = tmp_path / "records", tmp_path / "mirror"
    records.mkdir()
    for name in ("bps", "kominfo"):
        (records / f"{name}.json").write_text(name)
    mirror_agencies(records, mirror)
    (records / "bps.json").unlink()
    (records / "kominfo.json").write_text("another password")
    mirror_agencies(records, mirror)
    assert {path.name: path.read_text() for path in mirror.iterdir()} == {"kominfo.json": "another password"}


async def test_what_was_taken_from_servers_of_ones_own_is_a_backup_like_any_other(tmp_path: Path) -> None:
    dumps, mirrored, folder = tmp_path / "dumps", tmp_path / "mirrored", tmp_path / "backups"
    for each in (dumps, mirrored / "keys", mirrored / "agencies"):
        each.mkdir(parents=True)
    (mirrored / "keys" / "one.key").write_bytes(KEY)
    (mirrored / "agencies" / "bps.json").write_text("{}")
    status = {"services": [{"name": "registry", "store": {"position": 7}}, {"name": "rat", "error": "away"}]}
    (dumps / "status.json").write_bytes(msgspec.json.encode(status))
    with pytest.raises(Misused, match="does not hold what a backup is made of"):
        await keep(dumps, mirrored, folder, print)
    assert not list(folder.glob("*/*")), "whole or not at all"
    for service in SERVICES:
        (dumps / f"{service}.dump").write_text(f"dump of {service}")
    name, made = await keep(dumps, mirrored, folder, print)
    assert choose(folder, None) == (folder / name, made)
    assert (made.positions["registry"], made.positions["rat"]) == (7, 0)
    assert (folder / "keys" / "one.key").read_bytes() == KEY
    assert (folder / "agencies" / "bps.json").exists()


async def test_a_home_that_holds_something_is_not_restored_into(tmp_path: Path) -> None:
    a_backup(tmp_path / "backups", "2024-11-14T1")
    home = tmp_path / "home"
    home.mkdir()
    (home / "something").write_text("precious")
    (tmp_path / "master.key").write_text("k")
    with pytest.raises(Failed, match="is not empty"):
        await restore(Home(home), tmp_path / "backups", None, tmp_path / "master.key", print)
    assert [path.name for path in home.iterdir()] == ["something"]


async def test_a_home_is_not_restored_without_the_master_key(tmp_path: Path) -> None:
    a_backup(tmp_path / "backups", "2024-11-14T1")
    with pytest.raises(Misused, match="--master-key"):
        await restore(Home(tmp_path / "home"), tmp_path / "backups", None, None, print)
    assert not (tmp_path / "home").exists()


async def test_a_home_is_not_restored_without_the_keys_of_personal_data(tmp_path: Path) -> None:
    a_backup(tmp_path / "backups", "2024-11-14T1")
    (tmp_path / "master.key").write_text("k")
    with pytest.raises(Failed, match="the mirror of the keys"):
        await restore(Home(tmp_path / "home"), tmp_path / "backups", None, tmp_path / "master.key", print)
    assert not (tmp_path / "home").exists()


async def test_one_database_is_restored_only_into_a_home_of_a_service_there_is(tmp_path: Path) -> None:
    a_backup(tmp_path / "backups", "2024-11-14T1")
    with pytest.raises(Misused, match="There are: registry"):
        await restore_one(Home(tmp_path / "home"), "nonsense", tmp_path / "backups", None, print)
    with pytest.raises(Failed, match="holds no system"):
        await restore_one(Home(tmp_path / "home"), "rat", tmp_path / "backups", None, print)
