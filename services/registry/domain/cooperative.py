"""One cooperative in the register: what it is and where, what lists and office say of it, and its removal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, TypedDict, assert_never, cast

from pydantic import BaseModel, ConfigDict, with_config

from chassis.definitions.cells import compact
from chassis.definitions.decider import Claim, Command, Decider, Event, Invalid, Missing, Rejection
from chassis.definitions.values import Count, Date, Flag, KecamatanCode, Nik, ShortText, Text, VillageCode

type Tier = Literal["primary", "secondary"]
type Scope = Literal["regency", "province", "national"]
type CooperativeType = Literal["consumer", "savings_and_loan", "producer", "marketing", "service"]
type NikGrade = Literal["A", "B", "C1", "C2", "D"]
type Source = Literal["ods", "office", "manual"]
type ListSource = Literal["ods", "office"]
type Finding = Literal["found", "moved", "dormant", "not_found"]
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


class CooperativeTraced(Event):
    """An officer went to look for it. `notes` are for the office only: they may name people."""

    traced_on: date
    signboard_found: bool
    office_found: bool
    members_reached: bool
    operating: bool
    village_letter_number: str | None = None
    notes: str | None = None
    finding: Finding
    kecamatan_code: str | None


class RemovalProposed(Event):
    """The office asked the Ministry to remove it."""

    letter_number: str
    letter_date: date
    grounds: str
    kecamatan_code: str | None


class RemovalApproved(Event):
    """The Ministry dissolved it."""

    decree_number: str
    decided_on: date
    authority: str
    kecamatan_code: str | None


class RemovalRejected(Event):
    """The Ministry refused to remove it."""

    decree_number: str
    decided_on: date
    authority: str
    kecamatan_code: str | None


type CooperativeEvent = (
    CooperativeRegistered
    | CooperativeCorrected
    | CooperativeRelocated
    | MinistryRecordChanged
    | CooperativeTraced
    | RemovalProposed
    | RemovalApproved
    | RemovalRejected
)


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


@dataclass(frozen=True, slots=True)
class Tracing:
    """What the office found on one day."""

    traced_on: date
    finding: Finding


PLACE_FIELDS = ("kecamatan_code", "village_code", "address")
_NOWHERE = Place()
TRACINGS_NEEDED = 2
"""Independent visits, on days of their own, before a removal is proposed."""


@dataclass(frozen=True, slots=True)
class Cooperative:
    """A cooperative as it is known now.

    `registered_place` is where it sat before any relocation, corrections included; `moves` are in order of
    their dates, and so are `tracings`. `listed` is what lists said last (or the registration, where none spoke),
    and `listed_by` what each of them did, so that an import compares with it and leaves the office's corrections
    alone. `proposed_on` is the date of the letter of a removal that is not decided.
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
    kecamatan_text: str | None = None
    registered_place: Place = _NOWHERE
    moves: tuple[Move, ...] = ()
    listed: Mapping[str, Any] = field(default_factory=dict)
    listed_by: Mapping[ListSource, Mapping[str, Any]] = field(default_factory=dict)
    tracings: tuple[Tracing, ...] = ()
    proposed_on: date | None = None
    dissolved_on: date | None = None

    @property
    def place(self) -> Place:
        """Return where it has its seat now: the latest relocation, else the registered place."""
        return self.moves[-1].to if self.moves else self.registered_place

    @property
    def found(self) -> Tracing | None:
        """Return the last tracing by its day; of two on one day, the later recorded."""
        return self.tracings[-1] if self.tracings else None

    @property
    def existence(self) -> Existence:
        """Return the one value: dissolved, else a removal proposed and not decided, else what was found last."""
        if self.dissolved_on:
            return "dissolved"
        if self.proposed_on:
            return "removal_proposed"
        return self.found.finding if self.found else "registered"

    def listed_before(self, source: ListSource, name: str) -> object:
        """Return what a list said last of a field; of one it has not spoken of, what was said by any."""
        return self.listed_by.get(source, self.listed).get(name, self.listed.get(name))


