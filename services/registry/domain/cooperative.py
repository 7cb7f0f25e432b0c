"""One cooperative in the register: what it is, where it sits, what the lists said, what the office corrected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, TypedDict, assert_never, cast

from pydantic import BaseModel, ConfigDict, with_config

from chassis.definitions.cells import compact
from chassis.definitions.decider import Claim, Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.values import Count, Date, KecamatanCode, Nik, ShortText, Text, VillageCode

type Tier = Literal["primary", "secondary"]
type Scope = Literal["regency", "province", "national"]
type CooperativeType = Literal["consumer", "savings_and_loan", "producer", "marketing", "service"]
type NikGrade = Literal["A", "B", "C1", "C2", "D"]
type Source = Literal["ods", "office", "manual"]
type ListSource = Literal["ods", "office"]
type Existence = Literal["registered", "found", "moved", "dormant", "not_found", "removal_proposed", "dissolved"]

# ---------------------------------------------------------------- values


@with_config(ConfigDict(extra="forbid"))
class Changes(TypedDict, total=False):
    """What a correction may change; a key that is absent stays as it is, null takes a value away."""

    name: ShortText
    legal_entity_number: ShortText
    legal_entity_date: Date
    nik: Nik | None
    tier: Tier
    scope: Scope
    type: CooperativeType | None
    group: ShortText | None
    sector: ShortText | None
    address: Text | None
    kecamatan_code: KecamatanCode
    village_code: VillageCode | None
    members_total: Count | None
    nik_grade: NikGrade | None


@with_config(ConfigDict(extra="forbid"))
class Listing(Changes, total=False):
    """What a list says about a cooperative; a blank cell says nothing, so its key is absent.

    `kecamatan_text` is the kecamatan as written, when it cannot be resolved.
    """

    kecamatan_text: ShortText | None


class Registration(BaseModel):
    """What somebody who registers a cooperative tells about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ShortText
    legal_entity_number: ShortText
    legal_entity_date: Date
    kecamatan_code: KecamatanCode
    village_code: VillageCode | None = None
    address: Text | None = None
    nik: Nik | None = None
    tier: Tier = "primary"
    scope: Scope = "regency"
    type: CooperativeType | None = None
    group: ShortText | None = None
    sector: ShortText | None = None
    members_total: Count | None = None
    nik_grade: NikGrade | None = None
    source: Source = "manual"


# ---------------------------------------------------------------- events: stored for ever


class CooperativeRegistered(Event):
    """A cooperative entered the register."""

    name: str
    legal_entity_number: str | None = None
    legal_entity_date: date | None = None
    kecamatan_code: str | None = None
    kecamatan_text: str | None = None
    village_code: str | None = None
    address: str | None = None
    nik: str | None = None
    tier: Tier = "primary"
    scope: Scope = "regency"
    type: CooperativeType | None = None
    group: str | None = None
    sector: str | None = None
    members_total: int | None = None
    nik_grade: NikGrade | None = None
    source: Source = "manual"


class CooperativeCorrected(Event):
    """The record had been wrong; `kecamatan_code` is the current one after the correction."""

    changes: Changes
    reason: str
    kecamatan_code: str | None


class CooperativeRelocated(Event):
    """The cooperative moved its seat."""

    kecamatan_code: str
    village_code: str | None = None
    address: str
    effective_on: date


class MinistryRecordChanged(Event):
    """A list says something else than before; `kecamatan_code` is the current one after the change."""

    changes: Listing
    source: ListSource
    kecamatan_code: str | None


type CooperativeEvent = CooperativeRegistered | CooperativeCorrected | CooperativeRelocated | MinistryRecordChanged


# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cooperative has its seat."""

    kecamatan_code: str | None = None
    village_code: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A relocation, as the office knows it now."""

    effective_on: date
    to: Place


PLACE_FIELDS = ("kecamatan_code", "village_code", "address")
_NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Cooperative:
    """A cooperative as it is known now.

    `registered_place` is where it sat before any relocation, corrections included; `moves` are in order of
    their dates. `listed` is what the lists said last (or the registration, where no list spoke), so that an
    import compares with it and leaves the office's corrections alone.
    """

    registered: bool = False
    name: str = ""
    legal_entity_number: str | None = None
    legal_entity_date: date | None = None
    nik: str | None = None
    tier: Tier = "primary"
    scope: Scope = "regency"
    type: CooperativeType | None = None
    group: str | None = None
    sector: str | None = None
    members_total: int | None = None
    nik_grade: NikGrade | None = None
    source: Source = "manual"
    existence: Existence = "registered"
    kecamatan_text: str | None = None
    registered_place: Place = _NOWHERE
    moves: tuple[Move, ...] = ()
    listed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Return where it has its seat now: the latest relocation, else the registered place."""
        return self.moves[-1].to if self.moves else self.registered_place


