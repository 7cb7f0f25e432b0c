"""What the registry tells the world: which cooperatives exist, where, and what the office found there."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.envelope import PublicEvent
from contracts.fields import AboutCooperative, Changes, Count, KecamatanCode, VillageCode

type Nik = Annotated[str, Field(pattern=r"^[0-9]{13}$", description="Nomor Induk Koperasi, 13 digits")]
type NikGrade = Annotated[
    Literal["A", "B", "C1", "C2", "D"], Field(description="The Ministry's grade of reported meetings")
]
type Tier = Annotated[
    Literal["primary", "secondary"],
    Field(description="primary: of persons; secondary: of cooperatives"),
]
type Scope = Annotated[
    Literal["regency", "province", "national"],
    Field(description="How far its members live apart; says who supervises it"),
]
type CooperativeType = Annotated[
    Literal["consumer", "savings_and_loan", "producer", "marketing", "service"],
    Field(description="Jenis koperasi, by law"),
]
type Existence = Literal["registered", "found", "moved", "dormant", "not_found", "removal_proposed", "dissolved"]
type Finding = Annotated[
    Literal["found", "moved", "dormant", "not_found"],
    Field(description="dormant: there, but not operating; not_found: neither office nor members"),
]
type CooperativeSource = Annotated[Literal["ods", "office", "manual"], Field(description="Where the record came from")]
type RecordSource = Annotated[Literal["ods", "office"], Field(description="Whose list the change was read from")]


class RegistryEvent(AboutCooperative):
    """Something the registry recorded about one cooperative."""

    service: ClassVar[str] = "registry"


class CooperativeRegistered(RegistryEvent):
    """A cooperative entered the register, by hand or from a list of the Ministry or the office."""

    name: str = Field(description="As the register writes it")
    legal_entity_number: str | None = Field(description="Nomor badan hukum, as written")
    legal_entity_date: date | None = Field(description="When it became a legal entity; its first book year")
    nik: Nik | None = None
    tier: Tier = "primary"
    scope: Scope | None = None
    type: CooperativeType | None = None
    group: str | None = Field(None, description="The Ministry's grouping, e.g. Kop. Wanita")
    sector: str | None = Field(None, description="Sektor usaha, as the Ministry names it")
    address: str | None = Field(None, description="Of its seat, as written")
    village_code: VillageCode | None = None
    kecamatan_text: str | None = Field(None, description="The kecamatan as written, when it could not be resolved")
    members_total: Count | None = None
    nik_grade: NikGrade | None = None
    source: CooperativeSource = "manual"


class CooperativeCorrected(RegistryEvent):
    """The office corrected what had been wrong in a cooperative's record from the start."""

    changes: Changes
    reason: str = Field(description="Why, in the officer's words")


class CooperativeRelocated(RegistryEvent):
    """A cooperative moved its seat; the event is filed under the kecamatan it moved to."""

    kecamatan_code: KecamatanCode = Field(description="Where it moved to")
    village_code: VillageCode | None = None
    address: str = Field(description="Of the new seat, as written")
    effective_on: date = Field(description="First day at the new seat")


class CooperativeTraced(RegistryEvent):
    """An officer went to look for a cooperative and reported what was there."""

    traced_on: date = Field(description="The day of the visit")
    signboard_found: bool = Field(description="Its signboard stood there")
    office_found: bool = Field(description="Its office was there")
    members_reached: bool = Field(description="Board or members could be spoken to")
    operating: bool = Field(description="It does business")
    village_letter_number: str | None = Field(None, description="Number of the village's letter about its existence")
    finding: Finding


class RemovalProposed(RegistryEvent):
    """The office asked the Ministry to remove a cooperative from the register."""

    letter_number: str = Field(description="Of the office's letter to the Ministry")
    letter_date: date = Field(description="From this day on the removal counts as proposed")
    grounds: str = Field(description="Why it should be removed")


class RemovalApproved(RegistryEvent):
    """The Ministry dissolved a cooperative; it counts no longer from the day of the decision."""

    decree_number: str = Field(description="Of the decision, as written")
    decided_on: date = Field(description="The day of the decision")
    authority: str = Field(description="Who decided")


class RemovalRejected(RegistryEvent):
    """The Ministry refused to remove a cooperative; the last finding holds again."""

    decree_number: str = Field(description="Of the decision, as written")
    decided_on: date = Field(description="The day of the decision")
    authority: str = Field(description="Who decided")


class MinistryRecordChanged(RegistryEvent):
    """A later list of the Ministry or the office says something else about a cooperative than the last one did."""

    changes: Changes
    source: RecordSource


EVENTS: tuple[type[PublicEvent], ...] = (
    CooperativeRegistered,
    CooperativeCorrected,
    CooperativeRelocated,
    CooperativeTraced,
    RemovalProposed,
    RemovalApproved,
    RemovalRejected,
    MinistryRecordChanged,
)
