"""A small service for tests of the chassis: accounts that are opened, paid into and closed."""

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never
from uuid import UUID

from chassis.definitions import clock
from chassis.definitions.decider import Claim, Command, Decider, Event, Rejection
from chassis.engine.codec import Codec
from chassis.engine.ports import Commit, Key, NewEvent, Stream
from contracts.envelope import PublicEvent


class Opened(Event):
    """An account exists from now on."""

    number: str


class Paid(Event):
    """Money came in."""

    amount: int


class Closed(Event):
    """The account takes no more money."""


class Open(Command):
    """Open an account."""

    number: str


class Pay(Command):
    """Pay something in."""

    amount: int


class Close(Command):
    """Close an account."""


class AlreadyOpened(Rejection):
    """An account is opened once."""


class NotOpen(Rejection):
    """Only an open account can be used."""


@dataclass(frozen=True)
class Account:
    """What decisions need to know."""

    number: str | None = None
    balance: int = 0
    closed: bool = False


def evolve(state: Account, event: Opened | Paid | Closed) -> Account:
    """Return the account after the event."""
    match event:
        case Opened():
            return replace(state, number=event.number)
        case Paid():
            return replace(state, balance=state.balance + event.amount)
        case Closed():
            return replace(state, closed=True)
        case _:
            assert_never(event)


def decide(command: Open | Pay | Close, state: Account) -> list[Opened | Paid | Closed]:
    """Return what the command makes happen. Raises AlreadyOpened, NotOpen."""
    match command:
        case Open():
            if state.number is not None:
                raise AlreadyOpened
            return [Opened(number=command.number)]
        case Pay():
            if state.number is None or state.closed:
                raise NotOpen
            return [Paid(amount=command.amount)] if command.amount else []
        case Close():
            if state.number is None or state.closed:
                raise NotOpen
            return [Closed()]
        case _:
            assert_never(command)


def holds(state: Account) -> frozenset[Claim]:
    """An open account holds its number."""
    return frozenset({Claim("number", state.number)}) if state.number and not state.closed else frozenset()


decider: Decider[Open | Pay | Close, Account, Opened | Paid | Closed] = Decider(
    stream="account", initial=Account(), evolve=evolve, decide=decide, events=(Opened, Paid, Closed), holds=holds
)
codec = Codec(decider, clock.new_id)


class AccountOpened(PublicEvent):
    """An account was opened."""

    service: ClassVar[str] = "ledger"
    number: str
    kecamatan_code: str | None = None


class AccountPaid(PublicEvent):
    """Money came into an account."""

    service: ClassVar[str] = "ledger"
    amount: int


class AccountClosed(PublicEvent):
    """An account was closed."""

    service: ClassVar[str] = "ledger"


def publish(_: UUID, event: Opened | Paid | Closed) -> PublicEvent:
    """Return what the world is told."""
    match event:
        case Opened():
            return AccountOpened(number=event.number, kecamatan_code="35.07.21" if event.number == "21" else None)
        case Paid():
            return AccountPaid(amount=event.amount)
        case Closed():
            return AccountClosed()
        case _:
            assert_never(event)


def paid(amount: int = 1) -> NewEvent:
    """Return a new event, ready to append."""
    return codec.encode(Paid(amount=amount))


def commit(
    stream_id: UUID | None = None,
    expected: int = 0,
    events: int = 1,
    *,
    take: tuple[Claim, ...] = (),
    release: tuple[Claim, ...] = (),
    key: Key | None = None,
    **answer: object,
) -> Commit:
    """Return a commit of so many payments to a stream, a new one unless given."""
    return Commit(
        stream=Stream("account", stream_id or clock.new_id()),
        expected=expected,
        events=[paid(number) for number in range(1, events + 1)],
        metadata={"actor": "test"},
        take=take,
        release=release,
        key=key,
        answer=answer,
    )
