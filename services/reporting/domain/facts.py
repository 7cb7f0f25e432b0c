"""The dated facts that reporting keeps of a cooperative or a request: what, valid when, recorded when, by which event.

A fact is a compact JSON array such as `["rat","0198…",12,1731542400000000,2023,"2024-03-05","office"]`: the kind,
the event's id, its gapless number within its service, the time of recording in microseconds since 1970 UTC, and
what holds. Facts are kept per service in the order of their numbers, so how services interleave changes nothing.
Old rows are read back by later code: add fields at the end only, with a default.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return microseconds since 1970 UTC, exactly; `time` must be aware."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every fact has: the event it came by. `recorded_at` is in microseconds since 1970 UTC.

    Nobody computes with the id, so it stays the text it is in JSON.
    """

    id: str
    sequence: int
    recorded_at: int


# ------------------------------------------------------------------ registry


class Registered(Fact, frozen=True, array_like=True, gc=False, tag="reg"):
    """A cooperative entered the register."""

    name: str
    nik: str | None
    legal_entity_date: date | None
    kecamatan_code: str | None
    village_code: str | None
    tier: str
    scope: str | None


class Changes(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The corrected fields that a verdict depends on; the others are left out. None is a value: now empty."""

    name: str | UnsetType = UNSET
    nik: str | UnsetType | None = UNSET
    legal_entity_date: date | UnsetType | None = UNSET
    kecamatan_code: str | UnsetType | None = UNSET
    village_code: str | UnsetType | None = UNSET
    tier: str | UnsetType = UNSET
    scope: str | UnsetType | None = UNSET


class Corrected(Fact, frozen=True, array_like=True, gc=False, tag="cor"):
    """It was always so, the office says. A village without a kecamatan is that of the latest seat."""

    changes: Changes


class RecordChanged(Fact, frozen=True, array_like=True, gc=False, tag="min"):
    """It was always so, a newer list of the Ministry or the office says; a place is that of the first seat."""

    changes: Changes


class Relocated(Fact, frozen=True, array_like=True, gc=False, tag="mov"):
    """The cooperative sits elsewhere from `effective_on` on."""

    effective_on: date
    kecamatan_code: str
    village_code: str | None


class Traced(Fact, frozen=True, array_like=True, gc=False, tag="tra"):
    """The office went to see; `finding` is found, moved, dormant or not_found."""

    traced_on: date
    finding: str


class RemovalProposed(Fact, frozen=True, array_like=True, gc=False, tag="pro"):
    """The office proposed its removal to the Ministry."""

    letter_date: date


class RemovalApproved(Fact, frozen=True, array_like=True, gc=False, tag="app"):
    """The Ministry removed it: from `decided_on` on it no longer counts."""

    decided_on: date


class RemovalRejected(Fact, frozen=True, array_like=True, gc=False, tag="rej"):
    """The Ministry refused: from `decided_on` on the last finding holds again."""

    decided_on: date


type RegistryFact = (
    Registered | Corrected | RecordChanged | Relocated | Traced | RemovalProposed | RemovalApproved | RemovalRejected
)

# ------------------------------------------------------------------ rat


class RATHeld(Fact, frozen=True, array_like=True, gc=False, tag="rat"):
    """The annual members' meeting for `book_year` was held; `source` is office or ods."""

    book_year: int
    held_on: date
    source: str


class RATAttested(Fact, frozen=True, array_like=True, gc=False, tag="att"):
    """A grade attests that the meeting for `book_year` was held, without a date; `source` is nik_grade."""

    book_year: int
    source: str


class RATCorrected(Fact, frozen=True, array_like=True, gc=False, tag="rco"):
    """The meeting for `book_year` was always on `held_on`."""

    book_year: int
    held_on: date


class RATAnnulled(Fact, frozen=True, array_like=True, gc=False, tag="ann"):
    """The record of the meeting for `book_year` doesn't hold; it may be recorded anew."""

    book_year: int


type RATFact = RATHeld | RATAttested | RATCorrected | RATAnnulled

# ------------------------------------------------------------------ mentoring


class MentoringRequested(Fact, frozen=True, array_like=True, gc=False, tag="req"):
    """A request for mentoring came in on `received_on`; `kecamatan_code` is its own location's."""

    received_on: date
    kecamatan_code: str


class MentoringClosed(Fact, frozen=True, array_like=True, gc=False, tag="clo"):
    """The request was declined, redirected or completed (`how`): from `closed_on` on it is no longer open."""

    closed_on: date
    how: str


type MentoringFact = MentoringRequested | MentoringClosed

# ------------------------------------------------------------------ together


class Facts(msgspec.Struct, frozen=True, gc=False):
    """Everything reporting knows about one cooperative, or one request, per service in the order it was recorded."""

    subject: UUID
    registry: Sequence[RegistryFact] = ()
    rat: Sequence[RATFact] = ()
    mentoring: Sequence[MentoringFact] = ()


_encoder = msgspec.json.Encoder()
# Most of what is asked for was asked for before, at another date: decoding it again would be most of an answer's work,
# and its thousands of new objects a feast for the garbage collector. Bounds the memory to about 30 MB.
_remembered = lru_cache(maxsize=4_096)
_registry = _remembered(msgspec.json.Decoder(list[RegistryFact]).decode)
_rat = _remembered(msgspec.json.Decoder(list[RATFact]).decode)
_mentoring = _remembered(msgspec.json.Decoder(list[MentoringFact]).decode)

EMPTY = "[]"


def appended(facts: str, fact: Fact) -> str:
    """Return the JSON list `facts` with one more fact at its end, without decoding it."""
    encoded = _encoder.encode(fact).decode()
    return f"[{encoded}]" if facts == EMPTY else f"{facts[:-1]},{encoded}]"


def decoded(subject: UUID, registry: str = EMPTY, rat: str = EMPTY, mentoring: str = EMPTY) -> Facts:
    """Return the facts behind three JSON lists. Raises msgspec.ValidationError, naming what is wrong where.

    The same text gives the same list, so nobody may change it.
    """
    return Facts(subject, _registry(registry), _rat(rat), _mentoring(mentoring))
