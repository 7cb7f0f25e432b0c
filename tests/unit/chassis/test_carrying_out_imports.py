"""Carrying out an import: each row is decided once, unless somebody was there in between, while others are appended."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from eventually import eventually
from ledger import Account, Close, NotOpen, Open, Pay, decider

from chassis.definitions.decider import Command
from chassis.engine.handling import Handler, Loaded, Order
from chassis.engine.ports import Commit, Key, Outcome
from chassis.http import imports
from chassis.http.calls import Call
from chassis.http.imports import NoSuchImport, Progress, RunningImport, Step, carry_out
from chassis.storage.memory import InMemoryEventStore

BATCH = 5
ACCOUNTS = [UUID(int=number) for number in range(1, 2 * BATCH + 4)]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", BATCH)


class Store(InMemoryEventStore):
    """A store that appends batches only when it is let, and tells how many it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.let = asyncio.Event()
        self.let.set()

    async def append_many(self, commits: Sequence[Commit]) -> list[Outcome]:
        self.asked += 1
        await self.let.wait()
        return await super().append_many(commits)


@dataclass
class Ledger:
    """Open accounts, and an import that pays into each."""

    store: Store = field(default_factory=Store)
    progress: Progress = field(default_factory=Progress)
    decisions: list[Command] = field(default_factory=list)

    def decide(self, command: Open | Pay | Close, state: Account) -> Sequence[Any]:
        self.decisions.append(command)
        return decider.decide(command, state)

    @property
    def handler(self) -> Handler[Any, Account, Any]:
        return Handler(self.store, replace(decider, decide=self.decide))

    async def opened(self, accounts: Sequence[UUID]) -> dict[UUID, Loaded[Account]]:
        for number, account in enumerate(accounts, 1):
            await self.handler.handle(Order(account, Open(number=str(number))))
        return await self.handler.load_many(accounts)

    def steps(self, loaded: Mapping[UUID, Loaded[Account]]) -> Iterator[Step[Pay]]:
        """Decide one row an account, each when it is taken; the header is row 1."""
        for row, (account, each) in enumerate(loaded.items(), 2):
            pay = Pay(amount=row)
            yield Step(row, account, pay, self.decide(pay, each.state))

    async def imported(self, loaded: Mapping[UUID, Loaded[Account]], *, dry_run: bool = False) -> dict[int, str]:
        async def key() -> Key:
            return Key("k", "")

        runtime = SimpleNamespace(hold=lambda: None, wake=lambda: None)
        call = cast(Call, SimpleNamespace(key=key, metadata={"actor": "officer"}, runtime=runtime))
        steps = self.steps(loaded)
        return await carry_out(call, self.handler, loaded, steps, len(loaded), self.progress, dry_run=dry_run)

    async def balances(self) -> list[int]:
        loaded = await self.handler.load_many(sorted(await self.store.stream_ids("account")))
        return [each.state.balance for each in loaded.values()]


async def test_every_row_is_decided_once_and_appended_in_the_order_of_the_rows() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS)
    ledger.decisions.clear()
    assert await ledger.imported(loaded) == {}
    assert ledger.decisions == [Pay(amount=row) for row in range(2, len(ACCOUNTS) + 2)]
    appended = await ledger.store.read(len(ACCOUNTS), 1_000)
    assert [event.stream.id for event in appended] == ACCOUNTS
    assert await ledger.balances() == list(range(2, len(ACCOUNTS) + 2))
    assert {event.metadata["actor"] for event in appended} == {"officer"}


async def test_the_next_rows_are_decided_while_the_ones_before_are_appended() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS)
    ledger.decisions.clear()
    ledger.store.let.clear()
    running = asyncio.create_task(ledger.imported(loaded))
    await eventually(lambda: len(ledger.decisions) == 2 * BATCH, 5)
    assert ledger.store.asked == 1
    assert await ledger.balances() == [0] * len(ACCOUNTS)
    ledger.store.let.set()
    assert await running == {}
    assert (len(ledger.decisions), ledger.store.asked) == (len(ACCOUNTS), 3)


async def test_a_row_whose_stream_has_moved_on_is_decided_again_on_what_is_there_now() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS[:3])
    await ledger.handler.handle(Order(ACCOUNTS[0], Pay(amount=100)))
    await ledger.handler.handle(Order(ACCOUNTS[1], Close()))
    refused = await ledger.imported(loaded)
    assert refused == {3: "Only an open account can be used."}
    assert await ledger.balances() == [102, 0, 4]


async def test_a_dry_run_decides_every_row_and_appends_nothing() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS)
    ledger.decisions.clear()
    assert await ledger.imported(loaded, dry_run=True) == {}
    assert (len(ledger.decisions), ledger.store.asked) == (len(ACCOUNTS), 0)


async def test_rows_done_of_all_rows_are_seen_until_the_import_is_over() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS)
    ledger.decisions.clear()
    ledger.store.let.clear()
    running = asyncio.create_task(ledger.imported(loaded))
    assert await eventually(lambda: ledger.progress.of("k"), 5) == RunningImport(rows=len(ACCOUNTS), done=0)
    ledger.store.let.set()
    await running
    with pytest.raises(NoSuchImport):
        ledger.progress.of("k")


async def test_what_was_begun_is_appended_before_a_later_row_fails_the_import() -> None:
    ledger = Ledger()
    loaded = await ledger.opened(ACCOUNTS[: BATCH + 1])
    broken = {**loaded, UUID(int=999): Loaded(Account(closed=True), 0)}
    ledger.decisions.clear()
    ledger.store.let.clear()
    running = asyncio.create_task(ledger.imported(broken))
    await eventually(lambda: len(ledger.decisions) == len(broken), 5)
    assert not running.done()
    ledger.store.let.set()
    with pytest.raises(NotOpen):
        await running
    assert sum(balance > 0 for balance in await ledger.balances()) == BATCH
