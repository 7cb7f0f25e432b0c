"""The vault keeps a key a subject in a folder, and what it forgets is gone from the disk."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from chassis.storage.vault import DataKey, Forgotten, KeysUnavailable, Unreadable, Vault

MASTER = bytes(range(32))
ONE, OTHER, NOBODY = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "a" / "keys"


@pytest.fixture
async def vault(folder: Path) -> Vault:
    """A vault that made it."""
    vault = Vault(folder, MASTER)
    await vault.check(used=False)
    return vault


def on_disk(folder: Path) -> dict[str, bytes]:
    """Return every file below the folder."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_what_was_sealed_opens_with_the_key_that_was_kept(vault: Vault) -> None:
    key = DataKey.new(ONE)
    sealed = key.seal("name", b"Bu Sri")
    await vault.keep(key)
    assert (await vault.key(ONE)).open("name", sealed) == b"Bu Sri"


async def test_a_key_lies_in_a_private_file_and_not_in_the_clear(vault: Vault, folder: Path) -> None:
    key = DataKey.new(ONE)
    await vault.keep(key)
    [(name, content)] = on_disk(folder).items()
    assert name == f"{ONE}.key"
    assert key.key not in content
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / name).stat().st_mode & 0o777 == 0o600


async def test_a_key_that_is_there_is_never_replaced(vault: Vault, folder: Path) -> None:
    await vault.keep(DataKey.new(ONE))
    before = on_disk(folder)
    with pytest.raises(FileExistsError):
        await vault.keep(DataKey.new(ONE))
    assert on_disk(folder) == before


async def test_a_forgotten_key_is_overwritten_where_it_lay(vault: Vault, folder: Path) -> None:
    await vault.keep(DataKey.new(ONE))
    await vault.keep(DataKey.new(OTHER))
    path = folder / f"{ONE}.key"
    wrapped, place = path.read_bytes(), path.stat().st_ino
    assert await vault.forget(ONE)
    assert not any(path.read_bytes())
    assert (len(path.read_bytes()), path.stat().st_ino) == (len(wrapped), place)
    assert all(wrapped not in content for content in on_disk(folder).values())
    with pytest.raises(Forgotten):
        await vault.key(ONE)
    assert (await vault.key(OTHER)).subject == OTHER


async def test_forgetting_is_done_once_and_for_ever(vault: Vault) -> None:
    await vault.keep(DataKey.new(ONE))
    assert [await vault.forget(ONE) for _ in range(3)] == [True, False, False]
    with pytest.raises(FileExistsError):
        await vault.keep(DataKey.new(ONE))


async def test_a_key_that_was_damaged_can_still_be_forgotten(vault: Vault, folder: Path) -> None:
    await vault.keep(DataKey.new(ONE))
    (folder / f"{ONE}.key").write_bytes(b"half")
    with pytest.raises(Unreadable):
        await vault.key(ONE)
    assert await vault.forget(ONE)
    with pytest.raises(Forgotten):
        await vault.key(ONE)


async def test_of_many_keys_the_forgotten_are_absent(vault: Vault) -> None:
    for subject in (ONE, OTHER):
        await vault.keep(DataKey.new(subject))
    await vault.forget(ONE)
    assert list(await vault.keys([ONE, OTHER])) == [OTHER]
    assert await vault.keys([]) == {}


async def test_a_key_that_was_lost_is_not_taken_for_a_forgotten_one(vault: Vault) -> None:
    for ask in (vault.key(NOBODY), vault.keys([NOBODY])):
        with pytest.raises(LookupError, match=str(NOBODY)):
            await ask


async def test_a_lost_key_that_was_forgotten_does_not_come_back(vault: Vault, folder: Path) -> None:
    key = DataKey.new(ONE)
    assert not await vault.forget(ONE)
    with pytest.raises(Forgotten):
        await vault.key(ONE)
    with pytest.raises(FileExistsError):
        await vault.keep(key)
    assert (folder / f"{ONE}.key").stat().st_mode & 0o777 == 0o600


async def test_another_master_key_opens_nothing_and_is_noticed_at_the_start(vault: Vault, folder: Path) -> None:
    await vault.keep(DataKey.new(ONE))
    other = Vault(folder, bytes(32))
    with pytest.raises(Unreadable):
        await other.key(ONE)
    with pytest.raises(Unreadable):
        await other.check(used=True)
    await vault.check(used=True)


async def test_one_damaged_key_stops_nobody_from_starting(vault: Vault, folder: Path) -> None:
    for subject in (ONE, OTHER):
        await vault.keep(DataKey.new(subject))
    (folder / f"{ONE}.key").write_bytes(b"half")
    await vault.check(used=True)


async def test_an_empty_folder_is_right_for_a_service_without_subjects_only(vault: Vault, folder: Path) -> None:
    await vault.check(used=False)
    with pytest.raises(Unreadable, match="is it the right folder"):
        await vault.check(used=True)
    await vault.keep(DataKey.new(ONE))
    await vault.forget(ONE)
    await vault.check(used=True)


async def test_a_key_half_written_when_the_power_went_is_in_nobodys_way(vault: Vault, folder: Path) -> None:
    half = folder / f"{ONE}.0123456789abcdef.new"
    half.write_bytes(os.urandom(7))
    await vault.check(used=False)
    await vault.keep(DataKey.new(ONE))
    assert set(on_disk(folder)) == {f"{ONE}.key", half.name}, "another process may be at it"
    os.utime(half, (0, 0))
    await vault.check(used=True)
    assert list(on_disk(folder)) == [f"{ONE}.key"]


async def test_a_folder_that_is_away_is_no_lost_key(vault: Vault, folder: Path) -> None:
    await vault.keep(DataKey.new(ONE))
    (folder / f"{ONE}.key").unlink()
    (folder / f"{ONE}.key").mkdir()
    for ask in (vault.key(ONE), vault.forget(ONE)):
        with pytest.raises(KeysUnavailable):
            await ask
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(KeysUnavailable):
        await vault.keep(DataKey.new(OTHER))