def evolve(state: Cooperative, event: CooperativeEvent) -> Cooperative:
    """Return the cooperative after the event."""
    match event:
        case CooperativeRegistered():
            values = dict(vars(event))
            place = Place(**{name: values.pop(name) for name in PLACE_FIELDS})
            listed = {name: value for name, value in vars(event).items() if value is not None}
            by = {} if event.source == "manual" else {event.source: listed}
            return Cooperative(registered=True, registered_place=place, listed=listed, listed_by=by, **values)
        case CooperativeCorrected(changes=changes):
            return _changed(state, changes, of_registered_place="kecamatan_code" in changes)
        case CooperativeRelocated():
            move = Move(event.effective_on, Place(event.kecamatan_code, event.village_code, event.address))
            return replace(state, moves=tuple(sorted((*state.moves, move), key=lambda each: each.effective_on)))
        case MinistryRecordChanged(changes=changes, source=source):
            changed = _changed(state, changes, of_registered_place=True)
            said = {**state.listed_by.get(source, {}), **changes}
            return replace(changed, listed={**state.listed, **changes}, listed_by={**state.listed_by, source: said})
        case CooperativeTraced():
            tracing = Tracing(event.traced_on, event.finding)
            return replace(state, tracings=tuple(sorted((*state.tracings, tracing), key=lambda each: each.traced_on)))
        case RemovalProposed(letter_date=letter_date):
            return replace(state, proposed_on=letter_date)
        case RemovalApproved(decided_on=decided_on):
            return replace(state, proposed_on=None, dissolved_on=decided_on)
        case RemovalRejected():
            return replace(state, proposed_on=None)
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


class TraceCooperative(Command):
    """Report what an officer found on the spot; without a `finding`, it follows from the rest."""

    traced_on: Date
    signboard_found: Flag
    office_found: Flag
    members_reached: Flag
    operating: Flag
    village_letter_number: ShortText | None = None
    notes: Text | None = None
    finding: Finding | None = None
    today: date


class ProposeRemoval(Command):
    """Record the letter that asks the Ministry to remove it."""

    letter_number: ShortText
    letter_date: Date
    grounds: Text
    today: date


class DecideRemoval(Command):
    """Record what the Ministry decided about the removal proposed."""

    decision: Literal["approved", "rejected"]
    decree_number: ShortText
    decided_on: Date
    authority: ShortText
    today: date


type CooperativeCommand = (
    RegisterCooperative
    | CorrectCooperative
    | RelocateCooperative
    | EnterListing
    | TraceCooperative
    | ProposeRemoval
    | DecideRemoval
)


class AlreadyRegistered(Rejection):
    """A cooperative with this NIK, or with this legal entity number and no other NIK, is already registered."""


class NoSuchCooperative(Missing):
    """There is no cooperative with this id."""


class InTheFuture(Invalid):
    """A date that tells what happened cannot lie in the future."""


class VillageElsewhere(Invalid):
    """The village must lie in the kecamatan."""


class BeforeItExisted(Invalid):
    """Nothing happens to a cooperative before it became a legal entity."""


class NothingChanged(Invalid):
    """A correction must change something."""


class NameMissing(Invalid):
    """A cooperative has a name."""


class CooperativeDissolved(Rejection):
    """The cooperative is dissolved; its record is closed."""


class TracingRequired(Rejection):
    """A removal needs two tracings on different days that found it dormant or did not find it."""


class RemovalAlreadyProposed(Rejection):
    """A removal is proposed once, until it is decided."""


class NoOpenProposal(Rejection):
    """There is a decision only on a removal that is proposed."""


