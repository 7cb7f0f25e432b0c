"""Names and words on their way in and out: sealed before they become a command, opened for an answer."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from chassis.definitions.sealed import Sealed
from chassis.definitions.values import ShortText
from chassis.storage.vault import DataKey
from services.mentoring.domain.request import WordsAfterForgetting

NO_STORE = {"Cache-Control": "no-store"}
"""Personal data stays out of caches on the way."""


class Person(BaseModel):
    """Somebody who is involved."""

    # A person that does not open again must not stand in a log with the reason.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ShortText = Field(examples=["Nama Pemohon"])
    role: ShortText = Field(examples=["ketua"])
    phone: ShortText | None = Field(None, examples=["0800-0000-0000"])


_people = TypeAdapter(list[Person])
_names = TypeAdapter(list[str])


class Words:
    """What opens and seals the words of one request; `key` is None once its people were forgotten.

    A place names the field, and for ever: what was sealed for it opens nowhere else.
    """

    def __init__(self, key: DataKey | None) -> None:
        """Use `key` for the words of its subject."""
        self._key = key

    @property
    def forgotten(self) -> bool:
        """Whether nobody can read them any more."""
        return self._key is None

    def seal(self, place: str, text: str | None) -> Sealed | None:
        """Return the text sealed, None for None. Raises WordsAfterForgetting."""
        return None if text is None else self._seal(place, text.encode())

    def seal_names(self, place: str, names: Sequence[str] | None) -> Sealed | None:
        """Return a list of names sealed, None for None. Raises WordsAfterForgetting."""
        return None if names is None else self._seal(place, _names.dump_json(list(names)))

    def open(self, place: str, sealed: Sealed | None) -> str | None:
        """Return the text; None when there is none, or none any more."""
        return None if sealed is None or self._key is None else self._key.open(place, sealed).decode()

    def open_names(self, place: str, sealed: Sealed | None) -> list[str] | None:
        """Return a list of names; None when there is none, or none any more."""
        if sealed is None or self._key is None:
            return None
        return _names.validate_json(self._key.open(place, sealed))

    def _seal(self, place: str, plain: bytes) -> Sealed:
        if self._key is None:
            raise WordsAfterForgetting
        return self._key.seal(place, plain)


def seal_people(key: DataKey, people: Sequence[Person]) -> Sealed:
    """Return the people of a request, sealed."""
    return key.seal("people", _people.dump_json(list(people)))


def open_people(key: DataKey, sealed: Sealed) -> list[Person]:
    """Return the people of a request."""
    return _people.validate_json(key.open("people", sealed))
