"""A decider: the rules of one kind of stream, as an initial state and two pure functions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Command(BaseModel):
    """Something we are asked to do; it may be refused. Time and ids come in with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(BaseModel):
    """Something that happened; stored for ever, so change it only by adding optional fields.

    A change that is not an addition raises `schema_version` and adds an upcaster to the decider.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: ClassVar[int] = 1


class Rejection(Exception):
    """A rule says no, in this state.

    HTTP 409. One subclass a rule; its docstring is the rule.
    `slug` names the problem (`/problems/<slug>`); it is the class name in kebab case unless set.
    `facts` are members the problem document carries besides the standard ones.
    """

    status: ClassVar[int] = 409
    slug: ClassVar[str] = ""

    def __init__(self, detail: str = "", **facts: Any) -> None:
        super().__init__(detail or self.rule())
        self.detail = detail or self.rule()
        self.facts = facts

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "slug" not in cls.__dict__:
            cls.slug = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()

    @classmethod
    def rule(cls) -> str:
        """Return the first line of the docstring: the rule in a sentence."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class Invalid(Rejection):
    """This value cannot be right.

    HTTP 422, whatever the state. `field` names the value.
    """

    status = 422
    slug = "invalid"

    def __init__(self, field: str, detail: str = "", **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.field = field


class Missing(Rejection):
    """There is no such thing.

    HTTP 404.
    """

    status = 404
    slug = "not-found"


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that only one stream of a service may hold, such as a NIK.

    Two streams may hold the same (space, key) only when both name a qualifier and the qualifiers differ.
    """

    space: str
    key: str
    qualifier: str | None = None


def _holds_nothing(_: Any) -> frozenset[Claim]:
    return frozenset()


type Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Decider[C: Command, S, E: Event]:
    """The rules of one kind of stream.

    `stream` names the kind. `events` are all its event classes: the stored type is the class name.
    `holds` says which unique keys a stream in a given state claims; the store enforces them.
    `upcasts` turn the data of (type, old schema version) into the next version's.
    """

    stream: str
    initial: S
    evolve: Callable[[S, E], S]
    decide: Callable[[C, S], Sequence[E]]
    events: tuple[type[E], ...]
    holds: Callable[[S], frozenset[Claim]] = _holds_nothing
    upcasts: Mapping[tuple[str, int], Upcaster] = field(default_factory=dict)

    def fold(self, events: Sequence[E], state: S | None = None) -> S:
        """Return the state after `events`, starting from `state` or from the initial one."""
        return reduce(self.evolve, events, self.initial if state is None else state)