class BeforeTheProposal(Invalid):
    """A removal cannot be decided before it was proposed."""


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
        case TraceCooperative():
            return trace(command, state)
        case ProposeRemoval():
            return propose_removal(command, state)
        case DecideRemoval():
            return decide_removal(command, state)
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
    _must_exist(state)
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
    _must_exist(state)
    _not_after(command.today, command.effective_on, "effective_on")
    _not_before_it_existed(state, command.effective_on, "effective_on")
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
    """Register what is new, else record what differs from what was listed before; often that is nothing.

    A list never brings back what is dissolved, and says nothing of what the office found.
    """
    listing = command.listing
    _not_after(command.today, listing.get("legal_entity_date"), "legal_entity_date")
    if not state.registered:
        if "name" not in listing:
            raise NameMissing("name")
        _within(listing.get("kecamatan_code"), listing.get("village_code"))
        return [CooperativeRegistered(**cast(dict[str, Any], listing), source=command.source)]
    if state.dissolved_on:
        return []
    differing = {name: value for name, value in listing.items() if value != state.listed_before(command.source, name)}
    kecamatan_code = differing.get("kecamatan_code", state.registered_place.kecamatan_code)
    if not _lies_in(cast(str | None, kecamatan_code), cast(str | None, differing.get("village_code"))):
        # The office has corrected the kecamatan; a village of the one the list believes in is of no use.
        del differing["village_code"]
    changes = cast(Listing, _leaving_the_village(differing, state.registered_place))
    if not changes:
        return []
    after = _changed(state, changes, of_registered_place=True)
    return [MinistryRecordChanged(changes=changes, source=command.source, kecamatan_code=after.place.kecamatan_code)]


def trace(command: TraceCooperative, state: Cooperative) -> Sequence[CooperativeTraced]:
    """Record what was found; tracings may become known in any order, also while a removal is proposed."""
    _must_exist(state)
    _not_after(command.today, command.traced_on, "traced_on")
    _not_before_it_existed(state, command.traced_on, "traced_on")
    return [
        CooperativeTraced(
            traced_on=command.traced_on,
            signboard_found=command.signboard_found,
            office_found=command.office_found,
            members_reached=command.members_reached,
            operating=command.operating,
            village_letter_number=command.village_letter_number,
            notes=command.notes,
            finding=command.finding or finding_of(command),
            kecamatan_code=state.place.kecamatan_code,
        )
    ]


def finding_of(command: TraceCooperative) -> Finding:
    """Return what the evidence says; a signboard alone is no cooperative, and that one moved is for people to say."""
    if command.operating:
        return "found"
    return "dormant" if command.members_reached or command.office_found else "not_found"


def propose_removal(command: ProposeRemoval, state: Cooperative) -> Sequence[RemovalProposed]:
    """Record the proposal; what was found since counts as much as what was found before an earlier refusal."""
    _must_exist(state)
    _not_after(command.today, command.letter_date, "letter_date")
    _not_before_it_existed(state, command.letter_date, "letter_date")
    if state.proposed_on:
        raise RemovalAlreadyProposed(f"A removal is proposed since {state.proposed_on} and not decided.")
    days = {tracing.traced_on for tracing in state.tracings if tracing.finding in ("dormant", "not_found")}
    if len(days) < TRACINGS_NEEDED:
        raise TracingRequired
    return [
        RemovalProposed(
            letter_number=command.letter_number,
            letter_date=command.letter_date,
            grounds=command.grounds,
            kecamatan_code=state.place.kecamatan_code,
        )
    ]


def decide_removal(command: DecideRemoval, state: Cooperative) -> Sequence[RemovalApproved | RemovalRejected]:
    """Record the Ministry's decision: it dissolves the cooperative, or the last finding holds again."""
    _must_exist(state)
    if state.proposed_on is None:
        raise NoOpenProposal
    _not_after(command.today, command.decided_on, "decided_on")
    if command.decided_on < state.proposed_on:
        raise BeforeTheProposal("decided_on")
    kind = RemovalApproved if command.decision == "approved" else RemovalRejected
    return [
        kind(
            decree_number=command.decree_number,
            decided_on=command.decided_on,
            authority=command.authority,
            kecamatan_code=state.place.kecamatan_code,
        )
    ]


def _must_exist(state: Cooperative) -> None:
    if not state.registered:
        raise NoSuchCooperative
    if state.dissolved_on:
        raise CooperativeDissolved(f"The cooperative is dissolved since {state.dissolved_on}; its record is closed.")


def _not_before_it_existed(state: Cooperative, day: date, name: str) -> None:
    if state.legal_entity_date and day < state.legal_entity_date:
        raise BeforeItExisted(name)


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
    events=(
        CooperativeRegistered,
        CooperativeCorrected,
        CooperativeRelocated,
        MinistryRecordChanged,
        CooperativeTraced,
        RemovalProposed,
        RemovalApproved,
        RemovalRejected,
    ),
    holds=holds,
)