def evolve(state: Cooperative, event: CooperativeEvent) -> Cooperative:
    """Return the cooperative after the event."""
    match event:
        case CooperativeRegistered():
            values = dict(vars(event))
            place = Place(**{name: values.pop(name) for name in PLACE_FIELDS})
            listed = {name: value for name, value in vars(event).items() if value is not None}
            return Cooperative(registered=True, registered_place=place, listed=listed, **values)
        case CooperativeCorrected(changes=changes):
            return _changed(state, changes, of_registered_place="kecamatan_code" in changes)
        case CooperativeRelocated():
            move = Move(event.effective_on, Place(event.kecamatan_code, event.village_code, event.address))
            return replace(state, moves=tuple(sorted((*state.moves, move), key=lambda each: each.effective_on)))
        case MinistryRecordChanged(changes=changes):
            return replace(_changed(state, changes, of_registered_place=True), listed={**state.listed, **changes})
        case _:
            assert_never(event)


def _changed(state: Cooperative, changes: Changes, *, of_registered_place: bool) -> Cooperative:
    values = dict(changes)
    moved = {name: values.pop(name) for name in PLACE_FIELDS if name in values}
    if not moved:
        return replace(state, **cast(dict[str, Any], values))
    place = replace(_place(state, of_registered_place), **cast(dict[str, Any], moved))
    if of_registered_place or not state.moves:
        return replace(state, registered_place=place, **cast(dict[str, Any], values))
    return replace(state, moves=(*state.moves[:-1], replace(state.moves[-1], to=place)), **cast(dict[str, Any], values))


def _place(state: Cooperative, of_registered_place: bool) -> Place:
    return state.registered_place if of_registered_place else state.place


def holds(state: Cooperative) -> frozenset[Claim]:
    """Return the unique keys the cooperative claims.

    A NIK is held alone; a legal entity number may be shared by cooperatives that carry different NIKs, since
    the Ministry has given some numbers twice.
    """
    claims = set()
    if state.nik:
        claims.add(Claim("nik", state.nik))
    if state.legal_entity_number:
        claims.add(Claim("legal_entity_number", compact(state.legal_entity_number), state.nik))
    return frozenset(claims)


# ---------------------------------------------------------------- commands and rules


class RegisterCooperative(Command):
    """Enter a cooperative that somebody tells us about."""

    registration: Registration
    today: date


class CorrectCooperative(Command):
    """Mend what has been wrong in the record from the start."""

    changes: Changes
    reason: Text
    today: date


class RelocateCooperative(Command):
    """Record that the cooperative moved its seat."""

    kecamatan_code: KecamatanCode
    village_code: VillageCode | None = None
    address: Text
    effective_on: Date
    today: date


class EnterListing(Command):
    """Enter what a list says: registers the new, records what the list changed, leaves the rest alone."""

    listing: Listing
    source: ListSource
    today: date


type CooperativeCommand = RegisterCooperative | CorrectCooperative | RelocateCooperative | EnterListing


class AlreadyRegistered(Rejection):
    """A cooperative with this NIK, or with this legal entity number and no other NIK, is already registered."""


class NoSuchCooperative(Missing):
    """There is no cooperative with this id."""


class InTheFuture(Invalid):
    """A date that tells what happened cannot lie in the future."""


class VillageElsewhere(Invalid):
    """The village must lie in the kecamatan."""


class BeforeItExisted(Invalid):
    """A cooperative cannot move before it became a legal entity."""


class NothingChanged(Invalid):
    """A correction must change something."""


class NameMissing(Invalid):
    """A cooperative has a name."""


def decide(command: CooperativeCommand, state: Cooperative) -> Sequence[CooperativeEvent]:
    """Return what happens, or raise the rule that forbids it."""
    match command:
        case RegisterCooperative():
            return register(command, state)
        case CorrectCooperative():
            return correct(command, state)
        case RelocateCooperative():
            return relocate(command, state)
        case EnterListing():
            return enter_listing(command, state)
        case _:
            assert_never(command)


