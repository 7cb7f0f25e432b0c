"""What readers would find otherwise, were another generation of a projection live: said in their own terms."""

from typing import Any

import msgspec


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """One value that would read otherwise. A subclass says of what it is: by its fields, and by `of` in words.

    None is a value that isn't there.
    """

    field: str
    before: int | str | bool | None
    after: int | str | bool | None

    @property
    def of(self) -> str:
        """Return what the value is of, such as `35.07.21 Wagir`."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"{self.of}: {self.field} {_written(self.before)} -> {_written(self.after)}"


def _written(value: int | str | bool | None) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
