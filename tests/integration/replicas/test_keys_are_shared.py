"""Two processes on one folder of keys: who keeps first keeps, nobody reads half a key, what is forgotten stays so."""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from eventually import eventually

from chassis.storage.vault import DataKey, Forgotten, Vault

MASTER = bytes(range(32))
SUBJECTS = [UUID(int=number + 1) for number in range(300)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of keys that two replicas mount."""
    asyncio.run(Vault(tmp_path / "keys", MASTER).check(used=False))
    return tmp_path / "keys"


def keep(folder: Path) -> dict[UUID, bytes]:
    """Keep a key of each subject; return those that were kept here, and not by the other process."""

    async def work() -> dict[UUID, bytes]:
        vault, kept = Vault(folder, MASTER), {}
        await both_here(folder.with_name("here"))
        for subject in SUBJECTS:
            key = DataKey.new(subject)
            try:
                await vault.keep(key)
            except FileExistsError:
                continue
            kept[subject] = key.key
        return kept

    return asyncio.run(work())


async def both_here(meeting: Path) -> None:
    """Return when two processes have come here."""
    meeting.mkdir(exist_ok=True)
    (meeting / str(os.getpid())).touch()
    await eventually(lambda: len(list(meeting.iterdir())) == 2)


def forget_and_read(folder: Path, forgotten: Sequence[UUID]) -> list[UUID]:
    """Forget these and read all, again and again; return what was read and could not be."""

    async def work() -> list[UUID]:
        vault, lost = Vault(folder, MASTER), []
        for subject in forgotten:
            await vault.forget(subject)
        for subject in SUBJECTS:
            try:
                await vault.key(subject)
            except Forgotten:
                lost.append(subject)
        return lost

    return asyncio.run(work())


def in_two_processes() -> ProcessPoolExecutor:
    """Return two processes."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def test_of_two_that_keep_a_key_of_one_subject_one_does_and_its_key_is_what_both_read(folder: Path) -> None:
    with in_two_processes() as pool:
        one, other = pool.map(keep, [folder, folder])
    assert one.keys() | other.keys() == set(SUBJECTS)
    assert one.keys() & other.keys() == set()
    found = asyncio.run(Vault(folder, MASTER).keys(SUBJECTS))
    assert {subject: key.key for subject, key in found.items()} == one | other
    assert list(folder.glob("*.new")) == []


def test_what_either_forgets_neither_reads_any_more_and_the_rest_stays(folder: Path) -> None:
    with in_two_processes() as pool:
        one, other = pool.map(keep, [folder, folder])
    kept = one | other
    with in_two_processes() as pool:
        # They share every third subject: both destroy the same key.
        list(pool.map(forget_and_read, [folder, folder], [SUBJECTS[::2], SUBJECTS[::3]]))
    gone = set(SUBJECTS[::2]) | set(SUBJECTS[::3])
    found = asyncio.run(Vault(folder, MASTER).keys(SUBJECTS))
    assert {subject: key.key for subject, key in found.items()} == {s: k for s, k in kept.items() if s not in gone}
    assert set(forget_and_read(folder, [])) == gone