def register(command: RegisterCooperative, state: Cooperative) -> Sequence[CooperativeRegistered]:
    """Register, once. (That NIK and number are free is what `holds` claims.)"""
    told = command.registration
    if state.registered:
        raise AlreadyRegistered
    _not_after(command.today, told.legal_entity_date, "legal_entity_date")
    _within(told.kecamatan_code, told.village_code)
    return [CooperativeRegistered(**vars(told))]


def correct(command: CorrectCooperative, state: Cooperative) -> Sequence[CooperativeCorrected]:
    """Record what really differs; a correction that names no kecamatan speaks of the place it is at now."""
    if not state.registered:
        raise NoSuchCooperative
    of_registered_place = "kecamatan_code" in command.changes
    before = _place(state, of_registered_place)
    told = command.changes
    _not_after(command.today, told.get("legal_entity_date"), "changes.legal_entity_date")
    _within(told.get("kecamatan_code", before.kecamatan_code), told.get("village_code"), "changes.village_code")
    differing = {
        name: value for name, value in told.items() if value != getattr(before if name in PLACE_FIELDS else state, name)
    }
    if not differing:
        raise NothingChanged("changes")
    changes = cast(Changes, _leaving_the_village(differing, before))
    if of_registered_place and state.moves:
        # Even when it does not change, it says which place the correction speaks of.
        changes = {**changes, "kecamatan_code": command.changes["kecamatan_code"]}
    after = _changed(state, changes, of_registered_place=of_registered_place)
    return [CooperativeCorrected(changes=changes, reason=command.reason, kecamatan_code=after.place.kecamatan_code)]


def relocate(command: RelocateCooperative, state: Cooperative) -> Sequence[CooperativeRelocated]:
    """Record a move; moves may become known in any order."""
    if not state.registered:
        raise NoSuchCooperative
    _not_after(command.today, command.effective_on, "effective_on")
    if state.legal_entity_date and command.effective_on < state.legal_entity_date:
        raise BeforeItExisted("effective_on")
    _within(command.kecamatan_code, command.village_code)
    return [
        CooperativeRelocated(
            kecamatan_code=command.kecamatan_code,
            village_code=command.village_code,
            address=command.address,
            effective_on=command.effective_on,
        )
    ]


def enter_listing(command: EnterListing, state: Cooperative) -> Sequence[CooperativeRegistered | MinistryRecordChanged]:
    """Register what is new, else record what differs from what was listed before; often that is nothing."""
    listing = command.listing
    _not_after(command.today, listing.get("legal_entity_date"), "legal_entity_date")
    if not state.registered:
        if "name" not in listing:
            raise NameMissing("name")
        _within(listing.get("kecamatan_code"), listing.get("village_code"))
        return [CooperativeRegistered(**cast(dict[str, Any], listing), source=command.source)]
    differing = {name: value for name, value in listing.items() if value != state.listed.get(name)}
    kecamatan_code = differing.get("kecamatan_code", state.registered_place.kecamatan_code)
    if not _lies_in(cast(str | None, kecamatan_code), cast(str | None, differing.get("village_code"))):
        # The office has corrected the kecamatan; a village of the one the list believes in is of no use.
        del differing["village_code"]
    changes = cast(Listing, _leaving_the_village(differing, state.registered_place))
    if not changes:
        return []
    after = _changed(state, changes, of_registered_place=True)
    return [MinistryRecordChanged(changes=changes, source=command.source, kecamatan_code=after.place.kecamatan_code)]


def _leaving_the_village(changes: dict[str, object], before: Place) -> dict[str, object]:
    """Return the changes, which also take away a village that another kecamatan leaves behind."""
    kecamatan_code = cast(str | None, changes.get("kecamatan_code"))
    if kecamatan_code and "village_code" not in changes and not _lies_in(kecamatan_code, before.village_code):
        return {**changes, "village_code": None}
    return changes


def _not_after(today: date, day: date | None, name: str) -> None:
    if day is not None and day > today:
        raise InTheFuture(name)


def _within(kecamatan_code: str | None, village_code: str | None, name: str = "village_code") -> None:
    if not _lies_in(kecamatan_code, village_code):
        raise VillageElsewhere(name)


def _lies_in(kecamatan_code: str | None, village_code: str | None) -> bool:
    return village_code is None or village_code.startswith(f"{kecamatan_code}.")


decider: Decider[CooperativeCommand, Cooperative, CooperativeEvent] = Decider(
    stream="cooperative",
    initial=Cooperative(),
    evolve=evolve,
    decide=decide,
    events=(CooperativeRegistered, CooperativeCorrected, CooperativeRelocated, MinistryRecordChanged),
    holds=holds,
)
